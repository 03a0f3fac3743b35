"""The 3D reconstruction record: named points of one spine in the scanner's patient frame.

Contract: LPS axes (x left, y posterior, z up), millimetres, origin at the scanner's isocentre; an absent landmark has
no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spine.scanner import ViewGeometry
from spine.types import Floats


@dataclass(frozen=True)
class Reconstruction:
    """Named 3D points of one spine.

    Attributes:
        subject_id: the reconstruction's own name for the subject (a pseudonym; never a patient name).
        points: landmark name -> (3,) LPS mm, float64. Names as in ``spine.landmarks``.
        source_format: ``plumbline-json``, ``plumbline-csv``, ``slicer-mrk-json``, ``ct-keypoints`` ...
        geometry: view name -> ViewGeometry of the images the points were reconstructed from, where known.
        hip_radius_mm: femoral head radii by ``HIP_L`` / ``HIP_R``, where known.
        facts: further plain facts (age, sex, condition, simulated ...); JSON values only.
    """

    subject_id: str
    points: Mapping[str, Floats]
    source_format: str
    geometry: Mapping[str, ViewGeometry] = field(default_factory=dict)
    hip_radius_mm: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def stacked(self, names: tuple[str, ...]) -> Floats:
        """(N, 3) of the points called ``names``.

        Raises:
            KeyError: a point is absent.
        """
        return np.stack([self.points[n] for n in names]) if names else np.zeros((0, 3))
