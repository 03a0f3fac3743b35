"""Landmarks as strokes that lie on an image: spine curve, plates, pelvis, dots, names; SVG in the image's pixels.

Contract: nothing is drawn for an absent landmark; a pixel's centre lies half a unit from its edge, as everywhere.
"""

from collections.abc import Mapping, Sequence
from html import escape

from spine.landmarks import HIPS, PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE, level_of
from spine.study import Points2D
from spine.types import Floats

_MARGINS = (("left", "right"), ("ant", "post"))


def draw_layer(points: Points2D, role: str, height: int) -> str:
    """One layer as an SVG group of class ``layer <role>``, for an image of ``height`` pixels."""
    centres = _centres(points)
    strokes = [
        _path("curve", ["L".join(_at(p) for p in centres.values())] if len(centres) > 1 else []),
        _path("plate", _plates(points)),
        _path("pelvis", _pelvis(points)),
        _path("mark", [f"{_at(p)}h0" for p in points.values()]),
    ]
    return f'<g class="layer {escape(role)}">{"".join(strokes)}{_names(points, height)}</g>'


def _path(kind: str, parts: Sequence[str]) -> str:
    return f'<path class="{kind}" d="{"".join("M" + part for part in parts)}"/>' if parts else ""


def _at(point: Floats) -> str:
    return f"{float(point[0]) + 0.5:.1f} {float(point[1]) + 0.5:.1f}"


def _centres(points: Points2D) -> Mapping[str, Floats]:
    """Plate centres in cranio-caudal order; of a set with margins alone, the middle of a pair of them."""
    centres: dict[str, Floats] = {}
    for plate in (*PLATES, S1_PLATE):
        pair = next((p for a, b in _MARGINS if (p := _pair(points, f"{plate}_{a}", f"{plate}_{b}"))), None)
        if plate in points:
            centres[plate] = points[plate]
        elif pair:
            centres[plate] = (pair[0] + pair[1]) / 2
    return centres


def _pair(points: Points2D, first: str, second: str) -> tuple[Floats, Floats] | None:
    return (points[first], points[second]) if first in points and second in points else None


def _plates(points: Points2D) -> list[str]:
    pairs = [_pair(points, f"{plate}_{a}", f"{plate}_{b}") for plate in PLATES for a, b in _MARGINS]
    return [f"{_at(pair[0])}L{_at(pair[1])}" for pair in pairs if pair]


def _pelvis(points: Points2D) -> list[str]:
    lines = []
    if margins := _pair(points, *S1_MARGINS):
        lines.append(f"{_at(margins[0])}L{_at(margins[1])}")
    if hips := _pair(points, *HIPS):
        lines.append(f"{_at(hips[0])}L{_at(hips[1])}")
        if S1_PLATE in points:
            lines.append(f"{_at(points[S1_PLATE])}L{_at((hips[0] + hips[1]) / 2)}")
    return lines


def _names(points: Points2D, height: int) -> str:
    """Names of the levels left of them; one that would cover the name above it is left out."""
    size, free_below, words = height / 72, float("-inf"), []
    for level in (*VERTEBRAE, "S1"):
        own = [point for name, point in points.items() if level_of(name) == level]
        if not own:
            continue
        x, y = min(float(p[0]) for p in own), sum(float(p[1]) for p in own) / len(own)
        if y > free_below:
            words.append(f'<text x="{x - size:.1f}" y="{y + size / 3:.1f}" text-anchor="end">{level}</text>')
            free_below = y + size
    return f'<g class="names" font-size="{size:.1f}">{"".join(words)}</g>' if words else ""
