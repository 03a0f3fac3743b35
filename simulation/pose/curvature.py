"""Sagittal tilt, coronal tilt and axial rotation of every end plate.

Contract: arrays over the P end plates of the patient's column (``anatomy``), degrees. Angles that are
measured on these tilts equal the patient's parameters: the lordoses L1-S1 and L1-L5, the kyphosis T4-T12, the sacral
slope and the Cobb angles.

Signs (docs/sources.md, definitions and signs): the sagittal tilt is positive if the plate slopes down to the front. The
coronal tilt is positive if the left side of the plate is higher. The axial rotation is about +z. An apex that is convex
to the right has a negative rotation, because the front of the body turns towards the convexity. Source of the rotation
per Cobb angle: PMC5320720. ``curve_patterns`` describes how bodies and discs share a curve.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from simulation.anatomy import T1_INDEX, VertebralColumn, vertebral_column
from simulation.parameters import PatientParameters
from simulation.pose.coronal_shear import mean_coronal_shear
from simulation.pose.sagittal_profile import profile_of, tilts_from_segments
from simulation.vocabulary import Anatomy
from spine.types import Float, Floats

_BODY_PEAK = 1.5
"""Exponent of the sine that distributes the wedging of bodies along a curve; a choice. Because it exceeds 1, the
wedging is more concentrated near the apex than the angles of discs."""
_T1_ABOVE = 0.35
"""Coronal tilt of T1 as a share of the tilt at the upper end of the first curve."""
_SHARE_LIMITS = (0.3, 0.7)
"""Smallest and largest share of the first curve's Cobb angle that lies above the apex of the curve."""


@dataclass(frozen=True)
class Orientation:
    """Sagittal tilt, coronal tilt and axial rotation of P end plates, degrees."""

    sagittal: Float[Floats, " P"]
    coronal: Float[Floats, " P"]
    axial_rotation: Float[Floats, " P"]


def orient(parameters: PatientParameters, segments: Float[Floats, " S"], rng: np.random.Generator) -> Orientation:
    """The orientation of every end plate of one patient, computed from sagittal segment angles.

    Every tilt has a little random noise. Exceptions are the tilts of fractured bodies and of plates that a parameter
    refers to.
    """
    column = vertebral_column(parameters.anatomy)
    sagittal = tilts_from_segments(parameters.sacral_slope_deg, segments)
    sagittal += _noise(rng, 0.5, column, _anchors(column) | _fractured(parameters, column))
    ends = {column.plate(c.upper_end, 0) for c in parameters.curves} | {column.s1}
    ends |= {column.plate(c.lower_end, 1) for c in parameters.curves}
    coronal = coronal_tilts(parameters) + _noise(rng, 0.3, column, ends)
    return Orientation(sagittal, coronal, axial_rotations(parameters) + _noise(rng, 0.6, column, {column.s1}))


def _anchors(column: VertebralColumn) -> set[int]:
    plate = column.plate
    return {plate("T4", 0), plate("T12", 1), plate("L1", 0), plate(column.lordotic_end, 1), column.s1}


def _fractured(parameters: PatientParameters, column: VertebralColumn) -> set[int]:
    return {column.plate(f.level, side) for f in parameters.fractures for side in (0, 1)}


def _noise(rng: np.random.Generator, deviation: float, column: VertebralColumn, without: set[int]) -> Floats:
    noise: Floats = np.clip(deviation * rng.standard_normal(column.s1 + 1), -2 * deviation, 2 * deviation)
    noise[list(without)] = 0.0
    return noise


def coronal_tilts(parameters: PatientParameters) -> Float[Floats, " P"]:
    """The coronal tilts that bring T1 as near to its target coronal shift as the curves allow."""
    if not parameters.curves:
        return np.full(vertebral_column(parameters.anatomy).s1 + 1, -parameters.pelvic_obliquity_deg)
    level, turned = _tilts_from(parameters, 0.0), _tilts_from(parameters, 1.0)
    first = parameters.curves[0]
    signed = first.cobb_deg if first.convex == "right" else -first.cobb_deg
    shares = np.linspace(*_SHARE_LIMITS, 9)
    tilts = level - (shares * signed)[:, None] * (turned - level)
    shifts = _t1_shift(parameters.anatomy, tilts) * parameters.size_factor
    order = np.argsort(shifts)
    share = float(np.interp(parameters.coronal_shift_mm, shifts[order], shares[order]))
    return np.asarray(level - share * signed * (turned - level))


