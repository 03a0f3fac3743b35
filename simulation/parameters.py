"""The parameters of one virtual patient: everything that is decided before a bone is shaped.

Contract: an instance exists only with values inside ``limits.ALLOWED``.
"""

from dataclasses import dataclass
from typing import Literal

Condition = Literal[
    "healthy_adolescent",
    "healthy_adult",
    "adolescent_scoliosis",
    "adult_deformity",
    "degenerative",
    "osteoporotic",
    "instrumented",
]
Anatomy = Literal["standard", "six_lumbar", "four_lumbar", "thirteen_thoracic"]
Sex = Literal["F", "M"]
Side = Literal["left", "right"]
Metal = Literal["titanium", "cobalt_chrome"]
FieldOfView = Literal["full", "without_hips", "without_t1", "thoracolumbar", "whole_body"]


@dataclass(frozen=True)
class CoronalCurve:
    """One lateral curve: from the upper end plate of ``upper_end`` to the lower of ``lower_end``.

    Attributes:
        upper_end, lower_end: end vertebrae, e.g. ``T5``, ``T12``.
        cobb_deg: angle between those two plates in the coronal plane.
        convex: the patient's side to which the apex lies.
        body_share: part of the Cobb angle taken by wedged bodies, most at the apex; the discs take the rest.
    """

    upper_end: str
    lower_end: str
    cobb_deg: float
    convex: Side
    body_share: float = 0.5


@dataclass(frozen=True)
class WedgeFracture:
    """A body that has sunk in front: its anterior height is ``1 - loss`` of what it was; its back wall stands."""

    level: str
    loss: float


@dataclass(frozen=True)
class Instrumentation:
    """Metal in a spine.

    Attributes:
        upper, lower: end levels of the construct; ``lower`` may be ``S1``.
        metal: of the rods; screws are titanium.
        screws: (level, side) of each pedicle screw.
        rods: sides that carry one.
        cages: levels whose disc below holds a cage.
        laminectomy: whether laminae and spinous processes of the levels below ``upper`` and above S1 are taken off.
    """

    upper: str
    lower: str
    metal: Metal
    screws: tuple[tuple[str, Side], ...]
    rods: tuple[Side, ...] = ("left", "right")
    cages: tuple[str, ...] = ()
    laminectomy: bool = False


@dataclass(frozen=True)
class PatientParameters:
    """Everything that is decided about a patient before a bone is shaped.

    Attributes:
        size_factor: linear size relative to the adult male mean.
        lumbar_lordosis_l1_l5_deg: upper plate of L1 to lower plate of L5; with four lumbar vertebrae, of L4.
        t1_inclination_deg: where T1 would like to stand before the hip axis, against the vertical (+ in front);
            reached as far as lordosis and kyphosis allow.
        curves: lateral curves cranial to caudal; neighbours share an end vertebra and alternate in side.
        coronal_shift_mm: where T1 would like to stand beside S1 (+ left); reached as far as the curves allow.
        rotation_per_cobb: axial rotation of a thoracic apex per degree of Cobb (lumbar: 0.8 of it).
        disc_narrowing: 0 (healthy) to 0.8: mean loss of lumbar disc height.
        listhesis_mm: forward slip of ``listhesis_level`` and all above on the vertebra below it.
        lateral_listhesis_mm: slip of ``lateral_listhesis_level`` to the left (+) on the vertebra below it.
        fractures: wedge fractures, at most one a level.
        instrumentation: metal, or None.
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
    lumbar_lordosis_l1_l5_deg: float
    thoracic_kyphosis_t4_t12_deg: float
    anatomy: Anatomy = "standard"
    t1_inclination_deg: float = -3.0
    curves: tuple[CoronalCurve, ...] = ()
    pelvic_obliquity_deg: float = 0.0
    pelvic_rotation_deg: float = 0.0
    coronal_shift_mm: float = 0.0
    rotation_per_cobb: float = 0.32
    disc_narrowing: float = 0.0
    listhesis_level: str = "L4"
    listhesis_mm: float = 0.0
    lateral_listhesis_level: str = "L3"
    lateral_listhesis_mm: float = 0.0
    fractures: tuple[WedgeFracture, ...] = ()
    instrumentation: Instrumentation | None = None
    bone_density: float = 1.0
    femoral_head_radius_mm: float = 23.5

    def __post_init__(self) -> None:
        from simulation.limits import check

        check(self)
