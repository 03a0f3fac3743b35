"""Samples one virtual patient from a seed.

Contract: a seed always gives the same patient. Sampled values lie inside ``parameters.ALLOWED``, and PI equals PT + SS
exactly. The shares of conditions, anatomies and fields of view are a choice. Adolescent scoliosis is the largest group,
as in the clinic of Galbusera et al. Every other group is large enough for a model to learn from.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from simulation.anatomy import VertebralColumn, vertebral_column
from simulation.parameters import ALLOWED, CoronalCurve, Instrumentation, PatientParameters
from simulation.population.alignment import sample_alignment
from simulation.population.curve_patterns import sample_curves
from simulation.population.degeneration import (
    Slip,
    sample_density,
    sample_fractures,
    sample_lateral_listhesis,
    sample_listhesis,
    sample_narrowing,
    sample_severe_fractures,
    sample_severe_listhesis,
)
from simulation.population.surgery import sample_fusion, sample_scoliosis_surgery
from simulation.vocabulary import Anatomy, Condition, FieldOfView, Sex

Kind = TypeVar("Kind")

CONDITION_SHARES: Mapping[Condition, float] = {
    "healthy_adolescent": 0.12,
    "healthy_adult": 0.17,
    "adolescent_scoliosis": 0.34,
    "adult_deformity": 0.10,
    "degenerative": 0.11,
    "osteoporotic": 0.07,
    "instrumented": 0.09,
}
ANATOMY_SHARES: Mapping[Anatomy, float] = {
    "standard": 0.90,
    "six_lumbar": 0.04,
    "four_lumbar": 0.03,
    "thirteen_thoracic": 0.03,
}
FIELD_SHARES: Mapping[FieldOfView, float] = {
    "full": 0.70,
    "without_hips": 0.09,
    "without_t1": 0.08,
    "thoracolumbar": 0.08,
    "whole_body": 0.05,
}
SCOLIOSIS_SURGERY_SHARE = 0.55
"""Share of operated patients who had scoliosis surgery. The other operated patients had a short lumbar fusion."""

VARIED_SPREAD = 1.8
"""Factor on the SDs of the sagittal angles of varied patients; a choice."""

# Condition -> (share, youngest, oldest) of each age range in years, and the share of women
_AGE_AND_SEX: Mapping[Condition, tuple[tuple[tuple[float, float, float], ...], float]] = {
    "healthy_adolescent": (((1.0, 10.0, 18.0),), 0.55),
    "healthy_adult": (((1.0, 18.0, 75.0),), 0.5),
    "adolescent_scoliosis": (((0.85, 10.0, 18.0), (0.15, 18.0, 35.0)), 0.8),
    "adult_deformity": (((1.0, 50.0, 84.0),), 0.75),
    "degenerative": (((1.0, 42.0, 84.0),), 0.5),
    "osteoporotic": (((1.0, 60.0, 90.0),), 0.8),
    "instrumented": (((1.0, 13.0, 35.0),), 0.75),
}
_FUSED = (((1.0, 40.0, 82.0),), 0.5)


def sample_patient(seed: int, *, varied: bool = False) -> PatientParameters:
    """Sample one patient; a seed always gives the same patient.

    ``varied`` patients are no published population. They cover what may occur: flat and strongly curved backs, forward
    slips of all degrees, and wedge fractures in patients of every condition.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    patient = _sample(rng, varied=varied)
    return _with_severe_findings(rng, patient) if varied else patient


