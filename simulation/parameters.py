"""The parameters of one virtual patient, and their allowed ranges.

Contract: the values of every instance are inside ``ALLOWED``. An error names every violation with its range.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import get_args

from simulation.anatomy import VertebralColumn, vertebral_column
from simulation.vocabulary import Anatomy, Condition, FieldOfView, RodMetal, Sex, Side
from spine.errors import ValuesRejected

ALLOWED: Mapping[str, tuple[float, float]] = {
    "age_years": (6.0, 100.0),
    "size_factor": (0.70, 1.25),
    "bmi": (13.0, 45.0),
    "pelvic_incidence_deg": (15.0, 100.0),
    "sacral_slope_deg": (-5.0, 75.0),
    "pelvic_tilt_deg": (-20.0, 55.0),
    "lumbar_lordosis_l1_s1_deg": (-15.0, 105.0),
    "lumbar_lordosis_l1_l5_deg": (-30.0, 95.0),
    "thoracic_kyphosis_t4_t12_deg": (-30.0, 95.0),
    "t1_inclination_deg": (-20.0, 35.0),
    "pelvic_obliquity_deg": (-12.0, 12.0),
    "pelvic_rotation_deg": (-12.0, 12.0),
    "coronal_shift_mm": (-60.0, 60.0),
    "rotation_per_cobb": (0.0, 0.6),
    "disc_narrowing": (0.0, 0.8),
    "listhesis_mm": (0.0, 32.0),
    "lateral_listhesis_mm": (-12.0, 12.0),
    "bone_density": (0.45, 1.3),
    "femoral_head_radius_mm": (16.0, 30.5),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "condition": get_args(Condition),
    "sex": get_args(Sex),
    "field_of_view": get_args(FieldOfView),
    "anatomy": get_args(Anatomy),
}
COBB_DEG = (0.0, 100.0)
BODY_SHARE = (0.2, 0.8)
FRACTURE_LOSS = (0.05, 0.5)
LUMBOSACRAL_DEG = (-8.0, 50.0)
"""The lordosis between the lower plate of L5 and the S1 plate, which is lordosis L1-S1 minus lordosis L1-L5."""
MIN_CURVE_VERTEBRAE = 3
"""Number of vertebrae of the shortest allowed curve, both end vertebrae included."""
MAX_SEGMENT_DEG = 15.0
"""Largest mean angle of the bodies and discs of a curve; a choice. Sampled curves reach 12.9 degrees (90 degrees over
four vertebrae). At 26 degrees, wedged bodies would be triangles."""


@dataclass(frozen=True)
class CoronalCurve:
    """One lateral curve, from the upper end plate of ``upper_end`` to the lower end plate of ``lower_end``.

    Attributes:
        upper_end, lower_end: end vertebrae, e.g. ``T5``, ``T12``.
        cobb_deg: angle between these two end plates in the coronal plane.
        convex: the patient's side to which the apex lies.
        body_share: share of the Cobb angle that comes from wedged bodies; the rest comes from discs.
    """

    upper_end: str
    lower_end: str
    cobb_deg: float
    convex: Side
    body_share: float = 0.5


@dataclass(frozen=True)
class WedgeFracture:
    """A wedge fracture. The anterior wall loses the share ``loss`` of its height, the posterior wall loses nothing."""

    level: str
    loss: float


@dataclass(frozen=True)
class Instrumentation:
    """The implants of one operated spine.

    Attributes:
        upper, lower: first and last level of the construct; ``lower`` may be ``S1``.
        rod_metal: metal of the rods. Screws are made of titanium.
        screws: (level, side) of each pedicle screw.
        rods: sides that have a rod.
        cages: levels with a cage in the disc below.
        laminectomy: whether laminae and spinous processes are removed at the levels below ``upper`` and above S1.
    """

    upper: str
    lower: str
    rod_metal: RodMetal
    screws: tuple[tuple[str, Side], ...]
    rods: tuple[Side, ...] = ("left", "right")
    cages: tuple[str, ...] = ()
    laminectomy: bool = False


@dataclass(frozen=True)
class PatientParameters:
    """The parameters of one patient.

    Attributes:
        size_factor: linear size relative to the adult male mean.
        lumbar_lordosis_l1_l5_deg: angle from the upper plate of L1 to the lower plate of L5. With four lumbar
            vertebrae, the angle ends at the lower plate of L4.
        t1_inclination_deg: target angle between the vertical and the line from the hip axis to T1, positive forward.
            The pose comes as near to this target as lordosis and kyphosis allow.
        curves: lateral curves, cranial to caudal. Neighbouring curves share an end vertebra and have opposite sides.
        coronal_shift_mm: target offset of T1 from S1, positive to the left. The pose comes as near to this target as
            the curves allow.
        rotation_per_cobb: axial rotation of a thoracic apex, degrees per degree of Cobb angle. A lumbar apex rotates
            0.8 times as much.
        disc_narrowing: mean loss of lumbar disc height, 0 (healthy) to 0.8.
        listhesis_mm: forward slip of ``listhesis_level`` on the vertebra below it. All levels above move with it.
        lateral_listhesis_mm: slip of ``lateral_listhesis_level`` on the vertebra below it, positive to the left.
        fractures: wedge fractures, at most one a level.
        instrumentation: implants, or None.
        bone_density: cortical thickness and trabecular density relative to a young adult.

    Raises:
        ValuesRejected: a value is outside its allowed range; the error names all such values.
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
        found = [*_out_of_range(self), *_unknown_choices(self), *_inconsistent(self)]
        if self.anatomy in CHOICES["anatomy"]:
            column = vertebral_column(self.anatomy)
            found += [*_curve_violations(self.curves, column), *_slip_violations(self, column)]
            found += _fracture_violations(self.fractures, column)
            if self.instrumentation is not None:
                found += _implant_violations(self.instrumentation, column)
        if found:
            raise ValuesRejected(
                "PATIENT_IMPLAUSIBLE",
                found="; ".join(found),
                expected="values inside the named ranges, with PI = PT + SS and with neighbouring curves on "
                "alternating sides",
                remedy="choose values inside the ranges (simulation.parameters.ALLOWED), or use sample_patient",
            )


