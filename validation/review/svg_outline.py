"""The outline of a spine as one SVG layer in the image's pixels, and its level names, for the page's patient viewer.

The names stand in a strip beside the image, so that they cover no bone. The layer has a thin leader from the edge of
the image to each named level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from spine.landmarks import ViewName
from spine.outline import LineKind, Outline, outline_of
from spine.study import Points2D
from spine.types import Floats

_CLASSES: Mapping[LineKind, str] = {
    "curve": "curve", "plate": "plate", "plate_side": "plate",
    "sacrum": "pelvis", "hip_axis": "pelvis", "pelvis": "pelvis",
}  # fmt: skip
"""Kind of line -> CSS class of its SVG path."""

_EVERY = 6
"""Only every sixth point of a line is written, because a page has hundreds of lines."""


@dataclass(frozen=True)
class LevelName:
    """The name of a level, and the row of the level as a percentage of the image's height."""

    text: str
    top: float


@dataclass(frozen=True)
class Layer:
    """The outline of one role as an SVG group of class ``layer <role>``, and the names of its levels."""

    role: str
    strokes: str
    names: tuple[LevelName, ...]


def draw_layer(view: ViewName, points: Points2D, role: str, size: tuple[int, int]) -> Layer:
    """The layer of one role, for an image of ``size`` (columns, rows)."""
    outline = outline_of(view, points, size)
    levels = [label for label in outline.labels if label.kind == "level"]
    strokes = [_path(kind, _lines(outline, kind)) for kind in dict.fromkeys(_CLASSES.values())]
    strokes.append(
        _path("leader", [f"0 {label.at[1] + 0.5:.1f}H{max(float(label.at[0]), 0.0):.1f}" for label in levels])
    )
    strokes.append(_path("mark", [f"{_at(dot)}h0" for dot in outline.dots]))
    names = tuple(LevelName(label.text, 100 * (float(label.at[1]) + 0.5) / size[1]) for label in levels)
    return Layer(role, f'<g class="layer {escape(role)}">{"".join(strokes)}</g>', names)


def _lines(outline: Outline, kind: str) -> list[str]:
    found = [line for line in outline.lines if _CLASSES.get(line.kind) == kind]
    thinned = [[*line.points[:-1:_EVERY], line.points[-1]] for line in found]
    return ["L".join(_at(point) for point in points) for points in thinned]


def _path(kind: str, parts: Sequence[str]) -> str:
    return f'<path class="{kind}" d="{"".join("M" + part for part in parts)}"/>' if parts else ""


def _at(point: Floats) -> str:
    """The point as SVG text. In SVG coordinates the centre of a pixel is half a unit from its edge."""
    return f"{float(point[0]) + 0.5:.1f} {float(point[1]) + 0.5:.1f}"