def _tilts_from(parameters: PatientParameters, first: float) -> Floats:
    """(P,) coronal tilts if the upper plate of the first curve is tilted by ``first``. They are affine in ``first``."""
    column = vertebral_column(parameters.anatomy)
    tilts, value, curves = np.zeros(column.s1 + 1), first, parameters.curves
    top, t1 = column.plate(curves[0].upper_end, 0), 2 * T1_INDEX
    if top > t1:
        tilts[: t1 + 1] = _T1_ABOVE * first * _half_eased(t1)
        tilts[t1 : top + 1] = first * (_T1_ABOVE + (1 - _T1_ABOVE) * _half_eased(top - t1))
    else:
        tilts[: top + 1] = first * _half_eased(top)
    at = top
    for i, curve in enumerate(curves):
        # Neighbouring curves share a vertebra. Its two plates have the same tilt.
        stop = column.plate(curve.lower_end, 1 if i == len(curves) - 1 else 0)
        signed = curve.cobb_deg if curve.convex == "right" else -curve.cobb_deg
        tilts[at : stop + 1] = value + signed * _eased(at, stop, curve.body_share)
        value += signed
        at = column.plate(curve.lower_end, 1)
        tilts[at] = value
    tilts[at:] = value + (-parameters.pelvic_obliquity_deg - value) * _half_eased(column.s1 - at)
    return tilts


@cache
def _half_eased(count: int) -> Floats:
    """(count + 1,) numbers that rise from 0 to 1, slowly at both ends."""
    s = np.linspace(0.0, 1.0, count + 1)
    return np.asarray((1 - np.cos(np.pi * s)) / 4 + s / 2)


def _eased(start: int, stop: int, body_share: float) -> Floats:
    """(stop - start + 1,) numbers that rise from 0 to 1, most steeply at the apex.

    Bodies contribute ``body_share`` of the rise, and discs contribute the rest.
    """
    bodies, discs = _parts(start, stop)
    return np.concatenate([[0.0], np.cumsum(body_share * bodies + (1 - body_share) * discs)])


@cache
def _parts(start: int, stop: int) -> tuple[Floats, Floats]:
    """The relative angles of the bodies and discs of a curve: two (stop - start,) arrays that each add up to 1."""
    count = stop - start
    sine = np.sin(np.pi * (np.arange(count) + 0.5) / count)
    is_body = (np.arange(start, stop) % 2) == 0
    bodies, discs = np.where(is_body, sine**_BODY_PEAK, 0.0), np.where(is_body, 0.0, sine)
    return bodies / bodies.sum(), discs / discs.sum()


def _t1_shift(anatomy: Anatomy, coronal: Floats) -> Floats:
    """(...,) offset of T1 to the left of S1 in mm from (..., P) coronal tilts, for a patient of mean size."""
    middle = np.deg2rad((coronal[..., 1:] + coronal[..., :-1]) / 2)[..., 2 * T1_INDEX :]
    lengths = profile_of(anatomy).lengths * (1 + mean_coronal_shear(anatomy))
    return np.asarray(-(np.sin(middle) @ lengths[2 * T1_INDEX :]))


def axial_rotations(parameters: PatientParameters) -> Float[Floats, " P"]:
    """The axial rotations. They are largest at the apex of each curve, and equal to the pelvic rotation at S1."""
    column = vertebral_column(parameters.anatomy)
    along, place = np.linspace(0.0, 1.0, column.s1 + 1), np.arange(column.s1 + 1)
    turned = np.zeros(column.s1 + 1)
    for curve in parameters.curves:
        a, b = column.plate(curve.upper_end, 0), column.plate(curve.lower_end, 1)
        middle = (a + b) / 2
        per_cobb = parameters.rotation_per_cobb * (1.0 if middle < column.plate("T11", 0) else 0.8)
        sign = -1.0 if curve.convex == "right" else 1.0
        turned += sign * per_cobb * curve.cobb_deg * np.exp(-0.5 * ((place - middle) / (0.30 * (b - a))) ** 2)
    return np.asarray(turned * (1 - along**16) + parameters.pelvic_rotation_deg * along**4)