def _is_number(*values: object) -> bool:
    return all(isinstance(value, Real) and math.isfinite(value) for value in values)


def _range_violation(name: str, value: float, allowed: tuple[float, float]) -> Iterator[str]:
    low, high = allowed
    if not isinstance(value, Real):
        yield f"{name} = {value!r} (a number, {low:g} to {high:g})"
    elif not (math.isfinite(value) and low <= value <= high):
        yield f"{name} = {value:g} (allowed {low:g} to {high:g})"


def _out_of_range(parameters: PatientParameters) -> Iterator[str]:
    for name, allowed in ALLOWED.items():
        yield from _range_violation(name, getattr(parameters, name), allowed)


def _unknown_choices(parameters: PatientParameters) -> Iterator[str]:
    for name, known in CHOICES.items():
        if getattr(parameters, name) not in known:
            yield f"{name} = {getattr(parameters, name)!r} (allowed {', '.join(known)})"


def _inconsistent(parameters: PatientParameters) -> Iterator[str]:
    tilt, slope, incidence = parameters.pelvic_tilt_deg, parameters.sacral_slope_deg, parameters.pelvic_incidence_deg
    if _is_number(tilt, slope, incidence) and abs(tilt + slope - incidence) > 1e-6:
        yield f"PT + SS = {tilt + slope:g} although PI = {incidence:g} (they must be equal)"
    whole, upper = parameters.lumbar_lordosis_l1_s1_deg, parameters.lumbar_lordosis_l1_l5_deg
    if _is_number(whole, upper):
        yield from _range_violation("lordosis L1-S1 minus L1-L5", whole - upper, LUMBOSACRAL_DEG)


def largest_cobb(curve: CoronalCurve, levels: Sequence[str]) -> float:
    """The largest allowed Cobb angle of a curve with these end vertebrae, degrees. ``levels`` are cranial to caudal."""
    return min(MAX_SEGMENT_DEG * (2 * _spanned(curve, levels) - 1), COBB_DEG[1])


