"""The soft parts of a patient: skin, muscle, lungs with diaphragm, heart, air ways, bowel gas, breasts, arms.

What belongs here: their shapes and places. What does not: path lengths through them (``chords``). Contract: two
kinds of solid only, because both have closed-form chords along the scanner's horizontal rays: a ``Loft`` (an
upright stack of superellipses) and an ``Ellipsoid``. Millimetres, patient frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spine.phantom.habitus import LEFT_RIGHT, Habitus, arm_joints
from spine.phantom.morphometry import FIRST
from spine.phantom.parameters import PatientParameters
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.thorax import CHEST_HALF_WIDTH, chest_centre, chest_half_depth
from spine.scanner import Floats


@dataclass(frozen=True)
class Loft:
    """An upright stack of superellipses |x/a|^n + |y/b|^n = 1, (K,) control heights from low to high.

    Attributes:
        z_mm: heights, strictly increasing; above and below there is nothing.
        centre_mm: (K, 2) x and y of the centres.
        half_mm: (K, 2) half-width a and half-depth b.
        power: n; 2 is an ellipse.
    """

    z_mm: Floats
    centre_mm: Floats
    half_mm: Floats
    power: float = 2.0

    def grown(self, by_mm: float) -> "Loft":
        """The same loft with every half-axis longer by ``by_mm`` (negative: shorter, at least 1 mm)."""
        return Loft(self.z_mm, self.centre_mm, np.maximum(self.half_mm + by_mm, 1.0), self.power)


@dataclass(frozen=True)
class Ellipsoid:
    """A solid ellipsoid: (3,) centre and (3, 3) half-axes as columns, mm."""

    centre_mm: Floats
    axes_mm: Floats


Solid = Loft | Ellipsoid


@dataclass(frozen=True)
class Lung:
    """One lung: a loft less the dome of the diaphragm below it and less the heart."""

    outline: Loft
    dome: Ellipsoid


@dataclass(frozen=True)
class SoftTissue:
    """All soft parts.

    Attributes:
        skin: groups of solids whose union is the body: chords add inside a group (thighs), groups are joined by
            the longer chord.
        limbs: arms, apart from the trunk (their chords add).
        fat_mm: thickness of the fat layer under the skin.
        lungs: left and right.
        heart: heart and great vessels, inside the lungs' gap.
        air: air ways and bowel gas.
        lean: organs denser than what surrounds them (breasts lie outside the skin and count in full).
    """

    skin: tuple[tuple[Loft, ...], ...]
    limbs: tuple[Ellipsoid, ...]
    fat_mm: float
    lungs: tuple[Lung, ...]
    heart: tuple[Ellipsoid, ...]
    air: tuple[Solid, ...]
    lean: tuple[Ellipsoid, ...]


def build_soft_tissue(
    parameters: PatientParameters, spine: PosedSpine, habitus: Habitus, rng: np.random.Generator
) -> SoftTissue:
    """Soft parts around a posed spine."""
    chest = chest_centre(spine, habitus)
    return SoftTissue(
        skin=((_trunk(spine, chest, habitus),), (_neck(spine, habitus),), _thighs(spine, habitus)),
        limbs=_arms(spine, habitus),
        fat_mm=habitus.fat_mm,
        lungs=tuple(_lung(chest, habitus, side, rng) for side in LEFT_RIGHT),
        heart=_heart(chest, habitus.size, rng),
        air=(_airway(spine, chest, habitus.size), *_gas(spine, habitus.size, rng)),
        lean=_breasts(parameters, chest, habitus),
    )


def _loft(rows: Sequence[tuple[float, ...]], power: float) -> Loft:
    """A smooth loft through rows of (z, centre x, centre y, half-width, half-depth), sorted by height."""
    from scipy.interpolate import PchipInterpolator

    table = np.array(sorted(rows))
    table[:, 0] += 0.01 * np.arange(len(table))  # heights may meet in a collapsed spine
    fine = np.linspace(table[0, 0], table[-1, 0], 90)
    values = PchipInterpolator(table[:, 0], table[:, 1:])(fine)
    return Loft(fine, values[:, :2], values[:, 2:], power)


def _trunk(spine: PosedSpine, chest: Floats, habitus: Habitus) -> Loft:
    size, fat, deep = habitus.size, habitus.fat_mm, chest_half_depth(habitus)
    rows = []
    for level in (1, 2, 3, 5, 7, 9, 11):
        shoulder = {1: 34.0, 2: 44.0, 3: 38.0, 5: 16.0}.get(level, 0.0) * size
        width = CHEST_HALF_WIDTH[level] * size + 9 * size + 0.8 * fat + shoulder
        depth = deep[level] + 10 * size + fat + 0.4 * shoulder
        rows.append((chest[level, 2], chest[level, 0], chest[level, 1] + 5.0, width, depth))
    damp = 0.5
    for level, width, depth in ((1, 117.0, 84.0), (3, 122.0, 84.0)):
        i = FIRST + 12 + level
        body, tall = spine.body_centre[i], depth * size * habitus.depth + 1.1 * fat
        back = body[1] + spine.sizes.plate_depth[i].mean() / 2 + 0.85 * spine.sizes.spinous_length[i] + 9.0 + 0.6 * fat
        rows.append((body[2], body[0] * damp, back - tall, width * size + 0.9 * fat, tall))
    hips, s1 = spine.hips.mean(axis=0), spine.s1_centre
    rows.append((s1[2] - 15, s1[0], s1[1] - 28.0 * size, 146 * size + fat, 94 * size + fat))
    rows.append((hips[2] + 15, hips[0], hips[1] + 22.0, 162 * size + fat, 98 * size + fat))
    rows.append((hips[2] - 30, hips[0], hips[1] + 22.0, 164 * size + fat, 96 * size + fat))
    rows.append((hips[2] - 95, hips[0], hips[1] + 20.0, 120 * size, 60 * size))
    rows.append((hips[2] - 115, hips[0], hips[1] + 18.0, 20 * size, 20 * size))
    t1 = spine.body_centre[FIRST]
    rows.append((t1[2] + 4, t1[0], t1[1] + 2.0, 92 * size + 0.6 * fat, 58 * size + 0.5 * fat))
    rows.append((t1[2] + 34, t1[0], t1[1] + 0.0, 48 * size, 40 * size))
    return _loft(rows, 2.4)


def _neck(spine: PosedSpine, habitus: Habitus) -> Loft:
    size, fat = habitus.size, habitus.fat_mm
    c3, c7, t2 = spine.body_centre[0], spine.body_centre[4], spine.body_centre[FIRST + 1]
    wide = 48 * size + 0.4 * fat
    return _loft(
        [
            (t2[2], t2[0], t2[1] - 8, 60 * size, 58 * size),
            (c7[2], c7[0], c7[1] - 4, wide + 8, 56 * size + 0.3 * fat),
            (c3[2] + 10, c3[0], c3[1] - 6, wide + 2, 54 * size + 0.3 * fat),
            (c3[2] + 60, c3[0], c3[1] - 16, 66 * size, 82 * size),
            (c3[2] + 130, c3[0], c3[1] - 16, 76 * size, 94 * size),
        ],
        2.2,
    )


def _thighs(spine: PosedSpine, habitus: Habitus) -> tuple[Loft, ...]:
    size, fat = habitus.size, habitus.fat_mm
    lofts = []
    for side, hip in zip((1.0, -1.0), spine.hips, strict=True):
        half = 74 * size + 0.6 * fat
        rows = [
            (hip[2] - 340, hip[0] - side * 8, hip[1] + 4, 0.8 * half, 0.84 * half),
            (hip[2] - 110, hip[0] + side * 4, hip[1] + 10, half, half * 1.02),
            (hip[2] - 20, hip[0] + side * 4, hip[1] + 18, half, half * 1.2),
            (hip[2] + 60, hip[0], hip[1] + 14, 0.6 * half, 0.8 * half),
        ]
        lofts.append(_loft(rows, 2.1))
    return tuple(lofts)


def _arms(spine: PosedSpine, habitus: Habitus) -> tuple[Ellipsoid, ...]:
    """Upper arms and forearms as long ellipsoids around the arm's bones."""
    found = []
    for side in LEFT_RIGHT:
        shoulder, elbow, hand = arm_joints(spine, habitus, side)
        thick = 32 * habitus.size + 0.4 * habitus.fat_mm
        found.append(_between(0.8 * shoulder + 0.2 * elbow, elbow, thick, 1.25))
        found.append(_between(elbow, hand, 0.78 * thick, 1.1))
    return tuple(found)


