"""Drops the landmarks that cannot belong to the chain of vertebrae on one image.

A network may find a single vertebra on another vertebra, on a rib or on a wire. A Cobb angle is a maximum over pairs of
vertebrae, so one such vertebra determines it. Two rules find it:

1. A vertebra is dropped if one of its plates is much longer or shorter than the other plates of the image.
2. The longest chain of vertebrae is kept whose steps and turns are possible; every other vertebra is dropped.
3. A vertebra at an end of the chain is dropped if it is far from perpendicular to the chain on a frontal image.

The limits leave a wide margin. On the 425 labelled AASCE radiographs that pass the dataset validation, steps are 0.40
to 2.2 times the median step, the line of centres turns by at most 44 degrees at a vertebra, and T1 and L5 are within 22
degrees of the perpendicular. The limits were chosen with the knowledge of these radiographs.

Contract: points are (column, row) in pixels of any frame. Landmarks of the sacrum and the hips are never dropped.
"""

from collections.abc import Collection, Mapping
from statistics import median

import numpy as np

from inference.vertebral_column import centres_of, pitch_of
from spine.landmarks import PLATES, VERTEBRAE, level_of
from spine.types import Float, Floats

STEPS = (0.3, 2.7)
"""Smallest and largest distance of two neighbouring vertebrae, in median distances. A vertebra T13 or L6 has no name.
So its neighbours are up to 2.5 median distances apart."""

MAX_TURN_DEG = 60.0
"""The largest change of direction of the line of centres at one vertebra."""

MAX_MISSING = 2
"""With more vertebrae missing in a row, what lies beyond the gap does not belong to the chain. Vertebrae that a blank
region hides are not counted."""

PLATE_LENGTHS = (0.4, 2.2)
"""Smallest and largest length of a plate, in median lengths of the plates of the image. In adults, the end plates of T4
are the narrowest, with 0.7 median widths, and those of L5 the widest, with 1.5."""

MAX_SKEW_DEG = 40.0
"""Largest angle between the mid-line of the first or last vertebra and the perpendicular of the line to the next one.
(``spine.measurement.fusion`` compares the other vertebrae with their neighbours.)"""

_SIDES = (("_left", "_right"), ("_post", "_ant"))
_MIN_PLATES = 6

Points = Mapping[str, Float[Floats, " 2"]]


def out_of_chain(points: Points, hidden: Collection[str] = ()) -> tuple[str, ...]:
    """The landmarks that cannot belong to the chain of vertebrae, in the order of ``points``.

    ``hidden`` are the vertebrae that are not in ``points`` because the image does not show them.
    """
    wrong = _vertebrae_of_wrong_size(points)
    chain = longest_chain({v: centre for v, centre in centres_of(points).items() if v not in wrong}, hidden)
    chain = _without_skewed_ends(chain, points)
    return tuple(n for n in points if level_of(n) in VERTEBRAE and level_of(n) not in chain)


def longest_chain(centres: Points, hidden: Collection[str] = ()) -> tuple[str, ...]:
    """The names of the longest chain of vertebrae with possible steps and turns.

    ``centres`` are ordered from T1 down. All of them are returned if no two neighbours are known. ``hidden`` vertebrae
    do not count as missing.
    """
    names, pitch = list(centres), pitch_of(centres)
    if not pitch:
        return tuple(names)
    at = [VERTEBRAE.index(name) for name in names]
    searched = np.cumsum([vertebra not in hidden for vertebra in VERTEBRAE])
    centre = np.stack(list(centres.values()))
    # Dynamic programming over the last two vertebrae of a chain: (i, j) -> (number of vertebrae, vertebra before i).
    best: dict[tuple[int, int], tuple[int, int | None]] = {}
    for j in range(len(names)):
        for i in range(j):
            missing = int(searched[at[j]] - searched[at[i]]) - 1
            if missing > MAX_MISSING or not _is_step(_length(centre[j] - centre[i]) / pitch, at[j] - at[i]):
                continue
            longer = [
                (best[h, i][0] + 1, h)
                for h in range(i)
                if (h, i) in best and _turn_deg(centre[i] - centre[h], centre[j] - centre[i]) <= MAX_TURN_DEG
            ]
            best[i, j] = max(longer, default=(2, None), key=lambda found: found[0])
    if not best:
        return ()
    pair: tuple[int, int] | None = max(best, key=lambda last: best[last][0])
    chain = [pair[1]] if pair else []
    while pair is not None:
        before = best[pair][1]
        chain.append(pair[0])
        pair = None if before is None else (before, pair[0])
    return tuple(names[i] for i in reversed(chain))


def _is_step(pitches: float, levels: int) -> bool:
    """Whether two vertebrae that are ``levels`` apart in name may be ``pitches`` median distances apart."""
    return STEPS[0] * levels <= pitches <= STEPS[1] + (levels - 1) * 1.5


def _length(vector: Floats) -> float:
    return float(np.linalg.norm(vector))


def _turn_deg(first: Floats, second: Floats) -> float:
    cross = first[0] * second[1] - first[1] * second[0]
    return abs(float(np.degrees(np.arctan2(cross, first @ second))))


def _without_skewed_ends(chain: tuple[str, ...], points: Points) -> tuple[str, ...]:
    """The chain without the vertebrae at its ends that are far from perpendicular to it on a frontal image."""
    centres = centres_of(points)
    while len(chain) > 1 and _skew_deg(chain[0], centres[chain[1]] - centres[chain[0]], points) > MAX_SKEW_DEG:
        chain = chain[1:]
    while len(chain) > 1 and _skew_deg(chain[-1], centres[chain[-1]] - centres[chain[-2]], points) > MAX_SKEW_DEG:
        chain = chain[:-1]
    return chain


def _skew_deg(vertebra: str, downwards: Floats, points: Points) -> float:
    """Angle between the mid-line of a vertebra and the perpendicular of ``downwards``; 0 without its four corners."""
    plates = [f"{vertebra}_{side}" for side in ("sup", "inf")]
    if not all(f"{plate}_{side}" in points for plate in plates for side in ("left", "right")):
        return 0.0
    across = sum((points[f"{plate}_left"] - points[f"{plate}_right"] for plate in plates), np.zeros(2))
    return _turn_deg(np.array([downwards[1], -downwards[0]]), across)


def _vertebrae_of_wrong_size(points: Points) -> set[str]:
    """The vertebrae with a plate that is much longer or shorter than the other plates of the image."""
    wrong: set[str] = set()
    for first, second in _SIDES:
        known = [p for p in PLATES if f"{p}{first}" in points and f"{p}{second}" in points]
        lengths = {p: _length(points[f"{p}{first}"] - points[f"{p}{second}"]) for p in known}
        if len(lengths) >= _MIN_PLATES:
            low, high = (limit * median(lengths.values()) for limit in PLATE_LENGTHS)
            wrong |= {level_of(plate) for plate, length in lengths.items() if not low <= length <= high}
    return wrong
