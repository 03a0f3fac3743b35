"""Points in the two anatomical planes, from 3D points or from one image.

Contract: coordinates are (horizontal, up). The horizontal coordinate grows to the front in the sagittal plane, and to
the patient's left in the coronal plane. Angles are correct in any unit, lengths only if ``lengths_reason`` is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spine.landmarks import ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.registry import Plane
from spine.study import LENGTHS_ALLOWED, CalibrationType, Points2D
from spine.types import Floats

T1_S1_MM = (250.0, 700.0)
"""Smallest and largest straight distance from T1 to S1 that a calibrated image can show: a choice. Adults have 425 to
450 mm (docs/sources.md, population). Outside these limits the spacing is wrong."""

PLANE_OF_VIEW: Mapping[ViewName, Plane] = {"frontal": "coronal", "lateral": "sagittal"}


@dataclass(frozen=True)
class PlanePoints:
    """Landmarks in one anatomical plane.

    Attributes:
        plane: ``sagittal`` or ``coronal``.
        points: landmark -> (2,) (horizontal, up); absent landmarks have no key.
        lengths_reason: None if the unit is mm in the patient, otherwise the reason why lengths must not be reported.
        sigma: landmark -> standard deviation of each of its coordinates, in the unit of ``points``; a landmark of
            unknown uncertainty has no key.
        neighbour_width: factor on the standard deviations of ``fusion.NEIGHBOUR_DEPARTURE``.
    """

    plane: Plane
    points: Mapping[str, Floats]
    lengths_reason: str | None = None
    sigma: Mapping[str, float] = field(default_factory=dict)
    neighbour_width: float = NEIGHBOUR_WIDTH

    def has(self, *names: str) -> bool:
        """Whether all these points are present."""
        return all(name in self.points for name in names)

    def missing(self, *names: str) -> list[str]:
        """The given names of absent points."""
        return [name for name in names if name not in self.points]

    def joint_sigma(self, *names: str) -> float | None:
        """Standard deviation of a sum of independent coordinates, one of each point; None if a ``sigma`` is missing."""
        if any(name not in self.sigma for name in names):
            return None
        return float(np.sqrt(sum(self.sigma[name] ** 2 for name in names)))


def planes_from_points_3d(
    points: Mapping[str, Floats], sigma_mm: Mapping[ViewName, Mapping[str, float]] | None = None
) -> dict[Plane, PlanePoints]:
    """Both planes from 3D points (LPS mm), by orthographic projection along y and x.

    This projection is the reference definition, because it is free of the magnification of the fan beam. ``sigma_mm``
    contains the known standard deviations in the patient, by view and landmark.
    """
    known = sigma_mm or {}
    sagittal = {name: np.array([-p[1], p[2]]) for name, p in points.items()}
    coronal = {name: np.array([p[0], p[2]]) for name, p in points.items()}
    return {
        "sagittal": PlanePoints("sagittal", sagittal, sigma=known.get("lateral", {})),
        "coronal": PlanePoints("coronal", coronal, sigma=known.get("frontal", {})),
    }


def planes_from_view(
    view: ViewName,
    points: Points2D,
    spacing_mm: tuple[float, float] | None,
    calibration: CalibrationType,
    sigma_px: Mapping[str, float] | None = None,
) -> dict[Plane, PlanePoints]:
    """Plane -> its points, for the one plane that an image shows.

    Pixels are converted to mm before any angle is measured, because row and column spacing may differ. Without a
    (row, column) spacing, pixels are assumed to be square. ``points`` are (column, row) in pixels of the canonical
    image. ``sigma_px`` contains their known standard deviations in pixels.
    """
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    forward = -1.0 if view == "lateral" else 1.0  # the columns of a canonical lateral run to the back
    planar = {name: np.array([forward * p[0] * column_mm, -p[1] * row_mm]) for name, p in points.items()}
    plane = PLANE_OF_VIEW[view]
    sigma = {name: s * row_mm for name, s in (sigma_px or {}).items()}
    return {plane: PlanePoints(plane, planar, _lengths_reason(spacing_mm, calibration), sigma)}


def with_plausible_lengths(points: PlanePoints) -> PlanePoints:
    """The points; without lengths if the distance from T1 to S1 is outside ``T1_S1_MM``."""
    if points.lengths_reason is not None or not points.has("T1_sup", "S1_sup"):
        return points
    length = float(np.linalg.norm(points.points["T1_sup"] - points.points["S1_sup"]))
    low, high = T1_S1_MM
    if low <= length <= high:
        return points
    reason = f"T1 to S1 would be {length:.0f} mm long, outside {low:.0f} to {high:.0f}: the pixel spacing is wrong"
    return replace(points, lengths_reason=reason)


def _lengths_reason(spacing_mm: tuple[float, float] | None, calibration: CalibrationType) -> str | None:
    if spacing_mm is None:
        return "the image has no pixel spacing"
    if calibration not in LENGTHS_ALLOWED:
        return f"the pixel spacing is of type {calibration}, which is not calibrated to the patient"
    return None