def _between(start: Floats, end: Floats, thick: float, stretch: float) -> Ellipsoid:
    along = (end - start) / 2
    unit = along / np.linalg.norm(along)
    side = np.cross(unit, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side * thick, np.cross(unit, side) * thick, along * stretch], axis=-1)
    return Ellipsoid((start + end) / 2, axes)


_LUNG = ((0.7, 0.38, 0.0), (1.6, 0.64, 0.0), (3, 0.86, 0.0), (5, 0.93, 0.0), (7, 0.95, 0.0), (9, 0.95, 0.0))
_LUNG_BASE = ((9.9, 0.86, 0.04), (10.5, 0.62, 0.22), (11.0, 0.18, 0.5))
"""Level (0 = T1), filling of the chest, and shift to the back as a share of its depth."""


def _lung(chest: Floats, habitus: Habitus, side: float, rng: np.random.Generator) -> Lung:
    """A lung from below the first rib to the twelfth, and the half of the diaphragm that lifts its floor."""
    size, deep, rows = habitus.size, chest_half_depth(habitus), []
    for at, fill, behind in (*_LUNG, *_LUNG_BASE):
        width, depth = np.interp(at, range(12), CHEST_HALF_WIDTH) * size, np.interp(at, range(12), deep)
        x, y, z = (np.interp(at, range(12), chest[:, i]) for i in range(3))
        inner = (0.15 if at > 2 else 0.25) * width
        outer = max(fill * width - 3.0, inner + 8.0)
        rows.append(
            (
                z - 6 * size,
                x + side * (inner + outer) / 2,
                y + 3.0 + behind * depth,
                (outer - inner) / 2,
                fill * depth - 4.0,
            )
        )
    at = 9.2 + float(rng.normal(0, 0.4)) + (0.35 if side > 0 else 0.0)
    x, y, z = (np.interp(at, range(12), chest[:, i]) for i in range(3))
    tall = 88.0 * size
    half = np.diag([66.0 * size, 92.0 * size * habitus.depth, tall])
    return Lung(_loft(rows, 2.3), Ellipsoid(np.array([x + side * 62 * size, y - 12 * size, z - tall]), half))


