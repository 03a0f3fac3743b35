"""Decides which vertebra is which, for the whole vertebral column at once.

A network has one heat map per landmark, for example one for the upper plate of T9 and one for the upper plate of T10.
The network may name the whole column one level too high or too low. All maps together show this error: the map of T10
then has a part of its mass where T9 was found, the map of T11 where T10 was found, and so on. Three hypotheses are
compared: the names are correct, one level too low, or one level too high. A hypothesis assigns a map to each found
landmark. Its score is the mean logarithm of the share of the map's mass at the landmark. The mean is over all landmarks
of vertebrae in all views. If another hypothesis scores clearly better, the column is renamed. If the second-best
hypothesis scores nearly as well, the levels are uncertain by one.

Contract: all vertebrae shift together. Landmarks of the sacrum and the hips keep their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VERTEBRAE, level_of, shifted_name
from spine.types import Float, Floats

SHIFTS = (0, -1, 1)
"""Numbers of levels by which the names may be wrong. In a tie, the first number is chosen."""

MIN_ADVANTAGE = 0.5
"""The names are shifted only if this raises the score by at least this much."""

_AROUND = np.arange(-1, 2)
"""The mass at a landmark is the sum over the cells at these offsets from its cell, in rows and columns."""

_MIN_SHARE = 1e-6
_MIN_VOTES = 6


@dataclass(frozen=True)
class LevelEvidence:
    """The decision for one study: by how many levels the names must be shifted down, and how certain the shift is.

    ``margin`` is the score of the chosen hypothesis minus the best score of the other hypotheses. ``margin`` may be
    slightly negative, because a small advantage does not shift the names.
    """

    shift: int
    margin: float


def level_votes(
    heatmaps: Float[NDArray[np.float32], "K h w"], names: Sequence[str], cells: Mapping[str, Float[Floats, " 2"]]
) -> Float[Floats, "3 N"]:
    """(3, N) logarithms of the share of a map's mass at a landmark, for 3 ``SHIFTS`` and N landmarks of vertebrae.

    A value is NaN where a hypothesis assigns no map to a landmark. ``cells`` are (column, row) of the found landmarks.
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