def _spanned(curve: CoronalCurve, levels: Sequence[str]) -> int:
    return levels.index(curve.lower_end) - levels.index(curve.upper_end) + 1


def _curve_violations(curves: Sequence[CoronalCurve], column: VertebralColumn) -> Iterator[str]:
    levels = column.mobile
    for curve in curves:
        unknown = [e for e in (curve.upper_end, curve.lower_end) if e not in levels]
        if unknown:
            yield f"end vertebra {unknown[0]} (allowed T1 to {levels[-1]})"
        elif (spanned := _spanned(curve, levels)) < MIN_CURVE_VERTEBRAE:
            yield f"curve {curve.upper_end}-{curve.lower_end} (allowed: {MIN_CURVE_VERTEBRAE} vertebrae or more)"
        elif _is_number(curve.cobb_deg) and curve.cobb_deg > (most := MAX_SEGMENT_DEG * (2 * spanned - 1)):
            yield (
                f"cobb_deg = {curve.cobb_deg:g} over {spanned} vertebrae "
                f"(allowed 0 to {most:g}, {MAX_SEGMENT_DEG:g} a body or disc)"
            )
        if curve.convex not in get_args(Side):
            yield f"convex = {curve.convex!r} (allowed left, right)"
        yield from _range_violation("cobb_deg", curve.cobb_deg, COBB_DEG)
        yield from _range_violation("body_share", curve.body_share, BODY_SHARE)
    for above, below in pairwise(curves):
        if above.lower_end != below.upper_end or above.convex == below.convex:
            yield (
                f"curve {below.upper_end}-{below.lower_end} {below.convex} after "
                f"{above.upper_end}-{above.lower_end} {above.convex} (allowed: shared end vertebra, other side)"
            )


def _slip_violations(parameters: PatientParameters, column: VertebralColumn) -> Iterator[str]:
    """Slips at levels that the column does not have below T12. The level of a slip of 0 does not matter."""
    for name in ("listhesis", "lateral_listhesis"):
        level, slip = getattr(parameters, f"{name}_level"), getattr(parameters, f"{name}_mm")
        if slip != 0.0 and level not in column.mobile[12:]:
            yield f"{name}_level = {level!r} (allowed {column.mobile[12]} to {column.mobile[-1]})"


def _fracture_violations(fractures: Sequence[WedgeFracture], column: VertebralColumn) -> Iterator[str]:
    for fracture in fractures:
        if fracture.level not in column.mobile:
            yield f"fracture of {fracture.level} (allowed T1 to {column.mobile[-1]})"
        yield from _range_violation("fracture loss", fracture.loss, FRACTURE_LOSS)
    if len({fracture.level for fracture in fractures}) < len(fractures):
        yield "two fractures of one level (allowed: one)"


def _implant_violations(implants: Instrumentation, column: VertebralColumn) -> Iterator[str]:
    levels = (*column.mobile, "S1")
    ends = [end for end in (implants.upper, implants.lower) if end not in levels]
    if ends:
        yield f"construct end {ends[0]} (allowed T1 to S1)"
        return
    first, last = levels.index(implants.upper), levels.index(implants.lower)
    if first >= last:
        yield f"construct {implants.upper}-{implants.lower} (allowed: the upper end above the lower)"
        return
    spanned = levels[first : last + 1]
    for level, side in implants.screws:
        if level not in spanned or side not in get_args(Side):
            yield f"screw {level} {side} (allowed {implants.upper} to {implants.lower}, left or right)"
    for level in implants.cages:
        if level not in spanned[:-1]:
            yield f"cage below {level} (allowed {implants.upper} to {spanned[-2]})"
    if implants.rod_metal not in get_args(RodMetal):
        yield f"rod_metal = {implants.rod_metal!r} (allowed {', '.join(get_args(RodMetal))})"
    if not set(implants.rods) <= set(get_args(Side)) or len(set(implants.rods)) < len(implants.rods):
        yield f"rods = {implants.rods} (allowed left, right, each once)"
