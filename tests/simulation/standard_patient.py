"""A standard adult without signs of any condition."""

from dataclasses import replace
from typing import Any

from simulation.parameters import PatientParameters

STANDING = PatientParameters(
    age_years=32.0,
    sex="M",
    condition="healthy_adult",
    field_of_view="full",
    size_factor=1.0,
    bmi=22.0,
    pelvic_incidence_deg=50.0,
    sacral_slope_deg=38.0,
    pelvic_tilt_deg=12.0,
    lumbar_lordosis_l1_s1_deg=55.0,
    lumbar_lordosis_l1_l5_deg=38.0,
    thoracic_kyphosis_t4_t12_deg=32.0,
)


def standing(**changes: Any) -> PatientParameters:
    """The standard adult with some parameters changed."""
    return replace(STANDING, **changes)
