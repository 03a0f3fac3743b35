"""Derives the classes of the sagittal shape: SRS-Schwab grades, Roussouly type and the parts of the GAP score.

``classes`` contains the definitions and their sources.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import LUMBAR, THORACIC
from spine.measurement.classes import CLASSES, Classified
from spine.measurement.planes import PlanePoints
from spine.measurement.plausible_values import Values, plausible_values, probability_below, share_of_first, sigma_of
from spine.measurement.registry import Measured
from spine.measurement.tilts import plate_tilts

LEAST_LORDOSIS_DEG = 10.0
"""A choice: below it, an error of 5 degrees changes the share of L4-S1 by half."""
NO_C7 = "needs C7, which is not among the landmarks"

_SLOPE, _TILT, _INCIDENCE = "sacral_slope", "pelvic_tilt", "pelvic_incidence"
_LORDOSIS, _LOWER_LORDOSIS = "lumbar_lordosis_l1_s1", "lumbar_lordosis_l4_s1"
_VERSION_LIMITS, _LORDOSIS_LIMITS, _SHARE_LIMITS = (-15.0, -7.1, 5.0), (-25.0, -14.1, 11.0), (40.0, 50.0, 80.0)
_PARTS: Mapping[str, tuple[int, ...]] = {
    "gap_pelvic_version": (3, 2, 0, 1),
    "gap_lumbar_lordosis": (3, 2, 0, 3),
    "gap_lordosis_share": (2, 1, 0, 3),
}
"""Part of the GAP score -> points of its classes, in their order."""
_OTHER_POINTS, _SEVERE = 4, 7
"""Most points of relative spinopelvic alignment (3) and age (1), and least points of a severe disproportion."""

Parameters = Mapping[str, Measured]


def sagittal_classes(parameters: Parameters, sagittal: PlanePoints | None) -> dict[str, Classified]:
    """The classes that follow from the sagittal parameters and, for Roussouly types 1 and 2, from their plane."""
    return {
        "srs_schwab_pi_ll": _schwab_grade(parameters["pi_minus_ll"], 10.0, 20.0),
        "srs_schwab_pt": _schwab_grade(parameters[_TILT], 20.0, 30.0),
        "srs_schwab_sva": Classified(None, NO_C7),
        "roussouly": _roussouly(parameters, sagittal),
        **_gap(parameters),
    }


def absent_class(parameters: Parameters, *names: str) -> Classified | None:
    """The absent class, if one of the parameters that it needs is absent."""
    missing = [name for name in names if parameters[name].value is None]
    return Classified(None, f"needs {missing[0]}: {parameters[missing[0]].absent_reason}") if missing else None


def _schwab_grade(measured: Measured, first: float, second: float) -> Classified:
    if measured.value is None:
        return Classified(None, measured.absent_reason)
    grade = "0" if measured.value < first else "+" if measured.value <= second else "++"
    sigma, share = sigma_of(measured), None
    if sigma is not None:
        low, high = (probability_below(limit, measured.value, sigma) for limit in (first, second))
        share = {"0": low, "+": high - low, "++": 1.0 - high}[grade]
    return Classified(grade, None, measured.value, share)


def _roussouly(parameters: Parameters, sagittal: PlanePoints | None) -> Classified:
    if absent := absent_class(parameters, _SLOPE, _INCIDENCE, _TILT):
        return absent
    values = plausible_values(parameters, _SLOPE, _INCIDENCE, _TILT)
    lordotic = None if sagittal is None else lordotic_vertebrae(sagittal)
    if lordotic is None and values[0, 0] < 35.0:
        return Classified(None, "types 1 and 2 need the end plates from T9 to L5, which are not all visible")
    slope, incidence, tilt = values.T
    low_type = 0 if lordotic is not None and lordotic <= 3 else 1
    anteverted = (incidence < 50.0) & (tilt < 5.0)
    kinds = np.select([slope < 35.0, anteverted, slope < 45.0], [low_type, 3, 2], 4)
    detail = {} if lordotic is None else {"lordotic_vertebrae": str(lordotic)}
    value = CLASSES["roussouly"].values[int(kinds[0])]
    return Classified(value, None, float(slope[0]), share_of_first(kinds), detail)


def lordotic_vertebrae(sagittal: PlanePoints) -> int | None:
    """Number of vertebrae below the end plate that leans back most, where kyphosis turns into lordosis.

    None if an end plate from T9 to L5 has no tilt. A vertebra above the plate's disc is not counted.
    """
    tilts = plate_tilts(sagittal).degrees
    levels = [*THORACIC[8:], *LUMBAR]
    plates = [f"{level}_{side}" for level in levels for side in ("sup", "inf")]
    if any(plate not in tilts for plate in plates):
        return None
    turn = plates.index(min(plates, key=lambda plate: tilts[plate]))
    return (len(plates) - turn) // 2


def _gap(parameters: Parameters) -> dict[str, Classified]:
    found = {
        "gap_pelvic_version": _relative(parameters, "gap_pelvic_version", _SLOPE, (0.59, 9.0), _VERSION_LIMITS),
        "gap_lumbar_lordosis": _relative(parameters, "gap_lumbar_lordosis", _LORDOSIS, (0.62, 29.0), _LORDOSIS_LIMITS),
        "gap_lordosis_share": _lordosis_share(parameters),
    }
    return {**found, "gap_score": _gap_score(found)}


def _relative(
    parameters: Parameters, name: str, measured: str, ideal: tuple[float, float], limits: tuple[float, ...]
) -> Classified:
    """The class of a parameter minus its ideal value, which is a linear function of pelvic incidence."""
    if absent := absent_class(parameters, measured, _INCIDENCE):
        return absent
    value, incidence = plausible_values(parameters, measured, _INCIDENCE).T
    return _graded(name, value - (ideal[0] * incidence + ideal[1]), limits)


def _lordosis_share(parameters: Parameters) -> Classified:
    if absent := absent_class(parameters, _LORDOSIS, _LOWER_LORDOSIS):
        return absent
    whole, lower = plausible_values(parameters, _LORDOSIS, _LOWER_LORDOSIS).T
    if whole[0] < LEAST_LORDOSIS_DEG:
        return Classified(None, f"lordosis L1-S1 is below {LEAST_LORDOSIS_DEG:.0f} degrees, so a share has no meaning")
    return _graded("gap_lordosis_share", 100.0 * lower / np.maximum(whole, 1.0), _SHARE_LIMITS)


def _graded(name: str, values: Values, limits: tuple[float, ...]) -> Classified:
    kinds: NDArray[np.int64] = np.digitize(values, limits)
    points = {"points": str(_PARTS[name][int(kinds[0])])}
    return Classified(CLASSES[name].values[int(kinds[0])], None, float(values[0]), share_of_first(kinds), points)


def _gap_score(parts: Mapping[str, Classified]) -> Classified:
    """The category, if relative spinopelvic alignment and age cannot change it."""
    if missing := [CLASSES[name].label for name, part in parts.items() if part.value is None]:
        return Classified(None, f"{NO_C7}; also absent: {', '.join(missing)}")
    known = sum(int(part.detail["points"]) for part in parts.values())
    if known < _SEVERE:
        return Classified(
            None, f"{NO_C7}; its other parts give {known} points, so the score is {known} to {known + _OTHER_POINTS}"
        )
    shares = [part.probability for part in parts.values()]
    share = None if any(each is None for each in shares) else float(np.prod(np.array(shares, dtype=np.float64)))
    return Classified("severely disproportioned", None, float(known), share, {"points": f"at least {known}"})
