"""The outline of a spine as one SVG layer in the image's pixels, for the page's patient viewer."""

from collections.abc import Mapping, Sequence
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


def draw_layer(view: ViewName, points: Points2D, role: str, size: tuple[int, int]) -> str:
    """The outline of one role as an SVG group of class ``layer <role>``, for an image of ``size`` (columns, rows)."""
    outline = outline_of(view, points, size)
    strokes = [_path(kind, _lines(outline, kind)) for kind in dict.fromkeys(_CLASSES.values())]
    strokes.append(_path("mark", [f"{_at(dot)}h0" for dot in outline.dots]))
    return f'<g class="layer {escape(role)}">{"".join(strokes)}{_names(outline, size[1])}</g>'


def _lines(outline: Outline, kind: str) -> list[str]:
    found = [line for line in outline.lines if _CLASSES.get(line.kind) == kind]
    thinned = [[*line.points[:-1:_EVERY], line.points[-1]] for line in found]
    return ["L".join(_at(point) for point in points) for points in thinned]


def _path(kind: str, parts: Sequence[str]) -> str:
    return f'<path class="{kind}" d="{"".join("M" + part for part in parts)}"/>' if parts else ""


def _at(point: Floats) -> str:
    """The point as SVG text. In SVG coordinates the centre of a pixel is half a unit from its edge."""
    return f"{float(point[0]) + 0.5:.1f} {float(point[1]) + 0.5:.1f}"


def _names(outline: Outline, height: int) -> str:
    size = height / 72
    texts = [
        f'<text x="{label.at[0]:.1f}" y="{label.at[1] + size / 3:.1f}" text-anchor="end">{label.text}</text>'
        for label in outline.labels
        if label.kind == "level"
    ]
    return f'<g class="names" font-size="{size:.1f}">{"".join(texts)}</g>' if texts else ""
