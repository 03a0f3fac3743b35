"""The outline of a spine in one view: its landmarks as named lines, rings, dots and labels, in pixels of the image.

Two modules draw an outline: ``inference.drawing`` with Pillow on the overlay, and ``validation.review.svg_outline`` as
SVG on the report page. Each draws only the kinds of line and label that it has a style for. Points are (column, row),
integers at pixel centres. An absent landmark is not drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from spine.landmarks import HIPS, LEVELS, PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE, ViewName, level_of
from spine.measurement.planes import PLANE_OF_VIEW, planes_from_view
from spine.measurement.tilts import plate_tilts
from spine.study import Points2D
from spine.types import Floats

LineKind = Literal["curve", "plate", "plate_side", "tilt", "sacrum", "hip_axis", "pelvis"]
LabelKind = Literal["level", "hip"]
Anchor = Literal["right", "left", "top"]

CURVE_POINTS = 300
_DESIGN_ROWS = 1150
"""Image height, in pixels, for which the distances between labels are set. The distances scale with the height."""

_ASIDE: Mapping[ViewName, float] = {"frontal": 0.6, "lateral": 0.3}
"""Distance of a level's name from its leftmost landmark, in heights of the vertebra and its disc. The name then lies
beside the transverse processes (frontal) or in front of the vertebral body (lateral)."""

_HALF_WIDTH = 0.6
"""Half the width of a vertebral body in the same unit, for vertebrae without margins."""


@dataclass(frozen=True)
class Line:
    """A polyline of one kind through (N, 2) points.

    Kinds: ``curve`` (smooth line through the plate centres), ``plate`` (left to right margin), ``plate_side`` (front
    to back margin), ``tilt`` (perpendicular to the line of centres, for a plate without margins), ``sacrum`` (S1
    plate), ``hip_axis``, ``pelvis`` (S1 plate to the middle of the hips, lateral view).
    """

    kind: LineKind
    points: Floats


@dataclass(frozen=True)
class Label:
    """A text at a point. ``anchor`` names the side of the text at the point; ``top`` centres the text below it."""

    kind: LabelKind
    text: str
    at: Floats
    anchor: Anchor


@dataclass(frozen=True)
class Outline:
    """Everything that is drawn: lines, rings around the femoral heads, a dot for every landmark, and labels."""

    lines: tuple[Line, ...]
    rings: tuple[Floats, ...]
    dots: tuple[Floats, ...]
    labels: tuple[Label, ...]


def outline_of(view: ViewName, points: Points2D, size: tuple[int, int]) -> Outline:
    """The outline of the landmarks of one view: ``points`` (column, row) in an image of ``size`` (columns, rows)."""
    centres, tilts = _centres(points), _tilts(view, points)
    hips = {name: points[name] for name in HIPS if name in points}
    return Outline(
        lines=(*_curve(centres), *_plates(points, centres, tilts, size[1]), *_pelvis(view, points, hips)),
        rings=tuple(hips.values()),
        dots=tuple(points.values()),
        labels=(*_level_labels(view, points, centres, size), *_hip_labels(hips, size[1])),
    )


def _tilts(view: ViewName, points: Points2D) -> Mapping[str, float]:
    return plate_tilts(planes_from_view(view, points, None, "NONE")[PLANE_OF_VIEW[view]]).degrees


def _centres(points: Points2D) -> dict[str, Floats]:
    """Plate centres in cranio-caudal order. If a centre is absent, the middle of the left and right margins is used."""
    centres: dict[str, Floats] = {}
    for plate in (*PLATES, S1_PLATE):
        if plate in points:
            centres[plate] = points[plate]
        elif f"{plate}_left" in points and f"{plate}_right" in points:
            centres[plate] = (points[f"{plate}_left"] + points[f"{plate}_right"]) / 2
    return centres


def _curve(centres: Mapping[str, Floats]) -> Sequence[Line]:
    if len(centres) < 2:
        return ()
    through = np.array(list(centres.values()))
    steps = np.hypot(*np.diff(through, axis=0).T)
    kept = np.concatenate([[True], steps > 1e-6])  # the interpolation refuses points that coincide
    along = np.concatenate([[0.0], np.cumsum(steps)])[kept]
    if len(along) < 2:
        return ()
    fine = np.linspace(0.0, along[-1], CURVE_POINTS)
    return (Line("curve", PchipInterpolator(along, through[kept])(fine)),)


def _plates(points: Points2D, centres: Mapping[str, Floats], tilts: Mapping[str, float], rows: int) -> Sequence[Line]:
    lines = []
    for plate in (*PLATES, S1_PLATE):
        across = _pair("plate", points, f"{plate}_left", f"{plate}_right")
        along = _pair("plate_side", points, f"{plate}_ant", f"{plate}_post")
        lines += across + along
        if plate in centres and not (across or along) and plate in tilts and plate != S1_PLATE:
            reach = (8.0 + 5.0 * VERTEBRAE.index(level_of(plate)) / len(VERTEBRAE)) * rows / 512
            lines.append(_through("tilt", centres[plate], tilts[plate], reach))
    return lines


def _pair(kind: LineKind, points: Points2D, start: str, end: str) -> list[Line]:
    return [Line(kind, np.array([points[start], points[end]]))] if start in points and end in points else []


def _through(kind: LineKind, centre: Floats, tilt_deg: float, reach: float) -> Line:
    """A line along a plate, of half length ``reach``. In both views, a positive tilt raises its right end."""
    angle = np.radians(tilt_deg)
    along = reach * np.array([np.cos(angle), -np.sin(angle)])
    return Line(kind, np.array([centre - along, centre + along]))


def _pelvis(view: ViewName, points: Points2D, hips: Points2D) -> Sequence[Line]:
    lines = _pair("sacrum", points, *S1_MARGINS) + _pair("hip_axis", points, *HIPS)
    if view == "lateral" and len(hips) == len(HIPS) and S1_PLATE in points:
        middle = (hips[HIPS[0]] + hips[HIPS[1]]) / 2
        lines.append(Line("pelvis", np.array([points[S1_PLATE], middle])))
    return lines


def _level_labels(
    view: ViewName, points: Points2D, centres: Mapping[str, Floats], size: tuple[int, int]
) -> Sequence[Label]:
    """The name of each level, left of its vertebra. A name that would overlap the name above it is left out."""
    middles = {
        level: np.mean(own, axis=0)
        for level in (*VERTEBRAE, "S1")
        if (own := [centres[plate] for plate in (f"{level}_sup", f"{level}_inf") if plate in centres])
    }
    labels, free_below = [], -np.inf
    for level, middle in middles.items():
        if middle[1] > free_below:
            pitch = _pitch(level, middles, size)
            own = [p[0] for name, p in points.items() if level_of(name) == level]
            left = min([middle[0] - _HALF_WIDTH * pitch, *own]) - _ASIDE[view] * pitch
            labels.append(Label("level", level, np.array([left, middle[1]]), "right"))
            free_below = middle[1] + 12 * size[1] / _DESIGN_ROWS
    return labels


def _pitch(level: str, middles: Mapping[str, Floats], size: tuple[int, int]) -> float:
    """Mean distance from a vertebra to its neighbours; a share of the image height if none of them is visible."""
    place = LEVELS.index(level)
    beside = [middles[name] for name in LEVELS[max(place - 1, 0) : place + 2] if name in middles and name != level]
    return float(np.mean([np.linalg.norm(other - middles[level]) for other in beside])) if beside else size[1] / 30


def _hip_labels(hips: Points2D, rows: int) -> Sequence[Label]:
    """The labels of the femoral heads, or a single label if two labels would overlap."""
    unit = rows / _DESIGN_ROWS
    below = np.array([0.0, 14 * unit])
    if len(hips) == len(HIPS) and abs(hips["HIP_L"][0] - hips["HIP_R"][0]) < 60 * unit:
        return (Label("hip", "hips", max(hips.values(), key=lambda p: float(p[1])) + below, "top"),)
    return [Label("hip", f"hip {name[-1]}", hip + below, "top") for name, hip in hips.items()]
