"""The sagittal profile: segment angles that match every target angle exactly and bring T1 near its target inclination.

Contract: degrees. A segment is a body or a disc. Its angle is the tilt of its upper plate minus the tilt of its lower
plate, so kyphosis is positive. Five plates are anchors: the upper plate of T4, the lower plate of T12, the upper plate
of L1, the lower plate of L5, and the S1 plate. The segment angles between two anchors add up to the target angle.

A target angle does not determine the shape between two anchors. One number, the shift, moves kyphosis towards T12 and
lordosis towards L1 and opens the thoracolumbar junction. A larger shift moves T1 forward. It does not change any target
angle. With six lumbar vertebrae, L1-L5 ends at the lower plate of L5, and L6 belongs to the lumbosacral region. With
four lumbar vertebrae, L1-L5 ends at the lower plate of L4, the last mobile vertebra.

Sources (docs/sources.md, population and anatomy): segmental lordosis from s41598-022-21840-x, wedging of bodies from
PMC2899959. The kyphosis T1-T4 is the difference of T1-T12 and T4-T12 in the sterEOS cohort.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from simulation.anatomy import T1_INDEX, VertebralColumn, vertebral_column
from simulation.parameters import PatientParameters
from simulation.pose.morphometry import S1_TO_HIPS_MM, mean_heights
from simulation.vocabulary import Anatomy
from spine.types import Float, Floats

_LUMBAR_BODIES = (-3.3, -1.6, 0.0, 2.0, 6.0)  # lordosis of L1..L5
_LUMBAR_DISCS = (4.5, 7.5, 9.1, 10.7)  # lordosis of the disc below L1..L4
_BODY_SURPLUS = (0.03, 0.045, 0.06, 0.075, 0.09)  # distribution of the rest of the lordosis over bodies and discs
_DISC_SURPLUS = (0.11, 0.16, 0.21, 0.22)
_JUNCTION = 2.5  # lordosis between T12 and L1
_THORACIC = (0.9, 1.0, 1.15, 1.2, 1.15, 1.05, 0.9, 0.75, 0.6)  # kyphosis of T4..T12
_THORACIC_BODY_SHARE = 0.75

UPPER_THORACIC_DEG, UPPER_PER_KYPHOSIS, MEAN_KYPHOSIS_DEG = 5.7, -0.12, 37.7
"""The kyphosis T1-T4 at the mean kyphosis T4-T12, its change per degree of T4-T12, and the mean kyphosis T4-T12."""
SHIFT_LIMIT = 1.5
_DEG_PER_SHIFT = {"thoracic": 9.0, "lumbar": 6.0, "junction": 5.0}


@dataclass(frozen=True)
class Region:
    """The segments ``start`` to ``stop`` (exclusive) between two anchors.

    The angles of these segments are base + share * (target - sum of base).
    """

    start: int
    stop: int
    base: Float[Floats, " S"]
    share: Float[Floats, " S"]

    @property
    def segments(self) -> slice:
        """The indices of the region's segments in the column."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class SagittalProfile:
    """The properties of the sagittal profile that all patients with one anatomy share.

    Attributes:
        regions: ``upper`` (T1-T4), ``thoracic``, ``junction``, ``lumbar``, ``lumbosacral``.
        shift: change of the segment angles per unit of shift.
        lengths: mean lengths of the segments, mm.
    """

    regions: Mapping[str, Region]
    shift: Float[Floats, " S"]
    lengths: Float[Floats, " S"]


@dataclass(frozen=True)
class SagittalTargets:
    """The sagittal angles in degrees that a pose must have: numbers, or arrays of one shape."""

    slope: float | Float[Floats, "*any"]
    lordosis_l1_s1: float | Float[Floats, "*any"]
    lordosis_l1_l5: float | Float[Floats, "*any"]
    kyphosis: float | Float[Floats, "*any"]


def targets_of(parameters: PatientParameters) -> SagittalTargets:
    """The sagittal angles that the pose of one patient must have."""
    return SagittalTargets(
        parameters.sacral_slope_deg,
        parameters.lumbar_lordosis_l1_s1_deg,
        parameters.lumbar_lordosis_l1_l5_deg,
        parameters.thoracic_kyphosis_t4_t12_deg,
    )


@cache
def profile_of(anatomy: Anatomy) -> SagittalProfile:
    """The sagittal profile of one anatomy."""
    column = vertebral_column(anatomy)
    regions = _regions(column)
    heights, discs = mean_heights(anatomy)
    shift = np.zeros(column.s1)
    for name, region in regions.items():
        if name in ("thoracic", "lumbar"):
            towards = np.linspace(-1.0, 1.0, region.stop - region.start)  # cranial to caudal
            towards -= (towards * region.share).sum()
            moved = region.share * towards  # moves kyphosis down, and lordosis, which is negative, up
            shift[region.segments] = _DEG_PER_SHIFT[name] * moved / np.abs(moved).sum() * 2
    junction = regions["junction"]
    shift[junction.segments] = _DEG_PER_SHIFT["junction"] * junction.share
    return SagittalProfile(regions, shift, np.stack([heights, discs], axis=1).ravel())


