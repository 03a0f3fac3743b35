"""The metal in and on a patient: screws, rods, cages, jewellery, clothing, brace, shields and electrodes.

Contract: every patient has the same number of bars, rods and plates, so that patients form a batch. A missing object
has weight 0. A weight is the number of millimetres of titanium that are equivalent to 1 mm of the object: 3.3 for
cobalt chrome, 2.8 for steel, 12 for lead and 0.05 for plastic.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.anatomy import T1_INDEX
from simulation.body.constants import float_tensor
from simulation.body.solids import NO_ELLIPSOID, NOWHERE_MM, Ellipsoid
from simulation.body.surfaces import Bones, Filling, bar, tube
from simulation.parameters import Instrumentation, PatientParameters
from simulation.pose.chest import chest_centre, chest_half_depth
from simulation.pose.habitus import Habitus
from simulation.pose.spine_pose import PosedSpine, pedicle_centres
from spine.types import Float, Floats

BARS, RODS, ROD_POINTS, PLATES = 96, 2, 24, 3
PLATE_REACH_MM = 85.0
"""Largest distance of a plate's surface from its centre."""

_TITANIUM, _STEEL, _LEAD, _PLASTIC, _PEEK = 1.0, 2.8, 12.0, 0.05, 0.02
_ROD = {"titanium": _TITANIUM, "cobalt_chrome": 3.3}

Bar = tuple[Floats, Floats, float, float]
"""The start, end and radius of a bar in mm, and its weight."""

Screws = dict[tuple[str, str], tuple[Floats, Floats]]
"""(level, side) -> the (3,) head and (3,) tip of the screw that runs through the pedicle into the body."""


