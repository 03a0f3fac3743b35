"""Coronal parameters: Cobb angles with end vertebrae, apex and side, secondary curves, balance.

Contract: coordinates are (horizontal, up) with the patient's left positive. A tilt is positive when the left side of
the plate is higher. The Cobb angle of end plates is the largest |tilt of an upper plate - tilt of a lower plate| over
pairs of a cranial and a more caudal vertebra. The sign of the difference gives the side. Above the apex of a curve that
is convex to the left, the spine leans to the right, so the left side of a plate is higher. Below the apex, the left
side is lower.
"""

from dataclasses import dataclass

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.measurement.construction import ConstructionLine
from spine.measurement.planes import PlanePoints
from spine.measurement.registry import Measured
from spine.measurement.sagittal import absent
from spine.measurement.tilts import PlateTilts, vertebra_sigma, vertebra_tilts
from spine.types import Floats

MIN_VERTEBRAE = 5
"""A Cobb angle over fewer visible vertebrae does not describe the curve."""

EDGE = "may go on beyond the visible vertebrae"
"""The ``detail`` of a curve whose end vertebra is the last visible one; its angle is then a lower limit."""

_TIE_DECIMALS = 6
"""Angles that agree to this number of decimals of a degree are treated as equal."""


@dataclass(frozen=True)
class Curve:
    """One coronal curve with its end vertebrae.

    ``angle_deg`` is the tilt of the upper plate of ``upper`` minus the tilt of the lower plate of ``lower``. Its
    absolute value is the Cobb angle. A positive angle means that the curve is convex to the patient's left.
    """

    upper: str
    lower: str
    angle_deg: float

    @property
    def side(self) -> str:
        """The patient's side to which the curve is convex."""
        return "left" if self.angle_deg > 0 else "right"


def end_plate_curves(tilts: PlateTilts) -> tuple[Curve, Curve | None, Curve | None] | None:
    """The (major, cranial secondary, caudal secondary) curves, or None with too few vertebrae.

    The major curve is the largest. A secondary curve shares an end vertebra with the major curve and is convex to the
    other side.
    """
    levels = whole_vertebrae(tilts)
    if len(levels) < MIN_VERTEBRAE:
        return None
    upper = np.array([tilts.degrees[f"{v}_sup"] for v in levels])
    lower = np.array([tilts.degrees[f"{v}_inf"] for v in levels])
    angles = np.where(np.triu(np.ones((len(levels),) * 2, dtype=bool), 1), upper[:, None] - lower[None, :], 0.0)
    # Rounding makes equal angles equal in spite of rounding errors. The most cranial of them is chosen.
    i, j = np.unravel_index(int(np.argmax(np.round(np.abs(angles), _TIE_DECIMALS))), angles.shape)
    if i == j:  # a perfectly straight spine: every angle is zero
        i, j = np.intp(0), np.intp(len(levels) - 1)
    major = Curve(levels[i], levels[j], float(angles[i, j]))
    opposite = -np.sign(major.angle_deg) * angles
    cranial = _largest([(k, int(i)) for k in range(int(i))], opposite, angles, levels)
    caudal = _largest([(int(j), k) for k in range(int(j) + 1, len(levels))], opposite, angles, levels)
    return major, cranial, caudal


def _largest(pairs: list[tuple[int, int]], opposite: Floats, angles: Floats, levels: list[str]) -> Curve | None:
    """The curve of the pair of end vertebrae with the largest ``opposite`` value, or None if no value is positive."""
    positive = [pair for pair in pairs if opposite[pair] > 10.0**-_TIE_DECIMALS]
    if not positive:
        return None
    upper, lower = max(positive, key=lambda pair: round(float(opposite[pair]), _TIE_DECIMALS))
    return Curve(levels[upper], levels[lower], float(angles[upper, lower]))


def apex_of(points: PlanePoints, curve: Curve) -> str | None:
    """The vertebra (``T8``) or disc (``T8/T9``) of a curve that is farthest from the line between its end vertebrae."""
    span = VERTEBRAE[VERTEBRAE.index(curve.upper) : VERTEBRAE.index(curve.lower) + 1]
    candidates: dict[str, Floats] = {}
    for level, below in zip(span, (*span[1:], None), strict=True):
        if points.has(f"{level}_sup", f"{level}_inf"):
            candidates[level] = (points.points[f"{level}_sup"] + points.points[f"{level}_inf"]) / 2
        if below and points.has(f"{level}_inf", f"{below}_sup"):
            candidates[f"{level}/{below}"] = (points.points[f"{level}_inf"] + points.points[f"{below}_sup"]) / 2
    if curve.upper not in candidates or curve.lower not in candidates:
        return None
    start, along = candidates[curve.upper], candidates[curve.lower] - candidates[curve.upper]
    away = -1.0 if curve.side == "right" else 1.0  # toward the convexity
    normal = away * np.array([-along[1], along[0]]) / np.linalg.norm(along)
    return max(candidates, key=lambda name: float((candidates[name] - start) @ normal))