def _regions(column: VertebralColumn) -> dict[str, Region]:
    end, last = column.lordotic_end, column.index[column.lordotic_end]
    lumbar = last - column.index["L1"] + 1
    base, surplus = np.zeros(2 * lumbar - 1), np.zeros(2 * lumbar - 1)
    base[0::2], base[1::2] = -np.array(_LUMBAR_BODIES[:lumbar]), -np.array(_LUMBAR_DISCS[: lumbar - 1])
    surplus[0::2], surplus[1::2] = _BODY_SURPLUS[:lumbar], _DISC_SURPLUS[: lumbar - 1]
    thoracic = np.empty(17)  # T4 body, T4-5 disc, ... T12 body
    thoracic[0::2] = _THORACIC_BODY_SHARE * np.array(_THORACIC)
    thoracic[1::2] = (1 - _THORACIC_BODY_SHARE) * np.array(_THORACIC[:-1])
    plate = column.plate
    return {
        "upper": _region(plate("T1", 0), np.ones(6)),
        "thoracic": _region(plate("T4", 0), thoracic),
        "junction": _region(plate("T12", 1), _junction_shares(plate("L1", 0) - plate("T12", 1))),
        "lumbar": _region(plate("L1", 0), surplus, base),
        "lumbosacral": _region(plate(end, 1), _junction_shares(column.s1 - plate(end, 1))),
    }


def _region(start: int, share: Floats, base: Floats | None = None) -> Region:
    given = np.zeros(len(share)) if base is None else base
    return Region(start, start + len(share), given, share / share.sum())


def _junction_shares(count: int) -> Floats:
    """(count,) shares of the junction's angle: for one disc, or for a disc, an additional body and another disc."""
    return np.ones(1) if count == 1 else np.array([0.4, 0.2, 0.4])


def segment_angles(anatomy: Anatomy, targets: SagittalTargets) -> Float[Floats, "*any S"]:
    """Segment angles at shift 0. The segments above T1 have angle 0."""
    profile, kyphosis = profile_of(anatomy), np.asarray(targets.kyphosis, dtype=np.float64)
    lordosis, upper_part = np.asarray(targets.lordosis_l1_s1), np.asarray(targets.lordosis_l1_l5)
    totals = {
        "upper": UPPER_THORACIC_DEG + UPPER_PER_KYPHOSIS * (kyphosis - MEAN_KYPHOSIS_DEG),
        "thoracic": kyphosis,
        "junction": np.full(kyphosis.shape, -_JUNCTION),
        "lumbar": -upper_part,
        "lumbosacral": upper_part - lordosis,
    }
    angles = np.zeros((*kyphosis.shape, len(profile.shift)))
    for name, region in profile.regions.items():
        surplus = np.asarray(totals[name] - region.base.sum())
        angles[..., region.segments] = region.base + surplus[..., None] * region.share
    return angles


def tilts_from_segments(
    slope: float | Float[Floats, "*any"], angles: Float[Floats, "*any S"]
) -> Float[Floats, "*any S+1"]:
    """The plate tilts, computed from sacral slope and segment angles. The neck bends evenly from T1 to a level gaze."""
    slope = np.asarray(slope, dtype=np.float64)[..., None]
    rising = np.cumsum(angles[..., ::-1], axis=-1)[..., ::-1] + slope
    tilts = np.concatenate([rising, slope], axis=-1)
    top = tilts[..., 2 * T1_INDEX]
    gaze = np.minimum(0.2 * top, 5.0)
    ease = np.linspace(0.0, 1.0, 2 * T1_INDEX + 1)
    tilts[..., : 2 * T1_INDEX + 1] = gaze[..., None] + (top - gaze)[..., None] * ease
    return tilts


def t1_inclination(
    anatomy: Anatomy, tilts: Float[Floats, "*any P"], pelvic_tilt: float | Float[Floats, "*any"]
) -> Float[Floats, "*any"]:
    """Inclination in degrees of the line from the hip axis to the middle of T1, for a patient of mean size."""
    radians, pelvic = np.deg2rad(tilts[..., 2 * T1_INDEX :]), np.deg2rad(pelvic_tilt)
    middle, lengths = (radians[..., 1:] + radians[..., :-1]) / 2, profile_of(anatomy).lengths[2 * T1_INDEX :].copy()
    lengths[0] /= 2
    forward = np.sin(middle) @ lengths - S1_TO_HIPS_MM * np.sin(pelvic)
    up = np.cos(middle) @ lengths + S1_TO_HIPS_MM * np.cos(pelvic)
    return np.asarray(np.rad2deg(np.arctan2(forward, up)))


def inclination_range(
    anatomy: Anatomy, targets: SagittalTargets, pelvic_tilt: float | Float[Floats, "*any"]
) -> tuple[Float[Floats, "*any"], Float[Floats, "*any"]]:
    """Smallest and largest T1 inclination in degrees that a shift within ``SHIFT_LIMIT`` gives."""
    angles, shift = segment_angles(anatomy, targets), SHIFT_LIMIT * profile_of(anatomy).shift
    least = tilts_from_segments(targets.slope, angles - shift)
    greatest = tilts_from_segments(targets.slope, angles + shift)
    return t1_inclination(anatomy, least, pelvic_tilt), t1_inclination(anatomy, greatest, pelvic_tilt)


def standing_segment_angles(parameters: PatientParameters) -> Float[Floats, " S"]:
    """The segment angles of one patient at the shift that brings T1 nearest to its target inclination."""
    anatomy, targets, tilt = parameters.anatomy, targets_of(parameters), parameters.pelvic_tilt_deg
    angles, shift = segment_angles(anatomy, targets), profile_of(anatomy).shift
    tried = np.linspace(-SHIFT_LIMIT, SHIFT_LIMIT, 5)
    tilts = tilts_from_segments(np.full(5, targets.slope), angles + tried[:, None] * shift)
    inclinations = t1_inclination(anatomy, tilts, tilt)
    return np.asarray(angles + float(np.interp(parameters.t1_inclination_deg, inclinations, tried)) * shift)
