"""The record of a 3D reconstruction: named points of one spine in the patient frame of the scanner.

Contract: LPS axes (x left, y posterior, z up), millimetres, origin at the isocentre. An absent landmark has no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.errors import ReconstructionRejected
from spine.scanner import ViewGeometry
from spine.types import Floats


@dataclass(frozen=True)
class Reconstruction:
    """Named 3D points of one spine.

    Attributes:
        subject_id: name of the subject in the file; a pseudonym, never a patient name.
        points: landmark -> (3,) LPS mm, float64; names as in ``spine.landmarks``.
        source_format: ``plumbline-json``, ``plumbline-csv``, ``slicer-mrk-json``, ``bone-meshes`` ...
        geometry: view -> geometry of the image that the points were reconstructed from, if known.
        hip_radius_mm: ``HIP_L`` / ``HIP_R`` -> radius of the femoral head, if known.
        facts: further facts (age, sex, condition, simulated ...); JSON values only.
    """

    subject_id: str
    points: Mapping[str, Floats]
    source_format: str
    geometry: Mapping[str, ViewGeometry] = field(default_factory=dict)
    hip_radius_mm: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def rejected(code: str, found: str, expected: str) -> ReconstructionRejected:
    """The error for a file of a known format that cannot be read."""
    remedy = "correct the file; the page Your data describes the formats"
    return ReconstructionRejected(code, found, expected, remedy)