def cobb_angles(points: PlanePoints, tilts: PlateTilts) -> dict[str, Measured]:
    """The parameters ``cobb``, ``cobb_secondary_cranial`` and ``cobb_secondary_caudal``."""
    curves = end_plate_curves(tilts)
    names = ("cobb", "cobb_secondary_cranial", "cobb_secondary_caudal")
    if curves is None:
        reason = f"fewer than {MIN_VERTEBRAE} vertebrae with both end plates visible"
        return dict.fromkeys(names, Measured(None, "deg", reason, absent_code="TOO_FEW_VERTEBRAE"))
    measured = {name: _as_measured(points, tilts, curve) for name, curve in zip(names, curves, strict=True)}
    levels, major = whole_vertebrae(tilts), curves[0]
    if curves[1] is None and major.upper == levels[0] != VERTEBRAE[0]:
        measured[names[1]] = _out_of_sight(f"above {levels[0]}")
    if curves[2] is None and major.lower == levels[-1] != VERTEBRAE[-1]:
        measured[names[2]] = _out_of_sight(f"below {levels[-1]}")
    return measured


def whole_vertebrae(tilts: PlateTilts) -> list[str]:
    """The vertebrae of which both end plates have a tilt, from head to foot."""
    return [v for v in VERTEBRAE if f"{v}_sup" in tilts.degrees and f"{v}_inf" in tilts.degrees]


def _out_of_sight(where: str) -> Measured:
    return Measured(None, "deg", f"no whole vertebra is visible {where}", absent_code="LANDMARKS_NOT_SEEN")


def _is_cut(curve: Curve, levels: list[str]) -> bool:
    """Whether an end vertebra is the last one that is visible, so that the curve may go on beyond it."""
    return curve.upper == levels[0] != VERTEBRAE[0] or curve.lower == levels[-1] != VERTEBRAE[-1]


def _as_measured(points: PlanePoints, tilts: PlateTilts, curve: Curve | None) -> Measured:
    # The largest angle depends on every plate, so its definition is that of all plates.
    if curve is None:
        finding = {"finding": "no curve to the other side"}
        return Measured(0.0, "deg", detail=finding, definition=tilts.definition())
    detail = {"upper_end_vertebra": curve.upper, "lower_end_vertebra": curve.lower, "side": curve.side}
    if apex := apex_of(points, curve):
        detail["apex"] = apex
    if _is_cut(curve, whole_vertebrae(tilts)):
        detail["edge"] = EDGE
    ends = f"{curve.upper}_sup", f"{curve.lower}_inf"
    return Measured(
        abs(curve.angle_deg),
        "deg",
        detail=detail,
        sigma=tilts.joint_sigma(*ends),
        definition=tilts.definition(),
        construction=(tilts.line(ends[0]), tilts.line(ends[1])),
    )


def midline_cobb(points: PlanePoints, tilts: PlateTilts) -> Measured:
    """Largest angle between the mid-lines of two vertebrae.

    A mid-line has the mean tilt of both plates of its vertebra. If only body centres are known, a mid-line is
    perpendicular to the line through the body centres.
    """
    by_level = vertebra_tilts(points, tilts)
    levels = list(by_level)
    if len(levels) < MIN_VERTEBRAE:
        reason = f"fewer than {MIN_VERTEBRAE} vertebrae with both end plates or the body visible"
        return Measured(None, "deg", reason, absent_code="TOO_FEW_VERTEBRAE")
    middle = np.array(list(by_level.values()))
    upper, lower = sorted((int(np.argmax(middle)), int(np.argmin(middle))))
    detail = {"upper_end_vertebra": levels[upper], "lower_end_vertebra": levels[lower]}
    sigma = vertebra_sigma(tilts, levels[upper], levels[lower])
    definition = tilts.definition() if tilts.degrees else "centres"
    return Measured(float(np.ptp(middle)), "deg", detail=detail, sigma=sigma, definition=definition)


def coronal_balance_t1(points: PlanePoints) -> Measured:
    """Horizontal offset of the middle of T1 from the S1 centre, mm; positive to the patient's left."""
    if points.lengths_reason is not None:
        return Measured(None, "mm", points.lengths_reason, absent_code="LENGTHS_UNCALIBRATED")
    if missing := points.missing("T1_sup", "T1_inf", "S1_sup"):
        return absent("mm", missing)
    t1 = (points.points["T1_sup"][0] + points.points["T1_inf"][0]) / 2
    t1_sigma, s1_sigma = points.joint_sigma("T1_sup", "T1_inf"), points.joint_sigma("S1_sup")
    sigma = None if t1_sigma is None or s1_sigma is None else float(np.hypot(t1_sigma / 2, s1_sigma))
    lines = ConstructionLine("offset", ("T1_sup", "T1_inf"), ("S1_sup",)), ConstructionLine("vertical", ("S1_sup",))
    return Measured(float(t1 - points.points["S1_sup"][0]), "mm", sigma=sigma, construction=lines)
