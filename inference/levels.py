"""Which vertebra is which: a decision over the whole vertebral column.

A network has one heat map per landmark, for example one for the upper plate of T9 and one for that of T10. It may name
the whole column one level too high or too low. All maps together show this: the map of T10 then has a part of its mass
where T9 was found, the map of T11 where T10 was found, and so on. Three hypotheses are compared: one level up, as
found, one level down. The score of a hypothesis is the mean, over all landmarks of vertebrae in all views, of the
logarithm of the share of a map's mass at the place that the hypothesis gives it. If another hypothesis scores clearly
better, the column is renamed. If the second best scores nearly as well, the levels are uncertain by one.

Contract: all vertebrae shift together. Landmarks of no vertebra keep their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VERTEBRAE, level_of, shifted_name
from spine.types import Float, Floats

SHIFTS = (0, -1, 1)
"""Levels by which the names may be off; the first wins a tie."""

MIN_ADVANTAGE = 0.5
"""A shift must score better than the names as found by at least this."""

_AROUND = np.arange(-1, 2)
"""A landmark's place is its cell and the neighbouring cells: this far each way."""

_MIN_SHARE = 1e-6
_MIN_VOTES = 6


@dataclass(frozen=True)
class LevelEvidence:
    """The decision for one study.

    Attributes:
        shift: levels by which the names have to be shifted down.
        margin: score of the chosen hypothesis minus that of the best other one. A larger margin is more certain; below
            zero the other one scores a little better.
    """

    shift: int
    margin: float


def level_votes(
    heatmaps: Float[NDArray[np.float32], "K h w"],
    names: Sequence[str],
    cells: Mapping[str, Float[Floats, " 2"]],
) -> Float[Floats, "3 N"]:
    """(3, N) logarithms of the share of a map's mass at each found landmark, for each of ``SHIFTS``.

    Args:
        heatmaps: (K, h, w) of one view, each summing to one.
        names: the K landmarks.
        cells: landmark -> (2,) (column, row) in cells, for the landmarks found.

    Returns:
        Logarithms for the N found landmarks of vertebrae; NaN where a hypothesis has no map for one.
    """
    at = {name: k for k, name in enumerate(names)}
    voters = [name for name in cells if level_of(name) in VERTEBRAE]
    if not voters:
        return np.empty((len(SHIFTS), 0))
    maps = np.array([[at.get(shifted_name(voter, shift) or "", -1) for voter in voters] for shift in SHIFTS])
    centre = np.rint(np.stack([cells[voter] for voter in voters])).astype(int)
    columns = np.clip(centre[:, 0, None, None] + _AROUND[None, None, :], 0, heatmaps.shape[2] - 1)
    rows = np.clip(centre[:, 1, None, None] + _AROUND[None, :, None], 0, heatmaps.shape[1] - 1)
    share = heatmaps[maps[..., None, None], rows, columns].sum(axis=(-2, -1), dtype=np.float64)
    return np.where(maps >= 0, np.log(share + _MIN_SHARE), np.nan)


def decide_levels(votes: Sequence[Float[Floats, "3 _"]]) -> LevelEvidence | None:
    """The decision from the ``level_votes`` of all views; None with too few landmarks."""
    every = np.concatenate(list(votes), axis=1) if votes else np.empty((len(SHIFTS), 0))
    counts = np.isfinite(every).sum(axis=1)
    if counts.min() < _MIN_VOTES:
        return None
    means = np.nansum(every, axis=1) / counts
    best = int(np.argmax(means))
    if means[best] - means[0] < MIN_ADVANTAGE:
        best = 0
    return LevelEvidence(SHIFTS[best], float(means[best] - np.delete(means, best).max()))
