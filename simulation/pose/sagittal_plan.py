"""Which way each end plate tilts in the sagittal plane: targets met exactly, T1 where it can stand.

Contract: degrees; a segment is a body or a disc, its step is the tilt of its upper minus that of its lower plate
(kyphosis positive); the steps between the anchors (upper plate of T4, lower of T12, upper of L1, lower of L5, S1) add
up to the targets whatever else happens.

Between two anchors the shape is free. One number, the shift, moves kyphosis towards T12, lordosis towards L1 and
opens the thoracolumbar junction: T1 comes forward with it, so a patient's inclination is reached without touching a
target. Six lumbar vertebrae: L1-L5 ends at the lower plate of L5, and L6 lies in the lumbosacral part; four: L1-L5
ends at the lower plate of L4, the last mobile one.
Sources (docs/sources.md, population and anatomy): segmental lordosis s41598-022-21840-x; body wedging PMC2899959;
T1-T4 from T1-T12 less T4-T12 of the sterEOS cohort.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from simulation.anatomy import FIRST, Column, column_of
from simulation.parameters import PatientParameters
from simulation.pose.morphometry import S1_TO_HIPS_MM, mean_heights
from simulation.vocabulary import Anatomy
from spine.types import Floats

_LUMBAR_BODIES = (-3.3, -1.6, 0.0, 2.0, 6.0)  # lordosis of L1..L5
_LUMBAR_DISCS = (4.5, 7.5, 9.1, 10.7)  # lordosis of the disc below L1..L4
_BODY_SURPLUS = (0.03, 0.045, 0.06, 0.075, 0.09)  # who takes a surplus of lordosis
_DISC_SURPLUS = (0.11, 0.16, 0.21, 0.22)
_JUNCTION = 2.5  # lordosis between T12 and L1
_THORACIC = (0.9, 1.0, 1.15, 1.2, 1.15, 1.05, 0.9, 0.75, 0.6)  # kyphosis of T4..T12
_THORACIC_BODY_PART = 0.75

UPPER_THORACIC_DEG, UPPER_PER_KYPHOSIS, MEAN_KYPHOSIS_DEG = 5.7, -0.12, 37.7
"""Kyphosis T1-T4 at the mean T4-T12, and its change per degree of T4-T12."""
SHIFT_LIMIT = 1.5
_SHIFTED_DEG = {"thoracic": 9.0, "lumbar": 6.0, "junction": 5.0}  # at shift 1


@dataclass(frozen=True)
class Region:
    """Segments ``start`` to ``stop`` (exclusive) between two anchors: steps = base + share (total - sum of base)."""

    start: int
    stop: int
    base: Floats
    share: Floats

    @property
    def segments(self) -> slice:
        """Place among all segments."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class SagittalForm:
    """What is the same for every patient of one column.

    Attributes:
        regions: ``upper`` (T1-T4), ``thoracic``, ``junction``, ``lumbar``, ``lumbosacral``.
        shift: (P - 1,) change of the steps per unit of shift.
        lengths: (P - 1,) mean lengths of the segments, mm.
    """

    regions: Mapping[str, Region]
    shift: Floats
    lengths: Floats


@dataclass(frozen=True)
class SagittalTargets:
    """Angles in degrees, scalars or arrays of one shape (...)."""

    slope: float | Floats
    lordosis_l1_s1: float | Floats
    lordosis_l1_l5: float | Floats
    kyphosis: float | Floats


def targets_of(parameters: PatientParameters) -> SagittalTargets:
    """The targets of one patient."""
    return SagittalTargets(
        parameters.sacral_slope_deg,
        parameters.lumbar_lordosis_l1_s1_deg,
        parameters.lumbar_lordosis_l1_l5_deg,
        parameters.thoracic_kyphosis_t4_t12_deg,
    )


@cache
def form_of(anatomy: Anatomy) -> SagittalForm:
    """The form of one column."""
    column = column_of(anatomy)
    regions = _regions(column)
    heights, discs = mean_heights(anatomy)
    shift = np.zeros(column.s1)
    for name, region in regions.items():
        if name in ("thoracic", "lumbar"):
            towards = np.linspace(-1.0, 1.0, region.stop - region.start)  # caudal positive
            towards -= (towards * region.share).sum()
            moved = region.share * towards  # lordosis, a negative step, goes up where kyphosis goes down
            shift[region.segments] = _SHIFTED_DEG[name] * moved / np.abs(moved).sum() * 2
    junction = regions["junction"]
    shift[junction.segments] = _SHIFTED_DEG["junction"] * junction.share
    return SagittalForm(regions, shift, np.stack([heights, discs], axis=1).ravel())


