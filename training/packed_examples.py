"""Examples for training in little memory, because a fit holds its whole train split, once in each process.

Contract: a packed example gives the same landmarks, under the same names, as the example that was read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from spine.dataset import Example
from spine.types import Floats


class PackedPoints(Mapping[str, Floats]):
    """The landmarks of an image in one (K, 2) array, (column, row) in pixels, instead of K arrays."""

    __slots__ = ("_places", "_rows")

    def __init__(self, points: Mapping[str, Floats]) -> None:
        self._places = _places(tuple(points))
        self._rows: Floats = np.array([*points.values()], dtype=np.float64).reshape(len(points), 2)

    def __getitem__(self, name: str) -> Floats:
        row: Floats = self._rows[self._places[name]]
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Name -> row; one dictionary for all images with the same landmarks."""
    return {name: row for row, name in enumerate(names)}


def packed(example: Example) -> Example:
    """The example with packed landmarks, and without 3D points, which no fit reads."""
    views = {name: replace(view, points=PackedPoints(view.points)) for name, view in example.views.items()}
    return replace(example, views=views, points_3d={})
