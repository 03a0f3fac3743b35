"""The parameters of one virtual patient: everything that is decided before a bone is shaped.

What belongs here: the records. What does not: what is likely (``population``), what is allowed (``limits``).
Contract: an instance exists only with values inside ``limits.ALLOWED``.
"""

from dataclasses import dataclass
from typing import Literal

Condition = Literal["normal", "scoliotic", "degenerative"]
Sex = Literal["F", "M"]
Side = Literal["left", "right"]
FieldOfView = Literal["full", "without_hips", "without_t1", "thoracolumbar"]


@dataclass(frozen=True)
class CoronalCurve:
    """One lateral curve: from the upper end plate of ``upper_end`` to the lower of ``lower_end``.

    Attributes:
        upper_end, lower_end: end vertebrae, e.g. ``T5``, ``T12``.
        cobb_deg: angle between those two plates in the coronal plane.
        convex: the patient's side to which the apex lies.
    """

    upper_end: str
    lower_end: str
    cobb_deg: float
    convex: Side


@dataclass(frozen=True)
class PatientParameters:
    """Everything that is decided about a patient before a bone is shaped.

    Attributes:
        curves: lateral curves cranial to caudal; neighbours share an end vertebra and alternate in side.
        size_factor: linear size relative to the adult male mean.
        coronal_shift_mm: where T1 would like to stand beside S1 (+ left); reached as far as the curves allow.
        rotation_per_cobb: axial rotation of a thoracic apex per degree of Cobb (lumbar: 0.8 of it).
        disc_narrowing: 0 (healthy) to 0.8: mean loss of lumbar disc height.
        listhesis_mm: forward slip of L4 on L5.
        bone_density: cortical thickness and trabecular density relative to a young adult.

    Raises:
        ParametersRejected: a value is outside its allowed range; all are named.
    """

    age_years: float
    sex: Sex
    condition: Condition
    field_of_view: FieldOfView
    size_factor: float
    bmi: float
    pelvic_incidence_deg: float
    sacral_slope_deg: float
    pelvic_tilt_deg: float
    lumbar_lordosis_l1_s1_deg: float
    thoracic_kyphosis_t4_t12_deg: float
    curves: tuple[CoronalCurve, ...] = ()
    pelvic_obliquity_deg: float = 0.0
    pelvic_rotation_deg: float = 0.0
    coronal_shift_mm: float = 0.0
    rotation_per_cobb: float = 0.32
    disc_narrowing: float = 0.0
    listhesis_mm: float = 0.0
    bone_density: float = 1.0
    femoral_head_radius_mm: float = 23.5

    def __post_init__(self) -> None:
        from spine.phantom.limits import check

        check(self)