def _sample(rng: np.random.Generator, *, varied: bool) -> PatientParameters:
    condition, field_of_view = _choose(rng, CONDITION_SHARES), _choose(rng, FIELD_SHARES)
    anatomy = _choose(rng, ANATOMY_SHARES)
    group, fused = _sample_surgery(rng, condition)
    age, sex = _sample_age_and_sex(rng, *(_FUSED if fused else _AGE_AND_SEX[condition]))
    angles = sample_alignment(rng, group, age, anatomy, VARIED_SPREAD if varied else 1.0)
    implants, curves = _sample_curves(rng, condition, fused, vertebral_column(anatomy))
    size, bmi, femoral_head_radius = _sample_build(rng, age, sex)
    slip = sample_listhesis(rng, group, angles.incidence, vertebral_column(anatomy)) or Slip("L4", 0.0)
    lateral = sample_lateral_listhesis(rng, condition, curves) or Slip("L3", 0.0)
    return PatientParameters(
        age_years=age,
        sex=sex,
        condition=condition,
        field_of_view=field_of_view,
        anatomy=anatomy,
        size_factor=size,
        bmi=bmi,
        pelvic_incidence_deg=angles.incidence,
        sacral_slope_deg=angles.slope,
        pelvic_tilt_deg=angles.tilt,
        lumbar_lordosis_l1_s1_deg=angles.lordosis_l1_s1,
        lumbar_lordosis_l1_l5_deg=angles.lordosis_l1_l5,
        thoracic_kyphosis_t4_t12_deg=angles.kyphosis,
        t1_inclination_deg=_clip("t1_inclination_deg", angles.t1_inclination),
        curves=curves,
        pelvic_obliquity_deg=_clip("pelvic_obliquity_deg", 1.5 * rng.standard_normal()),
        pelvic_rotation_deg=_clip("pelvic_rotation_deg", 2.0 * rng.standard_normal()),
        coronal_shift_mm=_clip("coronal_shift_mm", 9.0 * rng.standard_normal()),
        rotation_per_cobb=_clip("rotation_per_cobb", 0.32 + 0.06 * rng.standard_normal()),
        disc_narrowing=sample_narrowing(rng, group, age),
        listhesis_level=slip.level,
        listhesis_mm=slip.mm,
        lateral_listhesis_level=lateral.level,
        lateral_listhesis_mm=lateral.mm,
        fractures=sample_fractures(rng, condition),
        instrumentation=implants,
        bone_density=_clip("bone_density", sample_density(rng, condition, age, sex)),
        femoral_head_radius_mm=femoral_head_radius,
    )


def _with_severe_findings(rng: np.random.Generator, patient: PatientParameters) -> PatientParameters:
    column = vertebral_column(patient.anatomy)
    slip = sample_severe_listhesis(rng, column) or Slip("L4", 0.0)
    fractures = sample_severe_fractures(rng, column)
    return replace(patient, listhesis_level=slip.level, listhesis_mm=slip.mm, fractures=fractures)


def _sample_surgery(rng: np.random.Generator, condition: Condition) -> tuple[Condition, bool]:
    """The condition before any surgery, and whether the surgery was a lumbar fusion."""
    if condition != "instrumented":
        return condition, False
    fused = rng.random() >= SCOLIOSIS_SURGERY_SHARE
    return "degenerative" if fused else "adolescent_scoliosis", fused


def _choose(rng: np.random.Generator, shares: Mapping[Kind, float]) -> Kind:
    """Choose one of the kinds. The probability of a kind is its share. A rounding error selects the last kind."""
    left = float(rng.random()) * sum(shares.values())
    for kind, share in shares.items():
        left -= share
        if left < 0:
            return kind
    return list(shares)[-1]


def _clip(name: str, value: float) -> float:
    low, high = ALLOWED[name]
    return float(min(max(value, low), high))


def _sample_age_and_sex(
    rng: np.random.Generator, ages: tuple[tuple[float, float, float], ...], women: float
) -> tuple[float, Sex]:
    low, high = _choose(rng, {(low, high): share for share, low, high in ages})
    return float(rng.uniform(low, high)), "F" if rng.random() < women else "M"


def _sample_curves(
    rng: np.random.Generator, condition: Condition, fused: bool, column: VertebralColumn
) -> tuple[Instrumentation | None, tuple[CoronalCurve, ...]]:
    if condition != "instrumented":
        return None, sample_curves(rng, condition, column)
    return sample_fusion(rng, column) if fused else sample_scoliosis_surgery(rng, column)


def _sample_build(rng: np.random.Generator, age: float, sex: Sex) -> tuple[float, float, float]:
    """Sample size, BMI and radius of the femoral heads, which depend on age and sex."""
    size = _clip("size_factor", _mean_size(age, sex) * (1 + 0.055 * rng.standard_normal()))
    bmi = _clip("bmi", (19.5 if age < 19 else 25.5) + rng.gamma(2.0, 2.0) - 3.0)
    radius = 24.6 * (0.9 * size + 0.1) * (1 + 0.055 * rng.standard_normal())
    return size, bmi, _clip("femoral_head_radius_mm", radius)


def _mean_size(age: float, sex: Sex) -> float:
    grown = float(np.interp(age, [6, 11, 14, 17], [0.78, 0.86, 0.94, 1.0]))
    return grown * (0.925 if sex == "F" else 1.0)
