"""The soft tissue of a patient: skin, muscle, lungs with diaphragm, heart, airways, bowel gas, breasts, arms.

Contract: millimetres, patient frame. All parts are ``solids``, which have closed-form chords along the scanner's
horizontal rays. Every patient has the same list of solids, so that patients form a batch. A missing solid is far away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.anatomy import T1_INDEX
from simulation.body.monotone_cubic import monotone_cubic
from simulation.body.solids import CONTROLS, NO_ELLIPSOID, Ellipsoid, Loft
from simulation.pose.chest import chest_centre, chest_half_depth, chest_half_width
from simulation.pose.habitus import LEFT_RIGHT, Habitus, arm_joints
from simulation.pose.spine_pose import PosedSpine, cross
from spine.types import Float, Floats

SKIN_LOFTS, LUNG_LOFTS, AIR_LOFTS = slice(0, 4), slice(4, 6), slice(6, 9)
LIMBS, DOMES, HEART, BREASTS, LIVER = slice(0, 4), slice(4, 6), slice(6, 10), slice(10, 12), slice(12, 13)
STOMACH, BOWEL = slice(0, 1), slice(1, None)
GAS_BUBBLES = 49
"""Number of gas bubbles. The first bubble belongs to the stomach, the other bubbles to the bowel."""
STOMACH_REACH_MM, BOWEL_REACH_MM = 52.0, 30.0
"""Largest distance of a bubble's surface from its centre."""
VESSELS = 32


