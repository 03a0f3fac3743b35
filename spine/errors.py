"""The error classes that every package raises.

Contract: every deliberate refusal is a ``PlumblineError``. Its message says what was found, what was expected and what
to do. Its ``code`` is in upper case and stable, so a program can rely on it. No message contains a patient identifier.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self


class PlumblineError(Exception):
    """A deliberate refusal with a stable ``code``, e.g. ``SPACING_INVALID``, and the three parts of its message."""

    exit_code = 1

    def __init__(self, code: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(code, found, expected, remedy)
        self.code = code
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: found {self.found}; expected {self.expected}; {self.remedy}"


class InputRejected(PlumblineError):
    """One study or file cannot be used. The study or file goes to quarantine, and the batch continues.

    ``file`` is the file of the study that is the reason, if it is one. Its name may identify a patient, so no message
    has it.
    """

    file: Path | None = None


class StudyWaiting(InputRejected):
    """The files of a study are not complete yet. The study is read again in the next run."""


class DicomRejected(InputRejected):
    """A DICOM file cannot become a calibrated image."""


class ReconstructionRejected(InputRejected):
    """A 3D reconstruction cannot be used."""


class LabelsRejected(InputRejected):
    """2D landmark labels cannot be used."""


class PairingRejected(InputRejected):
    """The views and the reconstruction of a study do not belong together."""


class ContractViolation(PlumblineError):
    """The data that one step passes to the next violate their contract. The run stops."""

    @classmethod
    def gathered(cls, code: str, violations: Sequence[str], expected: str, remedy: str) -> Self:
        """One error for all violations. The message of the error lists at most ten violations."""
        shown = "; ".join(violations[:10]) + (f"; and {len(violations) - 10} more" if len(violations) > 10 else "")
        return cls(code, f"{len(violations)} violation(s): {shown}", expected, remedy)


class ParametersRejected(PlumblineError):
    """A parameter of the run (``params.yaml``, a policy, the command line) has an impossible value."""

    exit_code = 2


class ValuesRejected(ParametersRejected, ValueError):
    """A program passed an impossible value to the library."""


class EvidenceRejected(PlumblineError):
    """An evaluation record, verdict, model file or history is missing, altered or not finite."""

    exit_code = 3


class GateRefused(PlumblineError):
    """A requested promotion is refused."""

    exit_code = 3


class ClusterRefused(PlumblineError):
    """The Ray cluster, or one of its nodes, cannot be used."""
