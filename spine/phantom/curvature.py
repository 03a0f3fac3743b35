"""Which way each end plate faces: its sagittal tilt, coronal tilt and axial heading.

What belongs here: angles along the spine, and how they meet the targets exactly. What does not: positions
(``spine_pose``). Contract: arrays over the plates of ``DRAWN_LEVELS`` from cranial to caudal (upper, lower of
each), then S1, degrees; L1-S1 lordosis, T4-T12 kyphosis, sacral slope and each curve's Cobb angle measured on
these tilts equal the parameters. Signs (docs/sources.md, definitions and signs): sagittal tilt positive
when the plate slopes down to the front; coronal tilt positive when its left side is up; heading = rotation about
+z, so that a right-convex apex turns negative (the front of the body turns to the convexity).
Sources: segmental lordosis s41598-022-21840-x; body wedging PMC2899959; rotation per Cobb PMC5320720.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spine.phantom.morphometry import DRAWN_LEVELS, FIRST, mean_heights
from spine.phantom.parameters import PatientParameters
from spine.scanner import Floats

S1 = 2 * len(DRAWN_LEVELS)
"""Index of the S1 plate; plate 2 i is the upper and 2 i + 1 the lower of level i."""


def plate_index(level: str, side: int) -> int:
    """Index of a plate: side 0 upper, 1 lower; ``S1`` has one."""
    return S1 if level == "S1" else 2 * DRAWN_LEVELS.index(level) + side


_L1, _T12_LOW, _T4, _T1 = plate_index("L1", 0), plate_index("T12", 1), plate_index("T4", 0), plate_index("T1", 0)
_LUMBAR_BODIES = np.array([-3.3, -1.6, 0.0, 2.0, 6.0])  # lordosis of L1..L5
_LUMBAR_DISCS = np.array([4.5, 7.5, 9.1, 10.7, 15.6])  # lordosis of the disc below each
_LUMBAR_SHARE = np.array([0.12, 0.18, 0.24, 0.25, 0.21])  # who takes a surplus of lordosis
_DISC_PART = 0.7
_THORACOLUMBAR_DISC = 2.5  # lordosis of T12-L1
_THORACIC_SHARE = np.array([0.9, 1.0, 1.15, 1.2, 1.15, 1.05, 0.9, 0.75, 0.6])  # kyphosis of T4..T12
_UPPER_THORACIC_PART = 0.15  # of T4-T12, above T4


@dataclass(frozen=True)
class Orientation:
    """Angles of P plates in degrees, (P,) each: sagittal tilt, coronal tilt, axial heading."""

    sagittal: Floats
    coronal: Floats
    heading: Floats


def sagittal_tilts(slope: float, lordosis: float, kyphosis: float) -> Floats:
    """(P,) sagittal tilts in degrees for a sacral slope, L1-S1 lordosis and T4-T12 kyphosis."""
    tilts = np.zeros(S1 + 1)
    surplus = (lordosis - (_LUMBAR_BODIES.sum() + _LUMBAR_DISCS.sum())) * _LUMBAR_SHARE
    steps = np.empty(10)  # L1 body, L1-2 disc, ... L5 body, L5-S1 disc
    steps[0::2] = _LUMBAR_BODIES + surplus * (1 - _DISC_PART)
    steps[1::2] = _LUMBAR_DISCS + surplus * _DISC_PART
    tilts[_L1:] = slope - np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    share = np.empty(17)  # T4 body, T4-5 disc, ... T12 body
    share[0::2], share[1::2] = 0.75 * _THORACIC_SHARE, 0.25 * _THORACIC_SHARE[:-1]
    low = tilts[_L1] - _THORACOLUMBAR_DISC
    kyphotic = kyphosis * share / share.sum()
    tilts[_T4 : _T12_LOW + 1] = low + np.concatenate([np.cumsum(kyphotic[::-1])[::-1], [0.0]])
    top = tilts[_T4] + _UPPER_THORACIC_PART * max(kyphosis, 0.0)
    tilts[_T1 : _T4 + 1] = np.linspace(top, tilts[_T4], _T4 - _T1 + 1)
    tilts[: _T1 + 1] = np.linspace(min(0.2 * top, 5.0), top, _T1 + 1)
    return tilts


def coronal_tilts(parameters: PatientParameters, share: float) -> Floats:
    """(P,) coronal tilts in degrees; ``share`` of the first curve's Cobb angle lies above its apex."""
    nodes: list[tuple[int, float]] = []
    for curve in parameters.curves:
        signed = curve.cobb_deg if curve.convex == "right" else -curve.cobb_deg
        if not nodes:
            nodes.append((plate_index(curve.upper_end, 0), -share * signed))
        else:
            nodes.append((plate_index(curve.upper_end, 0), nodes[-1][1]))
        nodes.append((plate_index(curve.lower_end, 1), nodes[-1][1] + signed))
    if not nodes:
        return np.full(S1 + 1, -parameters.pelvic_obliquity_deg)
    # Neighbours share a vertebra: its two plates keep one tilt, in the order upper, lower.
    nodes = sorted(dict(nodes).items())
    first, last = nodes[0], nodes[-1]
    head = [(0, 0.0)] + ([(_T1, 0.35 * first[1])] if first[0] > _T1 else [])
    return _eased([*head, *nodes, (S1, -parameters.pelvic_obliquity_deg)], first[0], last[0])


