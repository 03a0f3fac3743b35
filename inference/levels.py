"""Which vertebra is which, decided over the whole chain.

Every landmark votes for itself: a map of T9's upper plate, one of T10's. That the whole chain is called one level too
high or too low is a question the votes answer together: how much of T10's map lies where T9 was found, of T11's where
T10 was, and so on. Three hypotheses are compared, one level up, as it is, one level down, by the mean over all
landmarks of vertebrae (in both views: they show one patient) of the logarithm of the share of the map that lies where
the landmark would be. A chain that another hypothesis explains clearly better is renamed; where the next best is
hardly worse, the levels are uncertain by one.

Contract: all vertebrae move together; points of no vertebra keep their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VERTEBRAE, level_of, shifted_name
from spine.types import Floats

SHIFTS = (0, -1, 1)
"""Levels by which the names may be off; the first wins a tie."""

CLEARLY = 0.5
"""By how much another naming has to be better than the network's own before it is believed."""

_AROUND = np.arange(-1, 2)
"""Cells, each way, that count as where a landmark is."""

_LEAST_SHARE = 1e-6
_LEAST_VOTES = 6


@dataclass(frozen=True)
class LevelEvidence:
    """What the maps of one study say.

    Attributes:
        shift: levels by which the names have to be moved down.
        margin: how much better (mean logarithm per landmark) that is than the next best hypothesis; more is surer, and
            less than nothing says that another is a little better.
    """

    shift: int
    margin: float


def chain_votes(heatmaps: NDArray[np.float32], names: Sequence[str], cells: Mapping[str, Floats]) -> Floats:
    """(3, N) logarithms of the share of a map that lies around each found landmark, by each of ``SHIFTS``.

    Args:
        heatmaps: (K, h, w) of one view, each summing to one.
        names: the K landmarks.
        cells: landmark -> (2,) (column, row) in cells, of what was found.

    Returns:
        Of the N found landmarks of vertebrae; NaN where a hypothesis has no map for one.
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
    return np.where(maps >= 0, np.log(share + _LEAST_SHARE), np.nan)


def decided(votes: Sequence[Floats]) -> LevelEvidence | None:
    """The verdict of the ``chain_votes`` of all views; None with too few landmarks to tell."""
    every = np.concatenate(list(votes), axis=1) if votes else np.empty((len(SHIFTS), 0))
    counts = np.isfinite(every).sum(axis=1)
    if counts.min() < _LEAST_VOTES:
        return None
    means = np.nansum(every, axis=1) / counts
    best = int(np.argmax(means))
    if means[best] - means[0] < CLEARLY:
        best = 0
    return LevelEvidence(SHIFTS[best], float(means[best] - np.delete(means, best).max()))