def _regions(column: Column) -> dict[str, Region]:
    end, last = column.lordotic_end, column.index[column.lordotic_end]
    lumbar = last - column.index["L1"] + 1
    base, surplus = np.zeros(2 * lumbar - 1), np.zeros(2 * lumbar - 1)
    base[0::2], base[1::2] = -np.array(_LUMBAR_BODIES[:lumbar]), -np.array(_LUMBAR_DISCS[: lumbar - 1])
    surplus[0::2], surplus[1::2] = _BODY_SURPLUS[:lumbar], _DISC_SURPLUS[: lumbar - 1]
    thoracic = np.empty(17)  # T4 body, T4-5 disc, ... T12 body
    thoracic[0::2] = _THORACIC_BODY_PART * np.array(_THORACIC)
    thoracic[1::2] = (1 - _THORACIC_BODY_PART) * np.array(_THORACIC[:-1])
    plate = column.plate
    return {
        "upper": _region(plate("T1", 0), np.ones(6)),
        "thoracic": _region(plate("T4", 0), thoracic),
        "junction": _region(plate("T12", 1), _bridge(plate("L1", 0) - plate("T12", 1))),
        "lumbar": _region(plate("L1", 0), surplus, base),
        "lumbosacral": _region(plate(end, 1), _bridge(column.s1 - plate(end, 1))),
    }


def _region(start: int, share: Floats, base: Floats | None = None) -> Region:
    given = np.zeros(len(share)) if base is None else base
    return Region(start, start + len(share), given, share / share.sum())


def _bridge(count: int) -> Floats:
    """(count,) shares of a part that is one disc, or two discs about an extra body, which takes less."""
    return np.ones(1) if count == 1 else np.array([0.4, 0.2, 0.4])


def sagittal_steps(anatomy: Anatomy, targets: SagittalTargets) -> Floats:
    """(..., P - 1) steps at shift 0; those above T1 are zero, for ``with_neck``."""
    form, kyphosis = form_of(anatomy), np.asarray(targets.kyphosis, dtype=np.float64)
    lordosis, upper_part = np.asarray(targets.lordosis_l1_s1), np.asarray(targets.lordosis_l1_l5)
    totals = {
        "upper": UPPER_THORACIC_DEG + UPPER_PER_KYPHOSIS * (kyphosis - MEAN_KYPHOSIS_DEG),
        "thoracic": kyphosis,
        "junction": np.full(kyphosis.shape, -_JUNCTION),
        "lumbar": -upper_part,
        "lumbosacral": upper_part - lordosis,
    }
    steps = np.zeros((*kyphosis.shape, len(form.shift)))
    for name, region in form.regions.items():
        surplus = np.asarray(totals[name] - region.base.sum())
        steps[..., region.segments] = region.base + surplus[..., None] * region.share
    return steps


def tilts_of_steps(slope: float | Floats, steps: Floats) -> Floats:
    """(..., P) tilts from the sacral slope upwards; the neck rises evenly from T1 to a level gaze."""
    slope = np.asarray(slope, dtype=np.float64)[..., None]
    rising = np.cumsum(steps[..., ::-1], axis=-1)[..., ::-1] + slope
    tilts: Floats = np.concatenate([rising, slope], axis=-1)
    top = tilts[..., 2 * FIRST]
    gaze = np.minimum(0.2 * top, 5.0)
    ease = np.linspace(0.0, 1.0, 2 * FIRST + 1)
    tilts[..., : 2 * FIRST + 1] = gaze[..., None] + (top - gaze)[..., None] * ease
    return tilts


def t1_inclination(anatomy: Anatomy, tilts: Floats, pelvic_tilt: float | Floats) -> Floats:
    """(...,) degrees by which the line from the hip axis to mid T1 leans forward, for a patient of mean sizes."""
    radians, pelvic = np.deg2rad(tilts[..., 2 * FIRST :]), np.deg2rad(pelvic_tilt)
    middle, lengths = (radians[..., 1:] + radians[..., :-1]) / 2, form_of(anatomy).lengths[2 * FIRST :].copy()
    lengths[0] /= 2
    forward = np.sin(middle) @ lengths - S1_TO_HIPS_MM * np.sin(pelvic)
    up = np.cos(middle) @ lengths + S1_TO_HIPS_MM * np.cos(pelvic)
    return np.asarray(np.rad2deg(np.arctan2(forward, up)))


def reach(anatomy: Anatomy, targets: SagittalTargets, pelvic_tilt: float | Floats) -> tuple[Floats, Floats]:
    """(...,) least and greatest T1 inclination within the limits of the shift, degrees."""
    steps, shift = sagittal_steps(anatomy, targets), SHIFT_LIMIT * form_of(anatomy).shift
    least = tilts_of_steps(targets.slope, steps - shift)
    greatest = tilts_of_steps(targets.slope, steps + shift)
    return t1_inclination(anatomy, least, pelvic_tilt), t1_inclination(anatomy, greatest, pelvic_tilt)


def standing_steps(parameters: PatientParameters) -> Floats:
    """(P - 1,) steps of one patient, shifted so that T1 stands as near to its inclination as it can."""
    anatomy, targets, tilt = parameters.anatomy, targets_of(parameters), parameters.pelvic_tilt_deg
    steps, shift = sagittal_steps(anatomy, targets), form_of(anatomy).shift
    tried = np.linspace(-SHIFT_LIMIT, SHIFT_LIMIT, 5)
    tilts = tilts_of_steps(np.full(5, targets.slope), steps + tried[:, None] * shift)
    leaning = t1_inclination(anatomy, tilts, tilt)
    return np.asarray(steps + float(np.interp(parameters.t1_inclination_deg, leaning, tried)) * shift)
