"""Landmark sets: the names of the points, their order, their views and their left-right partners.

Contract: a landmark set is data. To add a set, build a ``LandmarkSet`` and register it in ``LANDMARK_SETS``. The code
that uses the sets does not change.

A landmark has the name ``<level>_<part>``. Left and right are the patient's sides. Examples of names are:

    T4_sup, T4_inf                                       centres of the upper and the lower end plate of T4
    T4_sup_ant, T4_sup_post, T4_sup_left, T4_sup_right   margins of the upper end plate of T4
    S1_sup, S1_ant, S1_post                              centre and margins of the S1 end plate
    HIP_L, HIP_R                                         centres of the femoral heads
    T4_body, T4_ped_left, T4_ped_right                   centres of the vertebral body and the pedicles of T4
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
"""The 34 end plates T1_sup .. L5_inf from cranial to caudal. The centre of a plate has the name of the plate."""

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
    """The name of the same point ``levels`` vertebrae further down (``T12_sup`` -> ``L1_sup``), or None outside T1..L5.

    Points of the sacrum and the hips keep their names.
    """
    level = level_of(name)
    if level not in VERTEBRAE:
        return name
    position = VERTEBRAE.index(level) + levels
    return VERTEBRAE[position] + name.removeprefix(level) if 0 <= position < len(VERTEBRAE) else None


@dataclass(frozen=True)
class LandmarkSet:
    """A named, ordered set of landmarks.

    Attributes:
        name: key in ``LANDMARK_SETS``, which datasets and models record.
        names: K landmark names, in the order of heat maps and label arrays.
        views: the views in which the landmarks are located.
        source: the publication or dataset that defines the set.
        only_in: landmark -> the one view that shows it; a landmark without a key is located in all ``views``.

    Raises:
        ValueError: a name occurs twice, or the left-right partner of a name is missing.
    """

    name: str
    names: tuple[str, ...]
    views: tuple[ViewName, ...]
    source: str
    only_in: Mapping[str, ViewName] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"landmark set {self.name!r} contains a name twice")
        missing = [n for n in self.names if mirrored_name(n) not in self.names]
        if missing:
            raise ValueError(f"landmark set {self.name!r} lacks the left-right partners of {missing}")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def names_in(self, view: ViewName) -> tuple[str, ...]:
        """The landmarks that are located in one view, in the set's order."""
        return tuple(n for n in self.names if view in self.views and self.only_in.get(n, view) == view)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Name -> position in ``names``."""
        return {name: i for i, name in enumerate(self.names)}


GALBUSERA39 = LandmarkSet(
    name="galbusera39",
    names=(*PLATES, S1_PLATE, *S1_MARGINS, *HIPS),
    views=VIEWS,
    source="Galbusera et al. 2019, Eur Spine J 28:951-960: its 78 landmarks are 39 points in two views (our reading)",
)

CORNERS68 = LandmarkSet(
    name="corners68",
    names=tuple(f"{plate}_{side}" for plate in PLATES for side in ("left", "right")),
    views=("frontal",),
    source="AASCE 2019 / SpineWeb dataset 16 (Wu et al., MICCAI 2017): four corners of T1..L5 on frontal radiographs",
)

_VIEW_OF_MARGIN: Mapping[str, ViewName] = {"left": "frontal", "right": "frontal", "ant": "lateral", "post": "lateral"}
"""Side of a margin -> the view in which this margin of an end plate lies on the outline of the plate."""

MARGINS175 = LandmarkSet(
    name="margins175",
    names=(*GALBUSERA39.names, *(f"{plate}_{side}" for plate in PLATES for side in _VIEW_OF_MARGIN)),
    views=VIEWS,
    source="galbusera39 and the plate margins: left and right in the frontal, front and back in the lateral view",
    only_in={f"{plate}_{side}": view for plate in PLATES for side, view in _VIEW_OF_MARGIN.items()},
)

LANDMARK_SETS: Mapping[str, LandmarkSet] = {s.name: s for s in (GALBUSERA39, CORNERS68, MARGINS175)}
