"""Landmark sets: which points are looked for, their names, order and left-right partners.

Contract: a landmark set is data. To add one, build a ``LandmarkSet`` and register it in ``LANDMARK_SETS``; nothing
that uses sets has to change.

Names are ``<level>_<part>``. Plate points: ``T4_sup`` (upper end plate centre), ``T4_inf`` (lower), their
margins ``T4_sup_ant``, ``_post``, ``_left``, ``_right`` (the patient's sides). Others: ``S1_sup`` (S1 end
plate centre) with margins ``S1_ant`` and ``S1_post``, ``HIP_L``, ``HIP_R`` (femoral head centres),
``T4_body`` (vertebral body centre), ``T4_ped_left``, ``T4_ped_right`` (pedicle centres).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

ViewName = Literal["frontal", "lateral"]
VIEWS: tuple[ViewName, ViewName] = ("frontal", "lateral")

THORACIC: tuple[str, ...] = tuple(f"T{i}" for i in range(1, 13))
LUMBAR: tuple[str, ...] = tuple(f"L{i}" for i in range(1, 6))
VERTEBRAE: tuple[str, ...] = THORACIC + LUMBAR
LEVELS: tuple[str, ...] = (*VERTEBRAE, "S1")

PLATES: tuple[str, ...] = tuple(f"{level}_{side}" for level in VERTEBRAE for side in ("sup", "inf"))
"""The 34 end plates T1_sup .. L5_inf from cranial to caudal; the plate centre carries the plate's name."""

S1_PLATE = "S1_sup"
S1_MARGINS = ("S1_ant", "S1_post")
HIPS = ("HIP_L", "HIP_R")


def mirrored_name(name: str) -> str:
    """The name of the point that ``name`` becomes when the patient's left and right are exchanged."""
    for ours, theirs in (("_left", "_right"), ("_right", "_left")):
        if name.endswith(ours):
            return name.removesuffix(ours) + theirs
    return {"HIP_L": "HIP_R", "HIP_R": "HIP_L"}.get(name, name)


@cache
def level_of(name: str) -> str:
    """The level of a landmark: ``T4_sup_ant`` -> ``T4``, ``HIP_L`` -> ``HIP``."""
    return name.split("_", 1)[0]


@cache
def shifted_name(name: str, levels: int) -> str | None:
    """The landmark that lies ``levels`` further down: ``T12_sup`` -> ``L1_sup``; None beyond T1..L5.

    Points of no vertebra (sacrum, hips) keep their names.
    """
    level = level_of(name)
    if level not in VERTEBRAE:
        return name
    position = VERTEBRAE.index(level) + levels
    return VERTEBRAE[position] + name.removeprefix(level) if 0 <= position < len(VERTEBRAE) else None


@dataclass(frozen=True)
class LandmarkSet:
    """A named, ordered set of landmarks, looked for in each of ``views``, some of them in one view only.

    Attributes:
        name: registry key, recorded with data sets and models.
        names: K landmark names; the order of heat maps and label arrays.
        views: the views in which landmarks are looked for.
        source: where the set comes from.
        only: landmark -> the one view in which it is looked for; from the other its place cannot be told.
    """

    name: str
    names: tuple[str, ...]
    views: tuple[ViewName, ...]
    source: str
    only: Mapping[str, ViewName] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"landmark set {self.name!r} names a point twice")
        missing = [n for n in self.names if mirrored_name(n) not in self.names]
        if missing:
            raise ValueError(f"landmark set {self.name!r} lacks the mirror partners of {missing}")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def names_in(self, view: ViewName) -> tuple[str, ...]:
        """The landmarks that are looked for in one view, in the set's order."""
        return tuple(n for n in self.names if view in self.views and self.only.get(n, view) == view)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position of each name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def partners(self) -> tuple[int, ...]:
        """(K,) index of the point each point becomes in a mirrored patient (itself on the mid-line)."""
        return tuple(self.index[mirrored_name(n)] for n in self.names)


GALBUSERA39 = LandmarkSet(
    name="galbusera39",
    names=(*PLATES, S1_PLATE, *S1_MARGINS, *HIPS),
    views=VIEWS,
    source="Galbusera et al. 2019, Eur Spine J 28:951-960: 39 points in two views are its 78 landmarks (our reading)",
)

CORNERS68 = LandmarkSet(
    name="corners68",
    names=tuple(f"{plate}_{side}" for plate in PLATES for side in ("left", "right")),
    views=("frontal",),
    source="AASCE 2019 / SpineWeb dataset 16 (Wu et al., MICCAI 2017): four corners of T1..L5 on frontal radiographs",
)

_SIDES: Mapping[str, ViewName] = {"left": "frontal", "right": "frontal", "ant": "lateral", "post": "lateral"}
"""The view in which a margin of an end plate lies on its outline."""

MARGINS175 = LandmarkSet(
    name="margins175",
    names=(*GALBUSERA39.names, *(f"{plate}_{side}" for plate in PLATES for side in _SIDES)),
    views=VIEWS,
    source="galbusera39 and the margins of every plate: left and right on the frontal, front and back on the lateral",
    only={f"{plate}_{side}": view for plate in PLATES for side, view in _SIDES.items()},
)

LANDMARK_SETS: Mapping[str, LandmarkSet] = {s.name: s for s in (GALBUSERA39, CORNERS68, MARGINS175)}
