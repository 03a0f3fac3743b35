"""Tilts of end plates, from their margins if these are known, otherwise from the line of plate centres.

Contract: a sagittal tilt is positive when the plate slopes down to the front. A coronal tilt is positive when the
patient's left side of the plate is higher. Tilts are computed from ordered pairs of margins, never from slopes, so they
are unambiguous.

A plate without margins is assumed to be perpendicular to the line of plate centres. This line is a penalised cubic
B-spline over chord length (Eilers & Marx 1996). If the tilt of the sacral plate is known, it determines the direction
of the line at S1. A global polynomial is not used, because it bends the ends of the curve (up to 6 degrees of bias at
L5). The stiffness is fixed, because with a stiffness chosen by cross-validation the line followed the noise of a
landmark detector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.interpolate import BSpline

from spine.landmarks import PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE, level_of
from spine.measurement.construction import ConstructionLine
from spine.measurement.fusion import fuse_tilts
from spine.measurement.planes import PlanePoints
from spine.measurement.registry import Definition, Plane
from spine.types import Floats

TiltMethod = Literal["margins", "centre_line"]

MIN_CENTRES = 5
"""Fewer plate centres do not determine the direction of a line."""

MAX_TILT_DEG = 90.0
"""A larger tilt means that the margins of a plate are exchanged (front and back, or left and right). Such a plate gets
no tilt. On one real radiograph, such a plate gave a Cobb angle of 213 degrees."""

MAX_SIGMA_DEG = 10.0
"""A plate whose tilt has a larger standard deviation gets no tilt: a Cobb angle, as a maximum, would select it. The
plates of virtual patients have at most 4 degrees."""

_DEGREE = 3
_KNOT_SPACING = 2.0  # length of a knot interval, in mean distances between neighbouring centres
_STIFFNESS = 30.0  # weight of squared third differences of the coefficients, per squared mean distance
_S1_WEIGHT = 3.0  # in weights of a centre: the S1 direction comes from two margins that are 34 mm apart
_S1_LAG_DEG = 10.8
"""Angle between the perpendicular of the line at S1 and the sacral plate: half of the mean lordosis of the lumbosacral
segment, 21.6 degrees (n = 324, Sci Rep 2022 s41598-022-21840-x table 2). The other half lies below the S1 centre."""


@dataclass(frozen=True)
class PlateTilts:
    """Tilts of plates in one plane.

    Attributes:
        degrees: plate -> tilt in degrees; a plate without a tilt has no key.
        method: plate -> how the tilt was computed.
        reversed_plates: plates whose margins are exchanged; they have no tilt.
        sigma: plate -> standard deviation of its tilt, degrees; a plate without a known uncertainty has no key.
        centres: plate -> the landmarks whose mean is its centre: its two margins, or else the plate itself.
    """

    degrees: Mapping[str, float]
    method: Mapping[str, TiltMethod]
    reversed_plates: tuple[str, ...] = ()
    sigma: Mapping[str, float] = field(default_factory=dict)
    centres: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def line(self, plate: str) -> ConstructionLine:
        """The line through the centre of a plate, along its tilt."""
        return ConstructionLine("plate", self.centres.get(plate, (plate,)), tilt_deg=self.degrees[plate])

    def definition(self, *plates: str) -> Definition:
        """How the tilts of these plates, by default of all plates, follow: ``margins`` only if it holds for each."""
        return "margins" if all(self.method[p] == "margins" for p in plates or self.method) else "centres"

    def joint_sigma(self, *plates: str) -> float | None:
        """Standard deviation of a sum or difference of the plates' tilts. None if a plate has no ``sigma``."""
        if any(plate not in self.sigma for plate in plates):
            return None
        return float(np.sqrt(sum(self.sigma[plate] ** 2 for plate in plates)))


def margin_names(plate: str, plane: Plane) -> tuple[str, str]:
    """(start, end) margins of a plate: back and front in the sagittal plane, right and left in the coronal plane."""
    if plate == S1_PLATE and plane == "sagittal":
        return S1_MARGINS[1], S1_MARGINS[0]
    stem = "S1" if plate == S1_PLATE else plate
    return (f"{stem}_post", f"{stem}_ant") if plane == "sagittal" else (f"{stem}_right", f"{stem}_left")


