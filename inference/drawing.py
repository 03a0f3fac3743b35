"""Draws the outline of a spine and the construction lines of its parameters on one radiograph with Pillow.

``spine.outline`` and ``spine.construction_lines`` decide which lines are drawn. Lines are drawn at twice the size and
reduced, so that they are smooth. A label that would cover another label is moved up or down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spine.construction_lines import DrawnConstruction, drawn_constructions
from spine.landmarks import ViewName
from spine.measurement.registry import Measured, rounded
from spine.outline import Anchor, LabelKind, LineKind, Outline, outline_of
from spine.study import Points2D
from spine.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Style:
    """How the construction of a parameter is drawn: the name on its label, its colour, and the width of its lines."""

    name: str
    colour: Colour
    width: float = 1.6


STYLES: Mapping[str, Style] = {
    "thoracic_kyphosis_t4_t12": Style("TK", (96, 214, 255)),
    "lumbar_lordosis_l1_s1": Style("L1-S1", (255, 214, 92)),
    "lumbar_lordosis_l1_l5": Style("L1-L5", (214, 164, 72), 1.2),
    "pelvic_incidence": Style("PI", (208, 148, 255)),
    "sacral_slope": Style("SS", (128, 232, 150)),
    "pelvic_tilt": Style("PT", (255, 140, 200)),
    "t1_pelvic_angle": Style("TPA", (150, 165, 240), 0.8),
    "cobb": Style("Cobb", (255, 92, 120), 2.2),
    "cobb_secondary_cranial": Style("Cobb", (255, 160, 112)),
    "cobb_secondary_caudal": Style("Cobb", (255, 196, 140)),
    "coronal_balance_t1": Style("balance", (128, 232, 150)),
}
"""Parameter -> style. PI - LL has no lines of its own. Those of the mid-line Cobb angle would cover the end
plates' lines, and those of L4-S1 would cover those of L1-S1."""

FOUND, TRUTH = (255, 138, 76), (110, 235, 150)
_CURVE, _PLATE, _PELVIS, _NAME = (92, 160, 220), (224, 190, 130), (176, 140, 214), (236, 240, 245)
_LINES: Mapping[LineKind, tuple[Colour, float]] = {
    "curve": (_CURVE, 1.0),
    "plate": (_PLATE, 1.1),
    "plate_side": (_PLATE, 1.1),
    "tilt": (_PLATE, 1.1),
    "sacrum": (_PELVIS, 1.6),
    "hip_axis": (_PELVIS, 1.0),
    "pelvis": (_PELVIS, 1.0),
}
"""Kind of line -> colour and width."""

LEGEND: Mapping[str, Colour] = {
    "line through the plate centres": _CURVE,
    "end plate": _PLATE,
    "sacrum, femoral heads": _PELVIS,
}
"""What the lines of the spine mean. The lines of a parameter have the colour of its row in the table."""

_LABELS: Mapping[LabelKind, tuple[Colour, int]] = {"level": (_NAME, 12), "hip": (_PELVIS, 12)}
_ANGLE_SIZE, _MAJOR_SIZE, _SIDE_SIZE, _SCALE_SIZE = 16, 20, 24, 15
_ANCHORS: Mapping[Anchor, str] = {"right": "rm", "left": "lm", "top": "ma"}
_SIDES: Mapping[ViewName, tuple[str, str]] = {"frontal": ("R", "L"), "lateral": ("A", "P")}
_BARS_MM = (200, 100, 50, 20, 10)
_LONGEST_BAR = 0.3
_FINER = 2
_DASH, _SPACE = 7.0, 5.0
_MOVES = (0, 1, -1, 2, -2, 3, -3, 4, -4)