@dataclass(frozen=True)
class SoftTissue:
    """All soft tissue of one patient.

    Attributes:
        lofts: skin of trunk, neck and both legs, then both lungs, then trachea and both main bronchi.
        ellipsoids: arms (two on each side), domes of the diaphragm, heart and great vessels, breasts, liver.
        gas: gas bubbles in stomach and bowel.
        vessels: start, end and radius of vessels in the lungs.
        fat_mm: thickness of the fat layer under the skin.
    """

    lofts: tuple[Loft, ...]
    ellipsoids: tuple[Ellipsoid, ...]
    gas: tuple[Ellipsoid, ...]
    vessels: Float[Floats, "W 7"]
    fat_mm: float

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Name -> array; an array has the same shape for every patient."""
        missing = GAS_BUBBLES - len(self.gas)
        gas = [*self.gas[:GAS_BUBBLES], *(NO_ELLIPSOID,) * missing]
        return {
            "lofts": np.stack([loft.array() for loft in self.lofts]),
            "ellipsoids": np.stack([e.array() for e in self.ellipsoids]),
            "gas": np.stack([e.array() for e in gas]),
            "vessels": self.vessels.astype(np.float32),
            "fat": np.array(self.fat_mm, np.float32),
        }


def build_soft_tissue(spine: PosedSpine, habitus: Habitus, rng: np.random.Generator) -> SoftTissue:
    """Build the soft tissue around a posed spine."""
    chest = chest_centre(spine, habitus)
    apex = float(rng.normal(0.0, 0.3))
    lungs = [_lung(chest, habitus, side, apex) for side in LEFT_RIGHT]
    return SoftTissue(
        lofts=(
            _trunk(spine, chest, habitus),
            _neck(spine, habitus),
            *_legs(spine, habitus),
            *lungs,
            *_airways(spine, chest, habitus.size),
        ),
        ellipsoids=(
            *_arms(spine, habitus),
            *(_dome(chest, habitus, side, rng) for side in LEFT_RIGHT),
            *_heart(chest, habitus.size, rng),
            *_breasts(chest, habitus),
            _liver(chest, habitus, rng),
        ),
        gas=_gas(spine, habitus, rng),
        vessels=_vessels(chest, habitus, rng),
        fat_mm=habitus.fat_mm,
    )


def _loft(rows: Sequence[tuple[float, ...]], power: float) -> Loft:
    """A smooth loft through rows of (z, centre x, centre y, half-width, half-depth) in any order."""
    table = np.array(sorted(rows))
    table[:, 0] += 0.01 * np.arange(len(table))  # in a collapsed spine, two heights can coincide
    fine = np.linspace(table[0, 0], table[-1, 0], CONTROLS)
    values = monotone_cubic(table[:, 0], table[:, 1:], fine)
    return Loft(fine, values[:, :2], values[:, 2:], power)


def _trunk(spine: PosedSpine, chest: Floats, habitus: Habitus) -> Loft:
    size, fat, deep, wide = habitus.size, habitus.fat_mm, chest_half_depth(habitus), chest_half_width(habitus)
    rows = []
    for level in (1, 2, 3, 5, 7, 9, 11):
        shoulder = {1: 34.0, 2: 44.0, 3: 38.0, 5: 16.0}.get(level, 0.0) * size * habitus.shoulders
        width = wide[level] + 9 * size + 0.8 * fat + shoulder
        belly = 8.0 if level == 11 else 0.0  # below the lungs the trunk is deeper than its ribs
        depth = deep[level] + (5 + belly) * size + 0.85 * fat + 0.12 * shoulder
        rows.append((chest[level, 2], chest[level, 0], chest[level, 1] + 5.0, width, depth))
    lumbar = len(spine.levels) - 5
    for step, width, depth in ((1, 117.0, 92.0), (3, 122.0, 92.0)):
        i = lumbar + step
        body, tall = spine.body_centre[i], depth * size * habitus.depth * habitus.belly + 1.1 * fat
        back = _skin_behind(spine, i, fat)
        tall = max(tall, (back - body[1] + 95.0 * size) / 2)  # the belly reaches at least so far in front of the spine
        rows.append((body[2], body[0] * 0.5, back - tall, width * size * habitus.waist + 0.9 * fat, tall))
    hips, s1, broad = spine.hips.mean(axis=0), spine.s1_centre, habitus.hips
    rows.append((s1[2] - 15, s1[0], s1[1] - 28.0 * size, 146 * size * broad + fat, 94 * size + fat))
    rows.append((hips[2] + 15, hips[0], hips[1] + 22.0, 162 * size * broad + fat, 98 * size + fat))
    rows.append((hips[2] - 30, hips[0], hips[1] + 22.0, 164 * size * broad + fat, 96 * size + fat))
    rows.append((hips[2] - 95, hips[0], hips[1] + 20.0, 120 * size, 60 * size))
    rows.append((hips[2] - 115, hips[0], hips[1] + 18.0, 20 * size, 20 * size))
    t1, back = spine.body_centre[T1_INDEX], _skin_behind(spine, T1_INDEX, fat)
    deep_there = (back - t1[1] + 80 * size + 0.5 * fat) / 2
    rows.append((t1[2] + 4, t1[0], back - deep_there, 86 * size * habitus.shoulders + 0.6 * fat, deep_there))
    rows.append((t1[2] + 34, t1[0], t1[1] - 10 * size, 46 * size, 24 * size))
    return _loft(rows, habitus.squareness)


def _skin_behind(spine: PosedSpine, level: int, fat: float) -> float:
    """The y coordinate of the skin behind a spinous process, mm."""
    sizes = spine.sizes
    reach = 0.85 if level > T1_INDEX + 2 else 0.45  # the upper spinous processes point down
    depth = sizes.plate_depth[level].mean() / 2 + reach * sizes.spinous_length[level]
    return float(spine.body_centre[level, 1] + depth + 9.0 + 0.6 * fat)


def _neck(spine: PosedSpine, habitus: Habitus) -> Loft:
    size, fat = habitus.size, habitus.fat_mm
    c3, c7, t2 = spine.body_centre[0], spine.body_centre[4], spine.body_centre[T1_INDEX + 1]
    behind = {i: _skin_behind(spine, i, fat) for i in (4, T1_INDEX + 1)}
    deep_c7, deep_t2 = (behind[4] - c7[1] + 70 * size) / 2, (behind[T1_INDEX + 1] - t2[1] + 84 * size) / 2
    wide = 48 * size * (1 + 0.06 * habitus.style[11]) + 0.4 * fat
    return _loft(
        [
            (t2[2], t2[0], behind[T1_INDEX + 1] - deep_t2, 66 * size, deep_t2),
            (c7[2], c7[0], behind[4] - deep_c7, wide + 10, deep_c7),
            (c3[2] + 10, c3[0], c3[1] - 6, wide + 2, 54 * size + 0.3 * fat),
            (c3[2] + 60, c3[0], c3[1] - 16, 66 * size, 82 * size),
            (c3[2] + 130, c3[0], c3[1] - 20, 76 * size, 94 * size),
            (c3[2] + 205, c3[0], c3[1] - 20, 40 * size, 54 * size),
        ],
        2.2,
    )


def _legs(spine: PosedSpine, habitus: Habitus) -> tuple[Loft, ...]:
    size, fat = habitus.size, habitus.fat_mm
    lofts = []
    for side, hip in zip(LEFT_RIGHT, spine.hips, strict=True):
        half = 74 * size + 0.6 * fat
        rows = [
            (hip[2] - 860, hip[0] - side * 14, hip[1] + 10, 42 * size, 46 * size),
            (hip[2] - 620, hip[0] - side * 22, hip[1] + 14, 54 * size, 60 * size),
            (hip[2] - 470, hip[0] - side * 24, hip[1] + 4, 58 * size + 0.2 * fat, 62 * size + 0.2 * fat),
            (hip[2] - 340, hip[0] - side * 8, hip[1] + 4, 0.8 * half, 0.84 * half),
            (hip[2] - 110, hip[0] + side * 4, hip[1] + 10, half, half * 1.02),
            (hip[2] - 20, hip[0] + side * 4, hip[1] + 18, half, half * 1.2),
            (hip[2] + 60, hip[0], hip[1] + 14, 0.6 * half, 0.8 * half),
        ]
        lofts.append(_loft(rows, 2.1))
    return tuple(lofts)


def _arms(spine: PosedSpine, habitus: Habitus) -> tuple[Ellipsoid, ...]:
    """Upper arms and forearms as long ellipsoids around the bones."""
    found = []
    for side in LEFT_RIGHT:
        shoulder, elbow, hand = arm_joints(spine, habitus, side)
        thick = 32 * habitus.size + 0.4 * habitus.fat_mm
        found.append(_limb(0.85 * shoulder + 0.15 * elbow, elbow, thick, 1.25))
        found.append(_limb(elbow, hand, 0.78 * thick, 1.15))
    return tuple(found)


def _limb(start: Floats, end: Floats, thick: float, stretch: float) -> Ellipsoid:
    along = (end - start) / 2
    unit = along / np.linalg.norm(along)
    side = cross(unit, np.array([0.1, 0.0, 1.0] if abs(unit[2]) < 0.9 else [0.0, 1.0, 0.0]))
    side /= np.linalg.norm(side)
    axes = np.stack([side * thick, cross(unit, side) * thick, along * stretch], axis=-1)
    return Ellipsoid((start + end) / 2, axes)


_LUNG = ((2.2, 0.90, 0.0), (3, 0.92, 0.0), (5, 0.94, 0.0), (7, 0.95, 0.0), (9, 0.95, 0.0))
_LUNG_BASE = ((9.9, 0.86, 0.04), (10.5, 0.62, 0.22), (11.0, 0.18, 0.5))
"""Rows of a lung: level (0 = T1), share of the chest that it fills, and shift to the back as a share of the depth."""


_LEVELS = np.arange(12.0)


def _at_level(chest: Floats, at: float) -> Floats:
    """(3,) centre of the chest at a level (0 = T1), extrapolated above T1."""
    inside = np.array([np.interp(at, _LEVELS, chest[:, i]) for i in range(3)])
    return np.asarray(inside + min(at, 0.0) * (chest[1] - chest[0]))


_APEX_AT, _APEX_STEPS = 0.45, (0.12, 0.3, 0.55, 0.8)
"""Level of the apex, and the rows between the apex and the first row of ``_LUNG``, as shares of their distance."""


def _lung(chest: Floats, habitus: Habitus, side: float, apex: float) -> Loft:
    """A lung from its apex to the twelfth rib. The apex is ``apex`` levels below its mean position."""
    size, deep, wide = habitus.size, chest_half_depth(habitus), chest_half_width(habitus)
    rows: list[tuple[float, ...]] = []

    def row(at: float, fill: float, behind: float, share: float) -> None:
        """Add a row at one level, with ``share`` of the full width and depth."""
        width, depth = np.interp(at, range(12), wide), np.interp(at, range(12), deep)
        x, y, z = _at_level(chest, at)
        inner = float(np.interp(at, (0.0, 2.2, 3.0, 5.0, 7.0, 9.0), (0.15, 0.13, 0.10, 0.09, 0.10, 0.18))) * width
        outer = max(fill * width - 3.0, inner + 8.0)
        middle, half = x + side * (inner + outer) / 2, (outer - inner) / 2
        rows.append((z - 6 * size, middle, y + 3.0 + behind * depth, share * half, share * (fill * depth - 4.0)))

    top, first = _APEX_AT + apex, _LUNG[0]
    for share in (0.01, *_APEX_STEPS):
        row(top + share * (first[0] - top), first[1], 0.0, float(np.sqrt(1 - (1 - share) ** 2)))
    for at, fill, behind in (*_LUNG, *_LUNG_BASE):
        row(at, fill, behind, 1.0)
    return _loft(rows, 2.3)


def _dome(chest: Floats, habitus: Habitus, side: float, rng: np.random.Generator) -> Ellipsoid:
    """The dome of the diaphragm below one lung; its height varies with the depth of inspiration."""
    size = habitus.size
    at = float(np.clip(9.5 + rng.normal(0, 0.6), 7.8, 10.6)) + (0.35 if side > 0 else 0.0)
    x, y, z = _at_level(chest, at)
    tall = float(rng.uniform(76, 104)) * size
    half = np.diag([86.0 * size * habitus.width, 92.0 * size * habitus.depth, tall])
    return Ellipsoid(np.array([x + side * 58 * size * habitus.width, y - 12 * size, z - tall]), half)


def _heart(chest: Floats, size: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    swell = 1.0 + 0.10 * float(rng.standard_normal())
    angle = np.deg2rad(38.0 + 10.0 * float(rng.standard_normal()))
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    at = chest[7] + (np.array([33.0, -34.0, -18.0]) + rng.normal(0, 5, 3)) * size
    heart = Ellipsoid(at, turn @ np.diag([60.0, 44.0, 45.0]) * size * swell)
    knob = Ellipsoid(chest[3] + np.array([13.0, 4.0, -10.0]) * size, np.diag([13.0, 13.0, 20.0]) * size)
    aorta = Ellipsoid(chest[7] + np.array([18.0, 52.0, 0.0]) * size, np.diag([12.0, 12.0, 120.0]) * size)
    vessels = Ellipsoid(chest[4] + np.array([4.0, -12.0, -12.0]) * size, np.diag([20.0, 20.0, 40.0]) * size)
    return (heart, knob, aorta, vessels)


def _liver(chest: Floats, habitus: Habitus, rng: np.random.Generator) -> Ellipsoid:
    """The liver, below the right half of the diaphragm."""
    size = habitus.size * float(rng.uniform(0.85, 1.15))
    at = _at_level(chest, 10.6) + np.array([-52.0, -14.0, -24.0]) * habitus.size
    return Ellipsoid(at, np.diag([92.0, 78.0, 92.0]) * size)


def _vessels(chest: Floats, habitus: Habitus, rng: np.random.Generator) -> Floats:
    """(VESSELS, 7) start, end and radius of tapered tubes from both hila into the lungs."""
    size, per_side = habitus.size, VESSELS // 2
    found = []
    for side in LEFT_RIGHT:
        hilum = chest[5] + np.array([side * 30.0, 6.0, -6.0]) * size
        polar = rng.uniform(-1.35, 1.2, per_side)  # up and down
        swing = rng.normal(0.0, 0.7, per_side)  # to front and back
        reach = rng.uniform(50, 105, per_side) * size
        way = np.stack([side * np.cos(polar) * np.cos(swing), np.cos(polar) * np.sin(swing), np.sin(polar)], axis=-1)
        start = hilum + way * 8.0 * size + rng.normal(0, 4, (per_side, 3))
        radius = rng.uniform(1.6, 4.2, (per_side, 1)) * size
        found.append(np.concatenate([start, start + way * reach[:, None], radius], axis=1))
    return np.concatenate(found)


def _airways(spine: PosedSpine, chest: Floats, size: float) -> tuple[Loft, ...]:
    """Throat and trachea down to the bifurcation at T5, and both main bronchi."""
    c3, t1 = spine.body_centre[0], spine.body_centre[T1_INDEX]
    fork = chest[4] + np.array([-2.0, 12.0, 0.0])
    windpipe = [
        (fork[2], fork[0], fork[1], 9.0 * size, 8.0 * size),
        (t1[2], t1[0], t1[1] - 34 * size, 7.0 * size, 6.5 * size),
        (c3[2], c3[0], c3[1] - 26 * size, 9.0 * size, 7.0 * size),
    ]
    bronchi = []
    for side, down, aside in zip(LEFT_RIGHT, (34.0, 40.0), (38.0, 24.0), strict=True):
        way = np.array([side * aside, 6.0, -down]) * size  # the right bronchus is steeper than the left
        oblique = float(np.hypot(1.0, aside / down))
        rows = []
        for share, radius in ((0.0, 5.2), (0.35, 5.6), (0.75, 4.2), (1.0, 1.2)):
            x, y, z = fork + np.array([side * 4.6 * size, 0.0, 0.0]) + share * way
            rows.append((z, x, y, radius * oblique * size, (6.5 if share < 1 else 1.5) * size))
        bronchi.append(_loft(rows, 2.0))
    return (_loft(windpipe, 2.0), *bronchi)


def _gas(spine: PosedSpine, habitus: Habitus, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    """The bubble of the stomach with its fluid level, and rows of gas bubbles in the bowel."""
    size = habitus.size
    t11, s1 = spine.body_centre[T1_INDEX + 10], spine.s1_centre
    found = [NO_ELLIPSOID]
    if rng.random() < 0.8:
        at = np.array([t11[0] * 0.5 + 66 * size, t11[1] - 78 * size, t11[2] - 26]) + rng.normal(0, 9, 3)
        half = np.array([rng.uniform(16, 42), rng.uniform(16, 30), rng.uniform(12, 34)]) * size
        floor = float(at[2] - half[2] * rng.uniform(-0.3, 0.7)) if rng.random() < 0.7 else None
        found = [Ellipsoid(at, np.diag(half), floor)]
    loops = int(rng.choice([1, 3, 5, 8, 11], p=[0.15, 0.25, 0.28, 0.2, 0.12]))
    for _ in range(loops):
        found += _bowel_loop(s1, t11, size, rng)
    return tuple(found[:GAS_BUBBLES])


def _bowel_loop(s1: Floats, t11: Floats, size: float, rng: np.random.Generator) -> list[Ellipsoid]:
    """Gas in the haustra along a bent part of the bowel: ellipsoids that touch each other."""
    at = np.array(
        [rng.uniform(-105, 105) * size, s1[1] - rng.uniform(38, 115) * size, rng.uniform(s1[2] - 70, t11[2] - 50)]
    )
    if at[0] < 0 and at[2] > s1[2] + 70 * size:  # the liver fills the upper right belly
        at[0] = -at[0]
    count, wide = int(rng.integers(1, 8)), float(rng.uniform(5, 17)) * size
    heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.35)
    found = []
    for _ in range(count):
        turn = np.array([np.cos(heading), 0.25 * rng.standard_normal(), np.sin(heading)])
        turn /= np.linalg.norm(turn)
        side = cross(turn, np.array([0.0, 1.0, 0.0]))
        side /= np.linalg.norm(side)
        swell = wide * rng.uniform(0.55, 1.35)
        long = min(swell * rng.uniform(0.55, 1.9), BOWEL_REACH_MM)
        axes = np.stack([turn * long, side * swell, cross(turn, side) * swell * rng.uniform(0.5, 1.1)], axis=-1)
        found.append(Ellipsoid(at + rng.normal(0, 0.25 * swell, 3), axes))
        at = at + turn * long * rng.uniform(0.7, 1.3)
        heading += bend + rng.normal(0, 0.25)
    return found


def _breasts(chest: Floats, habitus: Habitus) -> tuple[Ellipsoid, ...]:
    """Both breasts, as wide and flat ellipsoids."""
    if habitus.breast <= 0:
        return (NO_ELLIPSOID, NO_ELLIPSOID)
    size, swell = habitus.size, habitus.breast * habitus.size
    front = -chest_half_depth(habitus)[6] - 8
    half = np.array([min(54.0 * swell, 64.0 * size), 26.0 * swell, 50.0 * swell])  # the limit keeps the breasts apart
    aside = max(58.0 * size, half[0] + 3.0)
    at = [chest[6] + np.array([side * aside, front, -6.0 - 22.0 * habitus.breast]) for side in LEFT_RIGHT]
    return tuple(Ellipsoid(a, np.diag(half)) for a in at)
