"""Measures all parameters of one study.

Contract: the result has exactly the keys of the registry. A parameter that cannot be measured in the given planes is
absent, with a reason.
"""

from collections.abc import Mapping

from spine.measurement import coronal, sagittal
from spine.measurement.planes import PlanePoints
from spine.measurement.registry import PARAMETERS, Measured, Plane
from spine.measurement.tilts import plate_tilts

_VIEW_OF_PLANE: Mapping[Plane, str] = {"sagittal": "lateral", "coronal": "frontal"}


def measure(planes: Mapping[Plane, PlanePoints]) -> dict[str, Measured]:
    """Parameter -> its value, or the reason why it is absent. ``planes`` may contain one plane or both."""
    measured: dict[str, Measured] = {}
    if "sagittal" in planes:
        measured |= _measure_sagittal(planes["sagittal"])
    if "coronal" in planes:
        measured |= _measure_coronal(planes["coronal"])
    for name, parameter in PARAMETERS.items():
        if name not in measured:
            needs = f"needs a {_VIEW_OF_PLANE[parameter.plane]} view"
            measured[name] = Measured(None, parameter.unit, needs, absent_code="VIEW_MISSING")
    return {name: measured[name] for name in PARAMETERS}


def _measure_sagittal(points: PlanePoints) -> dict[str, Measured]:
    tilts = plate_tilts(points)
    incidence = sagittal.pelvic_incidence(points)
    lordosis = sagittal.tilt_difference(tilts, "L1_sup", "S1_sup", -1.0)
    return {
        "thoracic_kyphosis_t4_t12": sagittal.tilt_difference(tilts, "T4_sup", "T12_inf", 1.0),
        "lumbar_lordosis_l1_l5": sagittal.tilt_difference(tilts, "L1_sup", "L5_inf", -1.0),
        "lumbar_lordosis_l1_s1": lordosis,
        "lumbar_lordosis_l4_s1": sagittal.tilt_difference(tilts, "L4_sup", "S1_sup", -1.0),
        "pelvic_incidence": incidence,
        "sacral_slope": sagittal.sacral_slope(points),
        "pelvic_tilt": sagittal.pelvic_tilt(points),
        "t1_pelvic_angle": sagittal.t1_pelvic_angle(points),
        "pi_minus_ll": sagittal.difference(incidence, lordosis),
    }


def _measure_coronal(points: PlanePoints) -> dict[str, Measured]:
    tilts = plate_tilts(points)
    return {
        **coronal.cobb_angles(points, tilts),
        "cobb_midline": coronal.midline_cobb(points, tilts),
        "coronal_balance_t1": coronal.coronal_balance_t1(points),
    }