def _eased(nodes: list[tuple[int, float]], first: int, last: int) -> Floats:
    """Cosine easing between nodes: steepest at the apex, level at the end vertebrae."""
    tilts = np.empty(S1 + 1)
    for (a, va), (b, vb) in pairwise(nodes):
        s = np.linspace(0.0, 1.0, b - a + 1)
        eased = (1 - np.cos(np.pi * s)) / 2 if first <= a and b <= last else (1 - np.cos(np.pi * s)) / 4 + s / 2
        tilts[a : b + 1] = va + (vb - va) * eased
    return tilts


def headings(parameters: PatientParameters, coronal: Floats) -> Floats:
    """(P,) axial headings in degrees: towards each curve's convexity, most at its apex, pelvis as given."""
    turned = np.zeros(S1 + 1)
    for curve in parameters.curves:
        a, b = plate_index(curve.upper_end, 0), plate_index(curve.lower_end, 1)
        middle = (a + b) / 2
        per_cobb = parameters.rotation_per_cobb * (1.0 if middle < plate_index("T11", 0) else 0.8)
        sign = -1.0 if curve.convex == "right" else 1.0
        bump = np.exp(-0.5 * ((np.arange(S1 + 1) - middle) / (0.30 * (b - a))) ** 2)
        turned += sign * per_cobb * curve.cobb_deg * bump
    rise = np.linspace(0.0, 1.0, S1 + 1) ** 4
    turned = turned * (1 - np.linspace(0.0, 1.0, S1 + 1) ** 16)
    total: Floats = turned + parameters.pelvic_rotation_deg * rise
    return total


def orient(parameters: PatientParameters, rng: np.random.Generator) -> Orientation:
    """Angles of every plate of one patient; the anchors of all targets stay free of the individual noise."""
    sagittal = sagittal_tilts(
        parameters.sacral_slope_deg, parameters.lumbar_lordosis_l1_s1_deg, parameters.thoracic_kyphosis_t4_t12_deg
    )
    shares = np.linspace(0.3, 0.7, 21)
    shifts = np.array([_t1_shift(coronal_tilts(parameters, s), parameters.size_factor) for s in shares])
    share = float(shares[int(np.argmin(np.abs(shifts - parameters.coronal_shift_mm)))])
    coronal = coronal_tilts(parameters, share)
    sagittal += _noise(rng, 0.5, {_L1, _T12_LOW, _T4, S1})
    ends = {plate_index(c.upper_end, 0) for c in parameters.curves}
    ends |= {plate_index(c.lower_end, 1) for c in parameters.curves} | {S1}
    coronal = coronal + _noise(rng, 0.3, ends)
    return Orientation(sagittal, coronal, headings(parameters, coronal) + _noise(rng, 0.6, {S1}))


def _noise(rng: np.random.Generator, deviation: float, without: set[int]) -> Floats:
    drawn: Floats = np.clip(rng.normal(0.0, deviation, S1 + 1), -2 * deviation, 2 * deviation)
    drawn[list(without)] = 0.0
    return drawn


def _steps() -> Floats:
    """(P - 1,) mean distance from each plate to the next below, mm."""
    heights, discs = mean_heights()
    return np.stack([heights, discs], axis=1).ravel()


def _t1_shift(coronal: Floats, size: float) -> float:
    """How far the middle of T1 stands to the left of S1 in mm, before any individual size."""
    middle = np.deg2rad((coronal[1:] + coronal[:-1]) / 2)
    return float(-(np.sin(middle) * _steps())[2 * FIRST :].sum() * size)


def t1_forward_of_hips(slope: float, tilt: float, lordosis: float, kyphosis: float) -> float:
    """How far T1 stands in front of the hip axis, as a share of its height above it (tangent of T1's inclination)."""
    tilts = np.deg2rad(sagittal_tilts(slope, lordosis, kyphosis))
    middle, steps = (tilts[1:] + tilts[:-1])[2 * FIRST :] / 2, _steps()[2 * FIRST :]
    forward = float((np.sin(middle) * steps).sum()) - 108.0 * float(np.sin(np.deg2rad(tilt)))
    up = float((np.cos(middle) * steps).sum()) + 108.0 * float(np.cos(np.deg2rad(tilt)))
    return forward / up
