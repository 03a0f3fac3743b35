"""Draws the outline of a spine on one radiograph with Pillow.

``spine.outline`` decides which lines are drawn. Lines are drawn at twice the size and reduced, so that they are smooth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.measurement.registry import Measured
from spine.outline import Anchor, LabelKind, LineKind, Outline, outline_of
from spine.study import Points2D
from spine.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
FOUND, TRUTH = (255, 138, 76), (110, 235, 150)
_CURVE, _PLATE, _PELVIS = (92, 200, 255), (255, 214, 120), (208, 148, 255)
_COBB, _NAME = (255, 92, 120), (236, 240, 245)
_LINES: Mapping[LineKind, tuple[Colour, float]] = {
    "curve": (_CURVE, 1.6),
    "plate": (_PLATE, 1.6),
    "tilt": (_PLATE, 1.4),
    "sacrum": (_PELVIS, 2.2),
    "hip_axis": (_PELVIS, 1.2),
    "pelvis": (_PELVIS, 1.6),
    "cobb": (_COBB, 2.4),
}
"""Kind of line -> colour and width. The kind ``plate_side`` is not drawn, because ``tilt`` shows the same plate."""

_LABELS: Mapping[LabelKind, tuple[Colour, int]] = {"level": (_NAME, 14), "hip": (_PELVIS, 13), "cobb": (_COBB, 26)}
_ANCHORS: Mapping[Anchor, str] = {"right": "rm", "left": "lm", "top": "ma"}
_SIDES: Mapping[ViewName, tuple[str, str]] = {"frontal": ("R", "L"), "lateral": ("A", "P")}
_FINER = 2


@dataclass(frozen=True)
class Canvas:
    """A canvas with ``scale`` pixels for each image pixel. Widths and sizes are multiples of ``unit`` pixels."""

    draw: Any
    scale: float
    unit: float
    size: tuple[int, int]

    def at(self, point: Floats) -> tuple[float, float]:
        """Canvas position of (column, row) in the image. The centre of a pixel lies half a pixel from its edges."""
        return (float(point[0]) + 0.5) * self.scale, (float(point[1]) + 0.5) * self.scale

    def line(self, ends: Sequence[Floats], colour: Colour, width: float) -> None:
        """Draw a polyline through points of the image."""
        self.draw.line([self.at(p) for p in ends], fill=colour, width=max(1, round(width * self.unit)), joint="curve")

    def disc(self, point: Floats, radius: float, colour: Colour, *, ring: bool = False) -> None:
        """Draw a dot or a ring around a point of the image."""
        x, y = self.at(point)
        box = (x - radius * self.unit, y - radius * self.unit, x + radius * self.unit, y + radius * self.unit)
        if ring:
            self.draw.ellipse(box, outline=colour, width=max(1, round(1.4 * self.unit)))
        else:
            self.draw.ellipse(box, fill=colour)

    def text(self, point: Floats, words: str, colour: Colour, size: int, anchor: str) -> None:
        """Draw text with a dark edge, so that it can be read on bone and on air."""
        edge = {"stroke_width": max(1, round(1.2 * self.unit)), "stroke_fill": (0, 0, 0)}
        self.draw.text(self.at(point), words, colour, font(round(size * self.unit)), anchor, **edge)


def render_view(
    view: ViewName,
    image: NDArray[np.uint16],
    points: Points2D,
    parameters: Mapping[str, Measured],
    truth: Points2D,
    height: int,
) -> "Image":
    """The image of one view, ``height`` pixels tall, with outline, reference landmarks and names of the sides."""
    from PIL import Image, ImageDraw

    scale = height * _FINER / image.shape[0]
    size = (max(1, round(image.shape[1] * scale)), height * _FINER)
    drawn = Image.fromarray(windowed(image)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    canvas = Canvas(ImageDraw.Draw(drawn), scale, _FINER * height / 1150, size)
    outline = outline_of(view, points, (image.shape[1], image.shape[0]), parameters.get("cobb"))
    _draw_lines(canvas, outline)
    for point in truth.values():
        canvas.disc(point, 4.2, TRUTH, ring=True)
    for dot in outline.dots:
        canvas.disc(dot, 2.6, FOUND)
    for label in outline.labels:
        colour, size_of_text = _LABELS[label.kind]
        canvas.text(label.at, label.text, colour, size_of_text, _ANCHORS[label.anchor])
    _draw_sides(canvas, view, image.shape)
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


def _draw_lines(canvas: Canvas, outline: Outline) -> None:
    for line in outline.lines:
        if line.kind in _LINES:
            canvas.line(list(line.points), *_LINES[line.kind])
    for ring in outline.rings:
        canvas.disc(ring, 9, _PELVIS, ring=True)


def _draw_sides(canvas: Canvas, view: ViewName, shape: tuple[int, ...]) -> None:
    first, second = _SIDES[view]
    canvas.text(np.array([0.03 * shape[1], 0.02 * shape[0]]), first, _NAME, 26, "la")
    canvas.text(np.array([0.97 * shape[1], 0.02 * shape[0]]), second, _NAME, 26, "ra")