def tilt_of_margins(start: Floats, end: Floats, plane: Plane) -> float:
    """Tilt in degrees of the plate from margin ``start`` to ``end``, each (2,) (horizontal, up)."""
    across, up = end - start
    angle = float(np.degrees(np.arctan2(up, across)))
    return -angle if plane == "sagittal" else angle


def plate_tilts(points: PlanePoints) -> PlateTilts:
    """Tilts of all plates, including S1, that the points of one plane determine.

    If the uncertainty of the points is known, the tilts of plates with margins are combined with the tilts of their
    neighbours and with the line of centres (``fusion``).
    """
    degrees: dict[str, float] = {}
    sigma: dict[str, float] = {}
    method: dict[str, TiltMethod] = {}
    for plate in (*PLATES, S1_PLATE):
        start, end = margin_names(plate, points.plane)
        if points.has(start, end):
            degrees[plate] = tilt_of_margins(points.points[start], points.points[end], points.plane)
            method[plate] = "margins"
            if (height := points.joint_sigma(start, end)) is not None:
                length = max(float(np.linalg.norm(points.points[end] - points.points[start])), 1e-6)
                sigma[plate] = float(np.degrees(height / length))
    wanted = [plate for plate in PLATES if plate in points.points and plate not in degrees]
    reversed_plates = tuple(plate for plate, tilt in degrees.items() if abs(tilt) > MAX_TILT_DEG)
    for plate in reversed_plates:  # the centre line does not replace them: it is unknown which point is wrong
        del degrees[plate], method[plate]
        sigma.pop(plate, None)
    known = {plate: tilt for plate, tilt in line_tilts(points).items() if plate not in reversed_plates}
    fused, fused_sigma = fuse_tilts(degrees, sigma, points.plane, points.neighbour_width, known)
    degrees |= fused
    sigma |= fused_sigma
    method |= {plate: "centre_line" for plate in fused if plate not in method}
    if wanted := [plate for plate in wanted if plate not in fused]:
        line = [plate for plate in (*PLATES, S1_PLATE) if plate in points.points]
        tilts, spread = _centre_line_tilts(points, line, degrees.get(S1_PLATE))
        for plate, tilt in tilts.items():
            if plate in wanted:
                degrees[plate], method[plate] = tilt, "centre_line"
                sigma |= {plate: spread[plate]} if plate in spread else {}
    for plate in [plate for plate, spread in sigma.items() if spread > MAX_SIGMA_DEG]:
        del degrees[plate], method[plate], sigma[plate]
    centres = {plate: found for plate in degrees if (found := centre_names(points, plate))}
    return PlateTilts(degrees, method, reversed_plates, sigma, centres)


def line_tilts(points: PlanePoints) -> dict[str, float]:
    """Plate -> tilt in degrees of a plate that is perpendicular to the line of centres, without the ends of the line.

    The direction of the line at a plate is that of the chord from the same plate of the vertebra above to the same
    plate of the vertebra below. On an arc, the chord has exactly the direction of the tangent.
    """
    centres = plate_centres(points)
    found: dict[str, float] = {}
    for above, plate, below in zip(PLATES, PLATES[2:], PLATES[4:], strict=False):
        if above in centres and plate in centres and below in centres:
            across, up = centres[below] - centres[above]
            leaning = float(np.degrees(np.arctan2(-across, -up)))
            found[plate] = leaning if points.plane == "sagittal" else -leaning
    return found


def plate_centres(points: PlanePoints) -> dict[str, Floats]:
    """Plate T1..L5 -> (2,) middle of its margins or, without margins, its centre point."""
    names = {plate: found for plate in PLATES if (found := centre_names(points, plate))}
    return {plate: np.mean([points.points[name] for name in found], axis=0) for plate, found in names.items()}


def centre_names(points: PlanePoints, plate: str) -> tuple[str, ...]:
    """The landmarks whose mean is the centre of a plate: its margins or, without margins, its centre point."""
    margins = margin_names(plate, points.plane)
    if points.has(*margins):
        return margins
    return (plate,) if points.has(plate) else ()


def vertebra_sigma(tilts: PlateTilts, *vertebrae: str) -> float | None:
    """Standard deviation of a difference of mid-line tilts. None if a plate has no ``sigma``."""
    whole = tilts.joint_sigma(*(f"{v}_{side}" for v in vertebrae for side in ("sup", "inf")))
    return None if whole is None else whole / 2


