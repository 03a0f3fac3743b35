"""Who the virtual patients are: the parameters of one patient, and how a seed draws them.

What belongs here: distributions and relations from the literature. What does not: shapes (``morphometry``,
``vertebrae`` ...) and bounds (``limits``). Contract: a seed always gives the same patient; sampled values lie
inside ``limits.ALLOWED``; PI = PT + SS holds exactly. Sources (docs/sources.md, population and anatomy):
PI, SS|PI: UCI normals and Mac-Thiong 2011; LL|PI, age: Hasegawa 2016; adolescents and AIS: sterEOS cohort
(10.1186/s13013-018-0156-0); coupled rotation: PMC5320720; degenerative: ISSG-like orders of magnitude.
"""

import numpy as np

from spine.phantom.curvature import t1_forward_of_hips
from spine.phantom.curve_patterns import sample_curves
from spine.phantom.limits import ALLOWED
from spine.phantom.parameters import Condition, CoronalCurve, FieldOfView, PatientParameters, Sex

__all__ = ["CoronalCurve", "PatientParameters", "sample_patient"]

CONDITIONS: tuple[Condition, ...] = ("normal", "scoliotic", "degenerative")
CONDITION_SHARES = (0.35, 0.40, 0.25)
FIELDS: tuple[FieldOfView, ...] = ("full", "without_hips", "without_t1", "thoracolumbar")
FIELD_SHARES = (0.75, 0.09, 0.08, 0.08)


def sample_patient(seed: int) -> PatientParameters:
    """Draw one patient; a seed always gives the same one."""
    rng = np.random.default_rng([seed, 0x5EED])
    condition = CONDITIONS[int(rng.choice(len(CONDITIONS), p=CONDITION_SHARES))]
    field_of_view = FIELDS[int(rng.choice(len(FIELDS), p=FIELD_SHARES))]
    age, sex = _sample_person(rng, condition)
    incidence, slope, lordosis, kyphosis = _sample_sagittal(rng, condition, age)
    size = _clip("size_factor", _size_mean(age, sex) * (1 + 0.045 * rng.standard_normal()))
    old = condition == "degenerative"
    slips = old and rng.random() < 0.3
    return PatientParameters(
        age_years=age,
        sex=sex,
        condition=condition,
        field_of_view=field_of_view,
        size_factor=size,
        bmi=_clip("bmi", (19.5 if age < 19 else 25.5) + rng.gamma(2.0, 2.0) - 3.0),
        pelvic_incidence_deg=incidence,
        sacral_slope_deg=slope,
        pelvic_tilt_deg=incidence - slope,
        lumbar_lordosis_l1_s1_deg=lordosis,
        thoracic_kyphosis_t4_t12_deg=kyphosis,
        curves=sample_curves(rng, condition),
        pelvic_obliquity_deg=_clip("pelvic_obliquity_deg", 1.5 * rng.standard_normal()),
        pelvic_rotation_deg=_clip("pelvic_rotation_deg", 2.0 * rng.standard_normal()),
        coronal_shift_mm=_clip("coronal_shift_mm", 9.0 * rng.standard_normal()),
        rotation_per_cobb=_clip("rotation_per_cobb", 0.32 + 0.06 * rng.standard_normal()),
        disc_narrowing=float(rng.uniform(0.2, 0.65)) if old else float(max(0.0, (age - 35) / 200)),
        listhesis_mm=float(rng.uniform(4, 12)) if slips else 0.0,
        bone_density=_clip("bone_density", _density_mean(age, sex) * (1 + 0.07 * rng.standard_normal())),
        femoral_head_radius_mm=_clip(
            "femoral_head_radius_mm", 24.3 * (0.55 * size + 0.45) * (1 + 0.035 * rng.standard_normal())
        ),
    )


def _clip(name: str, value: float) -> float:
    return float(np.clip(value, *ALLOWED[name]))


def _sample_person(rng: np.random.Generator, condition: Condition) -> tuple[float, Sex]:
    """Age in years and sex by condition."""
    if condition == "degenerative":
        return float(rng.uniform(50, 85)), "F" if rng.random() < 0.6 else "M"
    if condition == "scoliotic":
        age = rng.uniform(11, 18) if rng.random() < 0.8 else rng.uniform(18, 45)
        return float(age), "F" if rng.random() < 0.8 else "M"
    age = rng.uniform(11, 18) if rng.random() < 0.35 else rng.uniform(18, 75)
    return float(age), "F" if rng.random() < 0.5 else "M"


def _size_mean(age: float, sex: Sex) -> float:
    grown = float(np.interp(age, [6, 11, 14, 17], [0.78, 0.86, 0.94, 1.0]))
    return grown * (0.92 if sex == "F" else 1.0)


def _density_mean(age: float, sex: Sex) -> float:
    loss = max(0.0, age - 45) * (0.008 if sex == "F" else 0.005)
    return 1.0 - loss - max(0.0, 16 - age) * 0.015


def _sample_sagittal(rng: np.random.Generator, condition: Condition, age: float) -> tuple[float, float, float, float]:
    """Pelvic incidence, sacral slope, lordosis L1-S1, kyphosis T4-T12 in degrees, drawn in that order.

    Redraws what would fall over: T1 has to stay near the hips, and TK follows LL (r about 0.5).
    """
    while True:
        incidence = float(_normal(rng, *_INCIDENCE[condition], 28, 90))
        young = 4.0 if age < 19 else 0.0
        retroversion = 8.0 if condition == "degenerative" else 0.0
        slope = 5.1 + 0.65 * incidence + young - retroversion + 5.3 * rng.standard_normal()
        wanted = 32.9 + 0.60 * incidence - 0.23 * age + 0.5 * (slope - (5.1 + 0.65 * incidence + young))
        loss = rng.gamma(2.0, 4.0) if condition == "degenerative" else 0.0
        spread = 9.0 if condition == "scoliotic" else 6.5
        lordosis = wanted - loss + spread * rng.standard_normal()
        mean, deviation = _KYPHOSIS[condition]
        kyphosis = mean + 0.55 * (lordosis - wanted + loss) + deviation * rng.standard_normal()
        drawn = (incidence, float(slope), float(lordosis), float(kyphosis))
        if _stands(condition, drawn):
            return drawn


_INCIDENCE = {"normal": (50.0, 10.0), "scoliotic": (47.3, 11.5), "degenerative": (53.0, 11.0)}
_KYPHOSIS = {"normal": (37.0, 9.0), "scoliotic": (26.0, 14.0), "degenerative": (40.0, 12.0)}


def _stands(condition: Condition, drawn: tuple[float, float, float, float]) -> bool:
    """Whether a spine with these angles can stand: bounds, and T1 not far from above the hips."""
    incidence, slope, lordosis, kyphosis = drawn
    if not (-4 < slope < 70 and -10 < incidence - slope < 45 and 5 < lordosis < 92 and -12 < kyphosis < 80):
        return False
    low, high = (-0.12, 0.13) if condition == "degenerative" else (-0.13, 0.05)
    return low < t1_forward_of_hips(slope, incidence - slope, lordosis, kyphosis) < high


def _normal(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    """A normal draw, redrawn until it lies in [low, high]."""
    while True:
        value = mean + deviation * float(rng.standard_normal())
        if low <= value <= high:
            return value
