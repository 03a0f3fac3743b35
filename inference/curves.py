"""Decides whether the vertebrae that were found show the curves of the spine, and takes back the curves otherwise.

A Cobb angle is the largest angle between two vertebrae. If vertebrae are missing, the largest angle may lie among them.

Contract: a parameter that was absent before keeps its reason.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.vertebral_column import centres_of, pitch_of
from spine.landmarks import VERTEBRAE, level_of
from spine.measurement.registry import PARAMETERS, Measured
from spine.study import Points2D

MIN_HIDDEN_RUN = 2
"""With at least this many hidden vertebrae in a row, the curve of the spine is unknown."""

MIN_UNSEEN_ABOVE = 6
"""With at least this many vertebrae missing above the highest found one, a whole curve may lie there."""

_ROOM_PER_VERTEBRA = 0.5
"""Room above the highest found vertebra for each missing one, in distances between neighbouring vertebrae. Thoracic
vertebrae are about 0.75 distances apart, less if the spine is bent."""


def hidden_vertebrae(lost: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    """The vertebrae that lost more landmarks than they kept, if several in a row lie between visible vertebrae."""
    if not lost:
        return ()
    hidden = [_count(lost, v) > _count(kept, v) for v in VERTEBRAE]
    visible = [i for i, v in enumerate(VERTEBRAE) if _count(kept, v) and not hidden[i]]
    if not visible:
        return ()
    inside = [i for i in range(visible[0], visible[-1]) if hidden[i]]
    size = MIN_HIDDEN_RUN
    in_runs = [i for i in inside if any(set(range(k, k + size)) <= set(inside) for k in range(i - size + 1, i + 1))]
    return tuple(VERTEBRAE[i] for i in in_runs)


def _count(names: Sequence[str], vertebra: str) -> int:
    return sum(level_of(name) == vertebra for name in names)


def unseen_above(points: Points2D, image: NDArray[np.uint16], sought: Collection[str]) -> tuple[str, ...]:
    """The vertebrae above the highest found one, if a curve of them fits on the image but was not found there.

    A vertebra is found if points of both of its plates are.
    ``points`` are (column, row) in pixels of ``image``, (H, W). Rows of one grey value above the radiograph are no
    room. ``sought`` are the landmarks that the model looks for.
    """
    centres = centres_of(points)
    pitch = pitch_of(centres)
    found = [v for v in centres if all(any(n.startswith(f"{v}_{side}") for n in points) for side in ("sup", "inf"))]
    if pitch is None or not found:
        return ()
    highest = found[0]
    levels = {level_of(name) for name in sought}
    missing = tuple(v for v in VERTEBRAE[: VERTEBRAE.index(highest)] if v in levels)
    drawn = np.flatnonzero(np.ptp(image, axis=1) > 0)
    room = float(centres[highest][1] - (drawn[0] if len(drawn) else 0)) / pitch
    return missing if len(missing) >= MIN_UNSEEN_ABOVE and room >= _ROOM_PER_VERTEBRA * len(missing) else ()


def without_curves(parameters: Mapping[str, Measured], reason: str, code: str) -> dict[str, Measured]:
    """The parameters with absent Cobb angles, for this reason and code."""
    absent = {
        n: Measured(None, m.unit, f"the curve is not known: {reason}", absent_code=code)
        for n, m in parameters.items()
        if PARAMETERS[n].of_curve and not m.is_absent
    }
    return {**parameters, **absent}