@dataclass(frozen=True)
class Canvas:
    """A canvas with ``scale`` pixels for each image pixel. Widths and sizes are multiples of ``unit`` pixels.

    ``taken`` are the boxes of the texts that were drawn.
    """

    draw: Any
    scale: float
    unit: float
    size: tuple[int, int]
    taken: list[Box] = field(default_factory=list)

    def at(self, point: Floats) -> tuple[float, float]:
        """Canvas position of (column, row) in the image. The centre of a pixel lies half a pixel from its edges."""
        return (float(point[0]) + 0.5) * self.scale, (float(point[1]) + 0.5) * self.scale

    def line(self, ends: Sequence[Floats], colour: Colour, width: float) -> None:
        """Draw a polyline through points of the image."""
        self.draw.line([self.at(p) for p in ends], fill=colour, width=max(1, round(width * self.unit)), joint="curve")

    def dashed(self, ends: Floats, colour: Colour, width: float) -> None:
        """Draw a dashed straight line between two points of the image."""
        start, end = (np.array(self.at(p)) for p in ends)
        length = max(float(np.linalg.norm(end - start)), 1e-9)
        step = (_DASH + _SPACE) * self.unit
        for begin in np.arange(0.0, length, step):
            piece = [tuple(start + (end - start) * min(s, length) / length) for s in (begin, begin + _DASH * self.unit)]
            self.draw.line(piece, fill=colour, width=max(1, round(width * self.unit)))

    def disc(self, point: Floats, radius: float, colour: Colour, *, ring: bool = False) -> None:
        """Draw a dot or a ring around a point of the image."""
        x, y = self.at(point)
        box = (x - radius * self.unit, y - radius * self.unit, x + radius * self.unit, y + radius * self.unit)
        if ring:
            self.draw.ellipse(box, outline=colour, width=max(1, round(1.4 * self.unit)))
        else:
            self.draw.ellipse(box, fill=colour)

    def text(
        self, point: Floats, words: str, colour: Colour, size: int, anchor: str, moves: Sequence[int] = (0,)
    ) -> None:
        """Draw text with a dark edge, so that it can be read on bone and on air, inside the canvas.

        ``moves`` are tried in order, in lines of text down: the first that covers no other text is used, or else the
        first of all.
        """
        edge = {"stroke_width": max(1, round(1.2 * self.unit)), "stroke_fill": (0, 0, 0)}
        letters = font(round(size * self.unit))
        x, y = self.at(point)
        placed = [self._inside(x, y + move * 1.15 * size * self.unit, words, letters, anchor) for move in moves]
        free = [(at, box) for at, box in placed if not any(_overlap(box, other) for other in self.taken)]
        at, box = (free or placed)[0]
        self.taken.append(box)
        self.draw.text(at, words, colour, letters, anchor, **edge)

    def _inside(self, x: float, y: float, words: str, letters: Any, anchor: str) -> tuple[tuple[float, float], Box]:
        """Position and box of a text, moved so that the box lies on the canvas."""
        edge = 6 * self.unit
        left, top, right, bottom = self.draw.textbbox((x, y), words, letters, anchor, stroke_width=round(2 * self.unit))
        across = max(edge - left, 0.0) - max(right - (self.size[0] - edge), 0.0)
        down = max(edge - top, 0.0) - max(bottom - (self.size[1] - edge), 0.0)
        return (x + across, y + down), (left + across, top + down, right + across, bottom + down)


