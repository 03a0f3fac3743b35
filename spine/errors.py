"""The one tree of errors.

    PlumblineError                what every deliberate refusal derives from
    |- InputRejected              one study or file cannot be used; the batch goes on, the study is quarantined
    |  |- DicomRejected           ... because of the radiograph's bytes, pixels or tags
    |  |- ReconstructionRejected  ... because of the 3D reconstruction
    |  |- LabelsRejected          ... because of 2D labels
    |  `- PairingRejected         ... because the parts of a study do not belong together
    |- ContractViolation          data handed from one step to the next breaks its contract; the run stops
    |- ParametersRejected         a parameter of the run (params.yaml, policy, command line) is not possible
    |  `- ValuesRejected          ... or what a program handed to the library; a ``ValueError`` too
    |- EvidenceRejected           an evaluation record or verdict is missing, altered or not finite
    `- GateRefused                promotion was asked for and is not granted

Contract: an error says what was found, what was expected and what to do, and carries a stable upper-case ``code`` that
a program can switch on. ``str(error)`` never contains patient identifiers.
"""

from collections.abc import Sequence


class PlumblineError(Exception):
    """A deliberate refusal.

    Args:
        code: stable reason code, e.g. ``SPACING_INVALID``.
        found: what was found.
        expected: what was expected.
        remedy: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, code: str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(code, found, expected, remedy)
        self.code = code
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: found {self.found}; expected {self.expected}; {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception pickles its positional args only; keep keyword-only construction working across processes.
        return (_rebuild, (type(self), self.code, self.found, self.expected, self.remedy))


def _rebuild(cls: type["PlumblineError"], code: str, found: str, expected: str, remedy: str) -> "PlumblineError":
    return cls(code, found=found, expected=expected, remedy=remedy)


class InputRejected(PlumblineError):
    """One study or file cannot be used."""


class DicomRejected(InputRejected):
    """A DICOM file cannot become a calibrated image."""


class ReconstructionRejected(InputRejected):
    """A 3D reconstruction cannot be used."""


class LabelsRejected(InputRejected):
    """2D labels cannot be used."""


class PairingRejected(InputRejected):
    """The views and reconstruction of a study do not belong together."""


class ContractViolation(PlumblineError):
    """Data handed on between two steps breaks its contract; carries every violation found, not the first."""

    @classmethod
    def gathered(cls, code: str, violations: Sequence[str], *, expected: str, remedy: str) -> "ContractViolation":
        """Build one error out of all violations (at most ten are spelled out)."""
        shown = "; ".join(violations[:10]) + (f"; and {len(violations) - 10} more" if len(violations) > 10 else "")
        return cls(code, found=f"{len(violations)} violation(s): {shown}", expected=expected, remedy=remedy)


class ParametersRejected(PlumblineError):
    """A parameter of the run is not possible."""

    exit_code = 2


class ValuesRejected(ParametersRejected, ValueError):
    """What a program handed to the library is not possible."""


class EvidenceRejected(PlumblineError):
    """Evidence is missing, altered or not finite."""

    exit_code = 3


class GateRefused(PlumblineError):
    """Promotion is not granted."""

    exit_code = 3