def vertebra_tilts(points: PlanePoints, tilts: PlateTilts) -> dict[str, float]:
    """Vertebra -> mid-line tilt: the mean of its plate tilts or, if all these are unknown, from the body centres."""
    both = {v: (f"{v}_sup", f"{v}_inf") for v in VERTEBRAE}
    found = {
        v: (tilts.degrees[upper] + tilts.degrees[lower]) / 2
        for v, (upper, lower) in both.items()
        if upper in tilts.degrees and lower in tilts.degrees
    }
    if found:
        return found
    bodies = [f"{v}_body" for v in VERTEBRAE if f"{v}_body" in points.points]
    return {level_of(name): tilt for name, tilt in _centre_line_tilts(points, bodies, None)[0].items()}


def _centre_line_tilts(
    points: PlanePoints, names: list[str], s1_tilt_deg: float | None
) -> tuple[dict[str, float], dict[str, float]]:
    """(name -> tilt, name -> known standard deviation of the tilt) of points that are named from head to foot."""
    if len(names) < MIN_CENTRES:
        return {}, {}
    centres = np.stack([points.points[name] for name in names])
    scale, design, slopes, penalty = _line(centres)
    if s1_tilt_deg is not None and names[-1] == S1_PLATE and points.plane == "sagittal":
        coefficients = _fit_steered(design, centres / scale, penalty, slopes[-1], s1_tilt_deg)
    else:
        coefficients = _fit(design, centres / scale, penalty)
    across, up = (slopes @ coefficients).T
    # Tangents point to the feet. A plate is perpendicular to the tangent. The plane determines the tilt's sign.
    leaning = np.degrees(np.arctan2(-across, -up))
    tilts = dict(zip(names, (leaning if points.plane == "sagittal" else -leaning).tolist(), strict=True))
    if any(name not in points.sigma for name in names):
        return tilts, {}
    effect = slopes @ _fit(design, np.eye(len(names)), penalty)  # effect of each centre: the fit is linear
    spread = np.sqrt(effect**2 @ np.array([points.sigma[name] for name in names]) ** 2) / scale
    return tilts, dict(zip(names, np.degrees(spread).tolist(), strict=True))


def _line(centres: Floats) -> tuple[float, Floats, Floats, Floats]:
    """(mean distance, value matrix, slope matrix, penalty matrix) of the spline through N centres.

    The matrices multiply the B coefficients of the spline. They are (N, B), (N, B) and (B - 3, B).
    """
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    scale = float(np.mean(steps)) or 1.0
    parameter = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-6 * scale))]) / scale
    knots = _knots(parameter[-1])
    basis = np.eye(len(knots) - _DEGREE - 1)
    slopes = BSpline(knots, basis, _DEGREE).derivative()(parameter)
    return scale, BSpline.design_matrix(parameter, knots, _DEGREE).toarray(), slopes, np.diff(basis, n=3, axis=0)


def _knots(length: float) -> Floats:
    intervals = max(4, int(np.ceil(length / _KNOT_SPACING)))
    inner = np.linspace(0.0, length, intervals + 1)
    step = inner[1]
    before, after = inner[0] - step * np.arange(_DEGREE, 0, -1), inner[-1] + step * np.arange(1, _DEGREE + 1)
    return np.concatenate([before, inner, after])


def _fit(design: Floats, targets: Floats, penalty: Floats) -> Floats:
    """Coefficients (B, D) of the penalised least squares fit of D target columns."""
    normal = design.T @ design + _STIFFNESS * penalty.T @ penalty + 1e-10 * np.eye(design.shape[1])
    return np.linalg.solve(normal, design.T @ targets).astype(np.float64)


def _fit_steered(design: Floats, targets: Floats, penalty: Floats, slope: Floats, s1_tilt_deg: float) -> Floats:
    """Like ``_fit``, but the end of the line is perpendicular to the S1 plate, minus the lag of the lumbosacral disc.

    The condition couples both coordinates, so they are solved for together: the target columns are stacked, and one
    weighted row requires that the tangent has no component along the plate.
    """
    tau = np.radians(s1_tilt_deg - _S1_LAG_DEG)
    along_plate = np.array([np.cos(tau), -np.sin(tau)])
    both = np.vstack([np.kron(np.eye(2), design), _S1_WEIGHT * np.kron(along_plate, slope)])
    coefficients = _fit(both, np.append(targets.T, 0.0)[:, None], np.kron(np.eye(2), penalty).astype(np.float64))
    return coefficients[:, 0].reshape(2, -1).T