def render_view(
    view: ViewName,
    image: NDArray[np.uint16],
    points: Points2D,
    parameters: Mapping[str, Measured],
    truth: Points2D,
    height: int,
    *,
    spacing_mm: tuple[float, float] | None = None,
    scale_bar: bool = False,
) -> "Image":
    """One view, ``height`` pixels tall, with outline, construction lines, reference landmarks and names of the sides.

    ``spacing_mm`` is (row, column). ``scale_bar`` draws a length, so it needs a spacing that is right in the patient.
    """
    from PIL import Image, ImageDraw

    scale = height * _FINER / image.shape[0]
    size = (max(1, round(image.shape[1] * scale)), height * _FINER)
    drawn = Image.fromarray(windowed(image)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    canvas = Canvas(ImageDraw.Draw(drawn), scale, _FINER * height / 1150, size)
    _draw_sides(canvas, view, image.shape)
    if scale_bar and spacing_mm is not None:
        _draw_scale_bar(canvas, image.shape, spacing_mm[1])
    extent = image.shape[1], image.shape[0]
    styled = {name: measured for name, measured in parameters.items() if name in STYLES}
    outline = outline_of(view, points, extent)
    drawn_lines = drawn_constructions(view, points, styled, extent, spacing_mm)
    _draw_lines(canvas, outline, drawn_lines)
    for point in truth.values():
        canvas.disc(point, 4.2, TRUTH, ring=True)
    for dot in outline.dots:
        canvas.disc(dot, 2.0, FOUND)
    for label in outline.labels:
        canvas.text(label.at, label.text, *_LABELS[label.kind], _ANCHORS[label.anchor])
    _draw_values(canvas, drawn_lines, parameters)
    return drawn.resize((size[0] // _FINER, height), Image.Resampling.LANCZOS)


def windowed(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """(h, w) 8-bit grey values, scaled from the 0.5th to the 99.7th percentile of the image and brightened."""
    low, high = np.percentile(image[::2, ::2], [0.5, 99.7])
    unit = np.clip((image.astype(np.float32) - low) / max(float(high - low), 1.0), 0.0, 1.0)
    return np.asarray(unit**0.85 * 235, dtype=np.uint8)


def font(size: int) -> Any:
    """Pillow's own scalable font, which is the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_lines(canvas: Canvas, outline: Outline, constructions: Sequence[DrawnConstruction]) -> None:
    for line in outline.lines:
        if line.kind in _LINES:
            canvas.line(list(line.points), *_LINES[line.kind])
    for ring in outline.rings:
        canvas.disc(ring, 9, _PELVIS, ring=True)
    for construction in constructions:
        style = STYLES[construction.parameter]
        for reference in construction.references:
            canvas.dashed(reference, style.colour, style.width)
        for points in construction.lines:
            canvas.line(list(points), style.colour, style.width)


def _draw_values(
    canvas: Canvas, constructions: Sequence[DrawnConstruction], parameters: Mapping[str, Measured]
) -> None:
    for construction in constructions:
        style, measured = STYLES[construction.parameter], parameters[construction.parameter]
        words = f"{style.name} {rounded(measured.value or 0.0)}{'°' if measured.unit == 'deg' else ' mm'}"
        size = _MAJOR_SIZE if construction.parameter == "cobb" else _ANGLE_SIZE
        canvas.text(construction.label_at, words, style.colour, size, _ANCHORS[construction.anchor], _MOVES)


def _draw_sides(canvas: Canvas, view: ViewName, shape: tuple[int, ...]) -> None:
    first, second = _SIDES[view]
    canvas.text(np.array([0.03 * shape[1], 0.02 * shape[0]]), first, _NAME, _SIDE_SIZE, "la")
    canvas.text(np.array([0.97 * shape[1], 0.02 * shape[0]]), second, _NAME, _SIDE_SIZE, "ra")


def _draw_scale_bar(canvas: Canvas, shape: tuple[int, ...], column_mm: float) -> None:
    """A bar of a round length at the lower left, if one is at most ``_LONGEST_BAR`` of the width."""
    longest = _LONGEST_BAR * shape[1] * column_mm
    length_mm = next((bar for bar in _BARS_MM if bar <= longest), None)
    if length_mm is None:
        return
    unit = shape[0] / 1150
    left, row = 0.03 * shape[1], shape[0] - 22 * unit
    right = left + length_mm / column_mm
    canvas.line([np.array([left, row]), np.array([right, row])], _NAME, 2.0)
    for end in (left, right):
        canvas.line([np.array([end, row - 5 * unit]), np.array([end, row + 5 * unit])], _NAME, 2.0)
    canvas.text(np.array([(left + right) / 2, row - 24 * unit]), f"{length_mm} mm", _NAME, _SCALE_SIZE, "ma")


def _overlap(first: Box, second: Box) -> bool:
    across = min(first[2], second[2]) - max(first[0], second[0])
    return across > 0 and min(first[3], second[3]) - max(first[1], second[1]) > 0
