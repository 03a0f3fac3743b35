"""Derives the classes of one study from its parameters (``classes`` has their definitions and sources).

Contract: the result has exactly the keys of ``CLASSES``. The probability of a class is the share of the plausible
parameter values that give it (``plausible_values``); curves are independent of each other in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spine.landmarks import HIPS, VERTEBRAE
from spine.measurement.classes import CLASSES, Classified
from spine.measurement.planes import PlanePoints
from spine.measurement.plausible_values import probability_below, sigma_of
from spine.measurement.registry import Measured, Plane, rounded
from spine.measurement.sagittal_classes import absent_class, sagittal_classes
from spine.types import Floats

LEAST_CURVE_DEG = 10.0
"""A smaller angle is no scoliosis (Scoliosis Research Society)."""

_SCHWAB_CURVE_DEG = 30.0
_CURVES = ("cobb", "cobb_secondary_cranial", "cobb_secondary_caudal")
_REGIONS = (("proximal thoracic", "T5"), ("main thoracic", "T11/T12"), ("thoracolumbar", "L1"), ("lumbar", "L5"))
"""Region of an apex and its most caudal apex, a vertebra or the disc below one."""
_NO_APEX = "the apex of a curve is not known"


def classify(
    parameters: Mapping[str, Measured],
    planes: Mapping[Plane, PlanePoints],
    points_3d: Mapping[str, Floats] | None = None,
) -> dict[str, Classified]:
    """Class -> its value or the reason of its absence, from the parameters of the registry and their planes.

    ``points_3d`` is landmark -> (3,) LPS mm, which only the axial rotation needs.
    """
    curves = _curves_of(parameters)
    found = {
        "curve_pattern": _curve_pattern(parameters, curves),
        "srs_schwab_curve": _schwab_curve(parameters, curves, planes.get("coronal")),
        "apical_rotation": _apical_rotation(parameters, points_3d or {}),
        **sagittal_classes(parameters, planes.get("sagittal")),
    }
    return {name: found[name] for name in CLASSES}


@dataclass(frozen=True)
class _Curve:
    angle_deg: float
    sigma: float | None
    upper: str
    lower: str
    side: str
    apex: str | None
    is_cut: bool

    def text(self) -> str:
        apex = f", apex {self.apex}" if self.apex else ""
        return (
            f"{self.upper} to {self.lower}{apex}, {rounded(self.angle_deg)} degrees{', or more' if self.is_cut else ''}"
        )


def _curves_of(parameters: Mapping[str, Measured]) -> list[_Curve]:
    """The curves with end vertebrae, from cranial to caudal."""
    found = []
    for measured in (parameters[name] for name in _CURVES):
        detail = measured.detail or {}
        if measured.value is not None and "side" in detail:
            named = (detail.get(key) for key in ("upper_end_vertebra", "lower_end_vertebra", "side", "apex"))
            upper, lower, side, apex = named
            sigma, is_cut = sigma_of(measured), "edge" in detail
            found.append(_Curve(measured.value, sigma, str(upper), str(lower), str(side), apex, is_cut))
    return sorted(found, key=lambda curve: VERTEBRAE.index(curve.upper))


def _place(apex: str) -> float:
    """Position of an apex along the spine; the disc below a vertebra lies half a position further."""
    return VERTEBRAE.index(apex.split("/")[0]) + (0.5 if "/" in apex else 0.0)


def _as_measured(curves: Sequence[_Curve], limit: float) -> float | None:
    """Probability that each curve is on its side of the limit; None without intervals, and if a curve may go on."""
    share = 1.0
    for curve in curves:
        if curve.sigma is None or curve.is_cut:
            return None
        below = probability_below(limit, curve.angle_deg, curve.sigma)
        share *= below if curve.angle_deg < limit else 1.0 - below
    return share


def _curve_pattern(parameters: Mapping[str, Measured], curves: Sequence[_Curve]) -> Classified:
    if absent := absent_class(parameters, "cobb"):
        return absent
    named, detail = [], {}
    for number, curve in enumerate((c for c in curves if c.angle_deg >= LEAST_CURVE_DEG), 1):
        if curve.apex is None:
            return Classified(None, _NO_APEX)
        place = _place(curve.apex)
        named.append(f"{next(name for name, last in _REGIONS if place <= _place(last))} {curve.side}")
        detail[f"curve_{number}"] = curve.text()
    value = " + ".join(named) or "no curve of 10 degrees or more"
    return Classified(value, probability=_as_measured(curves, LEAST_CURVE_DEG), detail=detail)


def _schwab_curve(
    parameters: Mapping[str, Measured], curves: Sequence[_Curve], coronal: PlanePoints | None
) -> Classified:
    if absent := absent_class(parameters, "cobb"):
        return absent
    seen = {name.split("_")[0] for name in coronal.points} if coronal else set()
    if missing := [level for level in ("T5", "L4") if level not in seen]:
        return Classified(None, f"needs the thoracic and the lumbar curve; not visible: {', '.join(missing)}")
    large = [curve for curve in curves if curve.angle_deg >= _SCHWAB_CURVE_DEG]
    if any(curve.apex is None for curve in large):
        return Classified(None, _NO_APEX)
    thoracic = {_place(str(curve.apex)) <= _place("T9") for curve in large}
    kind = "N" if not large else "D" if len(thoracic) == 2 else "T" if True in thoracic else "L"
    return Classified(kind, probability=_as_measured(curves, _SCHWAB_CURVE_DEG))


def _apical_rotation(parameters: Mapping[str, Measured], points_3d: Mapping[str, Floats]) -> Classified:
    apex = (parameters["cobb"].detail or {}).get("apex")
    if apex is None:
        return Classified(None, _NO_APEX)
    level = apex.split("/")[0]
    needed = (f"{level}_ped_right", f"{level}_ped_left", *reversed(HIPS))
    if missing := [name for name in needed if name not in points_3d]:
        return Classified(None, f"needs both pedicles and both hips in 3D; not known: {', '.join(missing)}")
    directions = [points_3d[left] - points_3d[right] for right, left in (needed[:2], needed[2:])]
    angles = [float(np.degrees(np.arctan2(direction[1], direction[0]))) for direction in directions]
    turn = (angles[0] - angles[1] + 180.0) % 360.0 - 180.0
    value = "none" if abs(turn) < 0.5 else "to the left" if turn > 0 else "to the right"
    return Classified(value, number=turn, detail={"vertebra": level})