@dataclass(frozen=True)
class Metal:
    """All metal of one patient.

    Attributes:
        bars: start, end, radius and weight of each bar.
        rods: points along each rod.
        rod_weight: weight of each rod.
        plates: flat ellipsoids (``Ellipsoid.array``), each with its weight.
    """

    bars: Float[Floats, "B 8"]
    rods: Float[Floats, "R M 3"]
    rod_weight: Float[Floats, " R"]
    plates: Float[NDArray[np.floating], "Q 14"]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Name -> array; the names are fields of ``PatientBatch``."""
        named = {"bars": self.bars, "rods": self.rods, "rod_weight": self.rod_weight, "plates": self.plates}
        return {name: array.astype(np.float32) for name, array in named.items()}


def place_metal(parameters: PatientParameters, spine: PosedSpine, habitus: Habitus, rng: np.random.Generator) -> Metal:
    """Place the implants of a patient, and sample what the patient wears."""
    bars: list[Bar] = []
    rods, weight = _no_rods(), np.zeros(RODS)
    construct = parameters.instrumentation
    if construct is not None:
        screws = _place_screws(construct, parameters.size_factor, spine)
        bars += [*_screws(screws), *_cage_markers(construct, spine)]
        rods, weight = _rods(construct, screws)
    bars += _clothing(parameters, spine, habitus, rng)
    return Metal(_bar_table(bars), rods, weight, _plates(spine, habitus, rng))


def _no_rods() -> Floats:
    at = np.linspace(0.0, 100.0, ROD_POINTS)
    line = np.stack([np.zeros(ROD_POINTS), np.zeros(ROD_POINTS), at - NOWHERE_MM], axis=-1)
    return np.stack([line] * RODS)


def _bar_table(bars: list[Bar]) -> Floats:
    table = np.tile(np.array([0.0, 0.0, -NOWHERE_MM, 0.0, 0.0, 10.0 - NOWHERE_MM, 1.0, 0.0]), (BARS, 1))
    for i, (start, end, radius, weight) in enumerate(bars[:BARS]):
        table[i] = [*start, *end, radius, weight]
    return table


def _place_screws(construct: Instrumentation, size: float, spine: PosedSpine) -> Screws:
    pedicles, found = pedicle_centres(spine), Screws()
    for level, side in construct.screws:
        reach = 27.0
        if level == "S1":
            sign = 1.0 if side == "left" else -1.0
            axes = spine.s1_axes
            middle = spine.s1_centre + axes @ np.array([sign * 19.0 * size, 16.0 * size, -14.0 * size])
            inward = axes @ np.array([-sign * 0.35, -1.0, 0.05])
        elif level in spine.levels:
            i = spine.levels.index(level)
            axes, middle = spine.body_axes[i], pedicles[0 if side == "left" else 1, i]
            lateral = float((middle - spine.body_centre[i]) @ axes[:, 0])
            inward = axes @ np.array([-lateral / 45.0, -1.0, -0.04])
            reach = min(reach, 0.85 * float(spine.sizes.plate_depth[i].mean()) + 2.0)
        else:
            continue
        inward = inward / np.linalg.norm(inward)
        found[level, side] = (middle - 17.0 * inward, middle + reach * inward)
    return found


def _screws(screws: Screws) -> list[Bar]:
    bars: list[Bar] = []
    for head, tip in screws.values():
        inward = (tip - head) / np.linalg.norm(tip - head)
        bars.append((head, tip, 2.9, _TITANIUM))
        bars.append((head - 7.0 * inward, head + 5.0 * inward, 6.3, 0.8 * _TITANIUM))
    return bars[: BARS - 16]


def _rods(construct: Instrumentation, screws: Screws) -> tuple[Floats, Floats]:
    """(RODS, ROD_POINTS, 3) rods through the screw heads of each side, and their (RODS,) weights."""
    rods, weight = _no_rods(), np.zeros(RODS)
    for i, side in enumerate(("left", "right")):
        points = np.array([head for (_, where), (head, _) in screws.items() if where == side])
        if side in construct.rods and len(points) >= 2:
            points = points[np.argsort(-points[:, 2])]
            first, last = points[0] - points[1], points[-1] - points[-2]
            points = np.concatenate(
                [points[:1] + 9 * first / np.linalg.norm(first), points, points[-1:] + 9 * last / np.linalg.norm(last)]
            )
            at = np.linspace(0, len(points) - 1, ROD_POINTS)
            rods[i] = np.stack([np.interp(at, range(len(points)), points[:, k]) for k in range(3)], axis=-1)
            weight[i] = _ROD[construct.rod_metal]
    return rods, weight


def _cage_markers(construct: Instrumentation, spine: PosedSpine) -> list[Bar]:
    """The cages in discs. Each cage is a faint block of PEEK with three tantalum pins."""
    bars: list[Bar] = []
    for level in construct.cages:
        if level not in spine.levels:
            continue
        i = spine.levels.index(level)
        axes, top = spine.axes[i, 1], spine.centre[i, 1]
        below = spine.centre[i + 1, 0] if i + 1 < len(spine.levels) else spine.s1_centre
        middle, tall = (top + below) / 2, max(4.0, float(np.linalg.norm(top - below)) - 1.5)
        for x, y in ((-9.0, -8.0), (9.0, -8.0), (0.0, 8.0)):
            foot = middle + axes @ np.array([x, y, -tall / 2])
            bars.append((foot, foot + axes @ np.array([0.0, 0.0, tall]), 0.6, 4.0))
        bars.append((middle + axes @ np.array([-10.0, 0, 0]), middle + axes @ np.array([10.0, 0, 0]), tall / 2, _PEEK))
    return bars


def _clothing(
    parameters: PatientParameters, spine: PosedSpine, habitus: Habitus, rng: np.random.Generator
) -> list[Bar]:
    """Jewellery, clips and hooks of clothing, buckles of a brace, and electrodes. Most patients have none of these."""
    bars: list[Bar] = []
    chest, front = chest_centre(spine, habitus), chest_half_depth(habitus)
    kinds = rng.random(6)
    if habitus.breast > 0 and kinds[0] < 0.10:  # hooks and sliders of a bra
        for side in (1.0, -1.0):
            at = chest[5] + np.array([side * rng.uniform(40, 75), 0.98 * front[5] + 14, rng.uniform(-10, 30)])
            bars += _ring(at, 7.0, 4.0, 0.7, _STEEL)
        for k in range(3):
            at = chest[7] + np.array([rng.normal(0, 3), 0.98 * front[7] + 14, 8.0 * k])
            bars.append((at, at + np.array([6.0, 0, 0]), 0.7, _STEEL))
    if kinds[1] < 0.05:  # a necklace
        angle = np.linspace(-1.2, 1.2, 15)
        line = chest[1] + np.stack([70 * np.sin(angle), -0.7 * front[1] + 0 * angle, 20 - 60 * np.cos(angle)], axis=-1)
        bars += [(a, b, 0.8, _STEEL) for a, b in pairwise(line)]
    if kinds[2] < 0.07:  # buttons or clips down the front
        for k in range(int(rng.integers(2, 6))):
            at = chest[6] + np.array([rng.normal(0, 25), -front[6] - 8, 30 - 75.0 * k])
            bars.append((at, at + np.array([0.0, 2.0, 0]), rng.uniform(4, 6), 0.35 * _STEEL))
    if kinds[3] < 0.06 and parameters.condition == "adolescent_scoliosis":  # buckles of a brace
        for k in range(3):
            at = spine.s1_centre + np.array([rng.choice([-1, 1]) * 60.0, 95.0, 40 + 80.0 * k])
            bars += _ring(at, 26.0, 8.0, 1.1, _STEEL)
    if kinds[4] < 0.04:  # electrodes
        for _ in range(3):
            at = chest[5] + np.array([rng.uniform(-90, 90), -front[5] - 10, rng.uniform(-80, 60)])
            bars.append((at, at + np.array([0.0, 3.0, 0]), 5.0, 0.5 * _STEEL))
    return bars


def _ring(at: Floats, high: float, wide: float, radius: float, weight: float) -> list[Bar]:
    """A flat rectangular buckle in the frontal plane."""
    corners = at + np.array([[-wide, 0, -high], [wide, 0, -high], [wide, 0, high], [-wide, 0, high], [-wide, 0, -high]])
    return [(a, b, radius, weight) for a, b in pairwise(corners)]


def _plates(spine: PosedSpine, habitus: Habitus, rng: np.random.Generator) -> Floats:
    """A gonad shield of lead and the plastic pad of a brace."""
    plates: list[tuple[Ellipsoid, float]] = []
    hips = spine.hips.mean(axis=0)
    if rng.random() < 0.08:
        half = np.diag([rng.uniform(38, 65), 0.45, rng.uniform(35, 60)])  # 2 % of the beam passes
        at = hips + np.array([rng.normal(0, 8), -115 * habitus.size, rng.uniform(-10, 45)])
        plates.append((Ellipsoid(at, half), _LEAD))
    if rng.random() < 0.03:
        at = spine.body_centre[T1_INDEX + 8] + np.array([rng.choice([-1, 1]) * 115 * habitus.size, 20, 0])
        plates.append((Ellipsoid(at, np.diag([6.0, 60.0, 75.0])), _PLASTIC))
    plates += [(NO_ELLIPSOID, 0.0)] * (PLATES - len(plates))
    return np.stack([np.append(solid.array(), weight) for solid, weight in plates])


def build_metal(
    bars: Float[Tensor, "N B 8"], rods: Float[Tensor, "N R M 3"], rod_weight: Float[Tensor, "N R"]
) -> Bones:
    """Solid fillings of titanium for bars and rods that have the format of ``Metal``."""
    start, end, radius, weight = bars[..., :3], bars[..., 3:6], bars[..., 6:7], bars[..., 7]
    tilted = float_tensor(bars.device, 0.31, 0.87, 0.38)
    thick = radius.expand(*radius.shape[:-1], 2)
    grid, axis = bar(start, end, tilted, thick, thick, 5, 0.06, 10)
    course = torch.full((*rods.shape[:-1], 2), 2.75, device=rods.device)
    rod = tube(rods, course, float_tensor(rods.device, 0.0, 1.0, 0.0), 10)
    return Bones((), (Filling("bars", grid, axis, weight, 1.2), Filling("rods", rod, rods, rod_weight, 1.2)))
