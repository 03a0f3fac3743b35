"""Which parameters a virtual patient may have: the allowed ranges, and the refusal of anything else.

What belongs here: bounds wide enough for every published extreme, and consistency between parameters.
What does not: what is likely (``population``). Contract: all violations are gathered into one
``ParametersRejected`` that names each value with its allowed range.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from spine.errors import ParametersRejected
from spine.landmarks import VERTEBRAE
from spine.phantom.parameters import CoronalCurve, PatientParameters

ALLOWED: Mapping[str, tuple[float, float]] = {
    "age_years": (6.0, 100.0),
    "size_factor": (0.75, 1.20),
    "bmi": (13.0, 45.0),
    "pelvic_incidence_deg": (25.0, 95.0),
    "sacral_slope_deg": (-5.0, 75.0),
    "pelvic_tilt_deg": (-15.0, 50.0),
    "lumbar_lordosis_l1_s1_deg": (-10.0, 100.0),
    "thoracic_kyphosis_t4_t12_deg": (-25.0, 90.0),
    "pelvic_obliquity_deg": (-12.0, 12.0),
    "pelvic_rotation_deg": (-12.0, 12.0),
    "coronal_shift_mm": (-60.0, 60.0),
    "rotation_per_cobb": (0.0, 0.6),
    "disc_narrowing": (0.0, 0.8),
    "listhesis_mm": (0.0, 14.0),
    "bone_density": (0.5, 1.3),
    "femoral_head_radius_mm": (16.0, 29.0),
}
COBB_DEG = (0.0, 100.0)
SHORTEST_CURVE = 3
"""Vertebrae of a curve, its two end vertebrae included."""


def check(parameters: PatientParameters) -> None:
    """Refuse impossible parameters.

    Raises:
        ParametersRejected: with every value that lies outside its range, and the range.
    """
    found = [*_out_of_range(parameters), *_inconsistent(parameters), *_bad_curves(parameters.curves)]
    if found:
        raise ParametersRejected(
            "PATIENT_IMPLAUSIBLE",
            found="; ".join(found),
            expected="values inside the ranges named, PI = PT + SS, curves that follow each other on alternating sides",
            remedy="choose values inside the allowed ranges (spine.phantom.limits) or draw with sample_patient",
        )


def _out_of_range(parameters: PatientParameters) -> list[str]:
    found = []
    for name, (low, high) in ALLOWED.items():
        value = getattr(parameters, name)
        if not (math.isfinite(value) and low <= value <= high):
            found.append(f"{name} = {value:g} (allowed {low:g} to {high:g})")
    return found


def _inconsistent(parameters: PatientParameters) -> list[str]:
    total = parameters.pelvic_tilt_deg + parameters.sacral_slope_deg
    if math.isfinite(total) and abs(total - parameters.pelvic_incidence_deg) > 1e-6:
        return [f"PT + SS = {total:g} although PI = {parameters.pelvic_incidence_deg:g} (they are equal)"]
    return []


def _bad_curves(curves: Sequence[CoronalCurve]) -> list[str]:
    found = []
    for curve in curves:
        unknown = [e for e in (curve.upper_end, curve.lower_end) if e not in VERTEBRAE]
        if unknown:
            found.append(f"end vertebra {unknown[0]} (allowed T1 to L5)")
        elif VERTEBRAE.index(curve.lower_end) - VERTEBRAE.index(curve.upper_end) + 1 < SHORTEST_CURVE:
            found.append(f"curve {curve.upper_end}-{curve.lower_end} (allowed: {SHORTEST_CURVE} vertebrae or more)")
        if not (math.isfinite(curve.cobb_deg) and COBB_DEG[0] <= curve.cobb_deg <= COBB_DEG[1]):
            found.append(f"cobb_deg = {curve.cobb_deg:g} (allowed {COBB_DEG[0]:g} to {COBB_DEG[1]:g})")
    for above, below in pairwise(curves):
        if above.lower_end != below.upper_end or above.convex == below.convex:
            found.append(
                f"curve {below.upper_end}-{below.lower_end} {below.convex} after "
                f"{above.upper_end}-{above.lower_end} {above.convex} (allowed: shared end vertebra, other side)"
            )
    return found
