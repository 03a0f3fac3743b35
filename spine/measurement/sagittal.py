"""Sagittal parameters: kyphosis, lordosis and the pelvic angles, one function each.

Contract: coordinates are (horizontal, up) with the front positive. Each function returns a ``Measured``, whose value is
absent, with a reason, if a landmark is absent. The registry gives the sources of the definitions.
"""

import numpy as np

from spine.landmarks import HIPS, S1_MARGINS, S1_PLATE
from spine.measurement.construction import ConstructionLine
from spine.measurement.planes import PlanePoints
from spine.measurement.registry import Measured, Unit
from spine.measurement.tilts import MAX_TILT_DEG, PlateTilts, tilt_of_margins
from spine.types import Floats

REVERSED_S1 = Measured(
    None, "deg", "the margins of S1 are reversed: the anterior margin lies behind", absent_code="MARGINS_REVERSED"
)

_S1_TO_HIPS = ConstructionLine("segment", (S1_PLATE,), HIPS)


def absent(unit: Unit, missing: list[str]) -> Measured:
    """A parameter without a value, because the landmarks ``missing`` are not visible."""
    return Measured(None, unit, f"not visible: {', '.join(missing)}", absent_code="LANDMARKS_NOT_SEEN")


def tilt_difference(tilts: PlateTilts, cranial: str, caudal: str, sign: float) -> Measured:
    """``sign`` times (tilt of ``cranial`` minus tilt of ``caudal``), degrees, wrapped to (-180, 180]."""
    missing = [plate for plate in (cranial, caudal) if plate not in tilts.degrees]
    if missing:
        if reversed_ := [plate for plate in missing if plate in tilts.reversed_plates]:
            return Measured(None, "deg", f"margins reversed: {', '.join(reversed_)}", absent_code="MARGINS_REVERSED")
        return absent("deg", missing)
    angle = wrap_deg(sign * (tilts.degrees[cranial] - tilts.degrees[caudal]))
    sigma, lines = tilts.joint_sigma(cranial, caudal), (tilts.line(cranial), tilts.line(caudal))
    return Measured(angle, "deg", sigma=sigma, definition=tilts.definition(cranial, caudal), construction=lines)


def wrap_deg(angle: float) -> float:
    """The angle in (-180, 180] degrees that is equivalent to ``angle``."""
    return float(-((-angle + 180.0) % 360.0 - 180.0))


def sacral_slope(points: PlanePoints) -> Measured:
    """Tilt of the S1 plate from its posterior to its anterior margin; positive if the anterior margin is lower."""
    anterior, posterior = S1_MARGINS
    if missing := points.missing(anterior, posterior):
        return absent("deg", missing)
    tilt = tilt_of_margins(points.points[posterior], points.points[anterior], "sagittal")
    if abs(tilt) > MAX_TILT_DEG:
        return REVERSED_S1
    lines = ConstructionLine("plate", S1_MARGINS, tilt_deg=tilt), ConstructionLine("horizontal", S1_MARGINS)
    return Measured(tilt, "deg", sigma=_plate_sigma(points), construction=lines)


def pelvic_tilt(points: PlanePoints) -> Measured:
    """Angle between the vertical and the line from the S1 centre to the hip axis; positive if the hips are in front."""
    if missing := points.missing(S1_PLATE, *HIPS):
        return absent("deg", missing)
    forward, up = _hip_axis(points) - points.points[S1_PLATE]
    angle = float(np.degrees(np.arctan2(forward, -up)))
    lines = ConstructionLine("vertical", (S1_PLATE,)), _S1_TO_HIPS
    return Measured(angle, "deg", sigma=_hips_sigma(points), construction=lines)


def pelvic_incidence(points: PlanePoints) -> Measured:
    """Angle from the caudal normal of the S1 plate to the line from its centre to the hip axis.

    The angle is computed from the two vectors and not as the sum of tilt and slope, so that PI = PT + SS is a check.
    """
    anterior, posterior = S1_MARGINS
    if missing := points.missing(S1_PLATE, anterior, posterior, *HIPS):
        return absent("deg", missing)
    plate = points.points[anterior] - points.points[posterior]
    if plate[0] < 0:
        return REVERSED_S1
    caudal_normal = np.array([plate[1], -plate[0]])
    to_hips = _hip_axis(points) - points.points[S1_PLATE]
    cross = caudal_normal[0] * to_hips[1] - caudal_normal[1] * to_hips[0]
    sigma = _combined(_plate_sigma(points), _hips_sigma(points))
    tilt = tilt_of_margins(points.points[posterior], points.points[anterior], "sagittal")
    lines = ConstructionLine("normal", (S1_PLATE,), tilt_deg=tilt), _S1_TO_HIPS
    angle = float(np.degrees(np.arctan2(cross, caudal_normal @ to_hips)))
    return Measured(angle, "deg", sigma=sigma, construction=lines)


def t1_pelvic_angle(points: PlanePoints) -> Measured:
    """Angle at the hip axis between the lines to the S1 centre and to the middle of T1; positive with T1 in front."""
    if missing := points.missing("T1_sup", "T1_inf", S1_PLATE, *HIPS):
        return absent("deg", missing)
    hips = _hip_axis(points)
    to_s1 = points.points[S1_PLATE] - hips
    to_t1 = _middle(points, "T1_sup", "T1_inf") - hips
    cross = to_s1[0] * to_t1[1] - to_s1[1] * to_t1[0]
    sigma = _combined(_hips_sigma(points), _angle_sigma(points.joint_sigma("T1_sup", "T1_inf"), 0.5, to_t1))
    angle = float(-np.degrees(np.arctan2(cross, to_s1 @ to_t1)))
    lines = ConstructionLine("segment", HIPS, ("T1_sup", "T1_inf")), ConstructionLine("segment", HIPS, (S1_PLATE,))
    return Measured(angle, "deg", sigma=sigma, construction=lines)


def difference(first: Measured, second: Measured) -> Measured:
    """``first`` minus ``second``, degrees; absent if ``first`` or ``second`` is absent."""
    if first.value is None:
        return first
    if second.value is None:
        return second
    sigma, definition = _combined(first.sigma, second.sigma), first.definition or second.definition
    return Measured(first.value - second.value, "deg", sigma=sigma, definition=definition)


def _plate_sigma(points: PlanePoints) -> float | None:
    """Standard deviation of the tilt of the S1 plate, degrees."""
    anterior, posterior = (points.points[name] for name in S1_MARGINS)
    return _angle_sigma(points.joint_sigma(*S1_MARGINS), 1.0, anterior - posterior)


def _hips_sigma(points: PlanePoints) -> float | None:
    """Standard deviation of the direction from the S1 centre to the hip axis, degrees."""
    hips, centre = points.joint_sigma(*HIPS), points.joint_sigma(S1_PLATE)
    middle = None if hips is None else hips / 2
    return _angle_sigma(_combined(middle, centre), 1.0, _hip_axis(points) - points.points[S1_PLATE])


def _angle_sigma(sigma: float | None, share: float, arm: Floats) -> float | None:
    """Standard deviation in degrees of the direction of ``arm``, whose end moves by ``share`` times ``sigma``."""
    return None if sigma is None else float(np.degrees(share * sigma / max(float(np.linalg.norm(arm)), 1e-6)))


def _combined(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else float(np.hypot(first, second))


def _middle(points: PlanePoints, first: str, second: str) -> Floats:
    middle: Floats = (points.points[first] + points.points[second]) / 2.0
    return middle


def _hip_axis(points: PlanePoints) -> Floats:
    return _middle(points, *HIPS)