def _heart(chest: Floats, size: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    swell = 1.0 + 0.08 * float(rng.standard_normal())
    angle = np.deg2rad(38.0 + 6.0 * float(rng.standard_normal()))
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    heart = Ellipsoid(
        chest[7] + np.array([26.0, -34.0, -8.0]) * size, turn @ np.diag([66.0, 46.0, 48.0]) * size * swell
    )
    knob = Ellipsoid(chest[3] + np.array([20.0, 4.0, -8.0]) * size, np.eye(3) * 15.0 * size)
    aorta = Ellipsoid(chest[7] + np.array([18.0, 52.0, 0.0]) * size, np.diag([12.0, 12.0, 120.0]) * size)
    vessels = Ellipsoid(chest[4] + np.array([4.0, -12.0, -12.0]) * size, np.diag([30.0, 24.0, 44.0]) * size)
    return (heart, knob, aorta, vessels)


def _airway(spine: PosedSpine, chest: Floats, size: float) -> Loft:
    """Throat and windpipe down to its fork at T5."""
    c3, t1 = spine.body_centre[0], spine.body_centre[FIRST]
    end = chest[4] + np.array([0.0, 12.0, 0.0])
    return _loft(
        [
            (end[2], end[0] - 2, end[1], 9.0 * size, 8.0 * size),
            (t1[2], t1[0], t1[1] - 34 * size, 8.5 * size, 8.5 * size),
            (c3[2], c3[0], c3[1] - 26 * size, 9.0 * size, 7.0 * size),
        ],
        2.0,
    )


def _gas(spine: PosedSpine, size: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    """Stomach bubble and clusters of bowel gas in the belly."""
    t11, s1 = spine.body_centre[FIRST + 10], spine.s1_centre
    found = [
        Ellipsoid(
            np.array([t11[0] * 0.5 + 66, t11[1] - 78, t11[2] - 26]) * np.array([size, 1, 1]) + rng.normal(0, 8, 3),
            np.diag(rng.uniform(14, 34, 3)) * size,
        )
    ]
    for _ in range(int(rng.integers(3, 10))):
        middle = np.array(
            [
                rng.uniform(-98, 98) * size,
                s1[1] - rng.uniform(38, 110) * size,
                rng.uniform(s1[2] - 60, t11[2] - 60),
            ]
        )
        for _ in range(int(rng.integers(2, 6))):
            turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
            at = middle + rng.normal(0, 13, 3) * np.array([1, 0.5, 1])
            found.append(Ellipsoid(at, turn @ np.diag(rng.uniform(5, 17, 3)) * size))
    return tuple(found)


def _breasts(parameters: PatientParameters, chest: Floats, habitus: Habitus) -> tuple[Ellipsoid, ...]:
    if parameters.sex == "M" or parameters.age_years < 13:
        return ()
    size = habitus.size
    swell = float(np.clip(0.8 + 0.03 * (parameters.bmi - 20), 0.7, 1.3)) * size
    front = -chest_half_depth(habitus)[6] - 8
    at = [chest[6] + np.array([side * 66 * size, front, -14.0]) for side in (1.0, -1.0)]
    return tuple(Ellipsoid(a, np.diag([50.0, 24.0, 46.0]) * swell) for a in at)
