"""Who the virtual patients are: how a seed draws one.

Contract: a seed always gives the same patient; sampled values lie inside ``parameters.ALLOWED``; PI = PT + SS holds
exactly. The shares of conditions, columns and fields of view are a choice: adolescent scoliosis is the largest group,
as in the paper's clinic, and every other one is large enough to learn from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from simulation.anatomy import Column, column_of
from simulation.parameters import ALLOWED, CoronalCurve, Instrumentation, PatientParameters
from simulation.population.alignment import Alignment, sample_alignment
from simulation.population.curve_patterns import sample_curves
from simulation.population.degeneration import (
    sample_density,
    sample_fractures,
    sample_lateral_listhesis,
    sample_listhesis,
    sample_narrowing,
)
from simulation.population.operations import sample_fusion, sample_scoliosis_surgery
from simulation.vocabulary import Anatomy, Condition, FieldOfView, Sex

__all__ = ["CoronalCurve", "PatientParameters", "sample_patient"]

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
"""Of operated patients; the others had a short lumbar fusion."""

# Condition -> (age ranges in years with shares, share of women)
_PERSONS: Mapping[Condition, tuple[tuple[tuple[float, float, float], ...], float]] = {
    "healthy_adolescent": (((1.0, 10.0, 18.0),), 0.55),
    "healthy_adult": (((1.0, 18.0, 75.0),), 0.5),
    "adolescent_scoliosis": (((0.85, 10.0, 18.0), (0.15, 18.0, 35.0)), 0.8),
    "adult_deformity": (((1.0, 50.0, 84.0),), 0.75),
    "degenerative": (((1.0, 42.0, 84.0),), 0.5),
    "osteoporotic": (((1.0, 60.0, 90.0),), 0.8),
    "instrumented": (((1.0, 13.0, 35.0),), 0.75),
}
_FUSED = (((1.0, 40.0, 82.0),), 0.5)


@dataclass(frozen=True)
class _Body:
    """Numbers that follow from who somebody is."""

    size: float
    bmi: float
    femoral_head_radius: float


def sample_patient(seed: int) -> PatientParameters:
    """Draw one patient; a seed always gives the same one."""
    rng = np.random.default_rng([seed, 0x5EED])
    condition, field_of_view = _drawn(rng, CONDITION_SHARES), _drawn(rng, FIELD_SHARES)
    anatomy = _drawn(rng, ANATOMY_SHARES)
    fused = condition == "instrumented" and rng.random() >= SCOLIOSIS_SURGERY_SHARE
    age, sex = _sample_person(rng, *(_FUSED if fused else _PERSONS[condition]))
    group: Condition = condition
    if condition == "instrumented":
        group = "degenerative" if fused else "adolescent_scoliosis"
    angles = sample_alignment(rng, group, age, anatomy)
    metal, curves = _sample_curves(rng, condition, fused, column_of(anatomy))
    return _assembled(rng, (condition, field_of_view, anatomy), (age, sex), group, angles, metal, curves)


def _assembled(
    rng: np.random.Generator,
    kinds: tuple[Condition, FieldOfView, Anatomy],
    person: tuple[float, Sex],
    group: Condition,
    angles: Alignment,
    metal: Instrumentation | None,
    curves: tuple[CoronalCurve, ...],
) -> PatientParameters:
    """One patient, the smaller draws made last: wear, slips, fractures, posture, body."""
    (condition, field_of_view, anatomy), (age, sex) = kinds, person
    body = _sample_body(rng, age, sex)
    major = max(curves, key=lambda curve: curve.cobb_deg)
    slip = sample_listhesis(rng, group, angles.incidence, column_of(anatomy))
    aside = sample_lateral_listhesis(rng, condition, major.cobb_deg, major.convex == "left")
    return PatientParameters(
        age_years=age,
        sex=sex,
        condition=condition,
        field_of_view=field_of_view,
        anatomy=anatomy,
        size_factor=body.size,
        bmi=body.bmi,
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
        listhesis_level=slip.level if slip else "L4",
        listhesis_mm=slip.mm if slip else 0.0,
        lateral_listhesis_level=aside.level if aside else "L3",
        lateral_listhesis_mm=aside.mm if aside else 0.0,
        fractures=sample_fractures(rng, condition),
        instrumentation=metal,
        bone_density=_clip("bone_density", sample_density(rng, condition, age, sex)),
        femoral_head_radius_mm=body.femoral_head_radius,
    )


def _drawn(rng: np.random.Generator, shares: Mapping[Kind, float]) -> Kind:
    """One of the kinds, by share; the last takes what rounding leaves."""
    left = float(rng.random()) * sum(shares.values())
    for kind, share in shares.items():
        left -= share
        if left < 0:
            return kind
    return list(shares)[-1]


def _clip(name: str, value: float) -> float:
    low, high = ALLOWED[name]
    return float(min(max(value, low), high))


def _sample_person(
    rng: np.random.Generator, ages: tuple[tuple[float, float, float], ...], women: float
) -> tuple[float, Sex]:
    low, high = _drawn(rng, {(low, high): share for share, low, high in ages})
    return float(rng.uniform(low, high)), "F" if rng.random() < women else "M"


def _sample_curves(
    rng: np.random.Generator, condition: Condition, fused: bool, column: Column
) -> tuple[Instrumentation | None, tuple[CoronalCurve, ...]]:
    if condition != "instrumented":
        return None, sample_curves(rng, condition, column)
    return sample_fusion(rng, column) if fused else sample_scoliosis_surgery(rng, column)


def _sample_body(rng: np.random.Generator, age: float, sex: Sex) -> _Body:
    size = _clip("size_factor", _size_mean(age, sex) * (1 + 0.055 * rng.standard_normal()))
    return _Body(
        size=size,
        bmi=_clip("bmi", (19.5 if age < 19 else 25.5) + rng.gamma(2.0, 2.0) - 3.0),
        femoral_head_radius=_clip(
            "femoral_head_radius_mm", 24.6 * (0.9 * size + 0.1) * (1 + 0.055 * rng.standard_normal())
        ),
    )


def _size_mean(age: float, sex: Sex) -> float:
    grown = float(np.interp(age, [6, 11, 14, 17], [0.78, 0.86, 0.94, 1.0]))
    return grown * (0.925 if sex == "F" else 1.0)
