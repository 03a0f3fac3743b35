"""The strokes on one radiograph: spine curve, plates, names, pelvis, Cobb lines.

Contract: strokes are drawn at twice the size and reduced, so they are smooth; nothing is drawn for a landmark that is
absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import HIPS, PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE, ViewName, level_of
from spine.measurement.planes import PLANE_OF_VIEW, planes_from_view
from spine.measurement.registry import Measured
from spine.measurement.tilts import plate_tilts
from spine.study import Points2D
from spine.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

FOUND, TRUTH = (255, 138, 76), (110, 235, 150)
_CURVE, _PLATE, _PELVIS, _COBB, _NAME = (
    (92, 200, 255),
    (255, 214, 120),
    (208, 148, 255),
    (255, 92, 120),
    (236, 240, 245),
)
_FINER = 2
_SIDES: Mapping[ViewName, tuple[str, str]] = {"frontal": ("R", "L"), "lateral": ("A", "P")}


@dataclass(frozen=True)
class Canvas:
    """A view being drawn on, ``scale`` canvas pixels per image pixel, ``unit`` a hair's breadth in canvas pixels."""

    draw: Any
    scale: float
    unit: float
    size: tuple[int, int]

    def at(self, point: Floats) -> tuple[float, float]:
        """Canvas position of (column, row): a pixel's centre lies half a pixel from its edge."""
        return (float(point[0]) + 0.5) * self.scale, (float(point[1]) + 0.5) * self.scale

    def line(self, ends: Sequence[Floats], colour: tuple[int, int, int], width: float) -> None:
        """A polyline through image points."""
        self.draw.line([self.at(p) for p in ends], fill=colour, width=max(1, round(width * self.unit)), joint="curve")

    def disc(self, point: Floats, radius: float, colour: tuple[int, int, int], *, ring: bool = False) -> None:
        """A dot or ring of ``radius`` hairs about an image point."""
        x, y = self.at(point)
        box = (x - radius * self.unit, y - radius * self.unit, x + radius * self.unit, y + radius * self.unit)
        if ring:
            self.draw.ellipse(box, outline=colour, width=max(1, round(1.4 * self.unit)))
        else:
            self.draw.ellipse(box, fill=colour)

    def text(self, point: Floats, words: str, colour: tuple[int, int, int], size: int, anchor: str) -> None:
        """Words with a dark edge, so that they read on bone as on air."""
        edge = max(1, round(1.2 * self.unit))
        at = self.at(point)
        self.draw.text(
            at,
            words,
            fill=colour,
            font=font(round(size * self.unit)),
            anchor=anchor,
            stroke_width=edge,
            stroke_fill=(0, 0, 0),
        )


def render_view(
    view: ViewName,
    image: NDArray[np.uint16],
    points: Points2D,
    parameters: Mapping[str, Measured],
    truth: Points2D,
    height: int,
) -> "Image":
    """One view, ``height`` pixels tall, with everything drawn on it."""
    from PIL import Image, ImageDraw

    scale = height * _FINER / image.shape[0]
    size = (max(1, round(image.shape[1] * scale)), height * _FINER)
    drawn = Image.fromarray(windowed(image)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    canvas = Canvas(ImageDraw.Draw(drawn), scale, _FINER * height / 1150, size)
    tilts = _tilts(view, points)
    _draw_curve(canvas, points)
    _draw_plates(canvas, points, tilts)
    _draw_pelvis(canvas, view, points)
    if view == "frontal":
        _draw_cobb(canvas, points, tilts, parameters.get("cobb"))
    for point in truth.values():
        canvas.disc(point, 4.2, TRUTH, ring=True)
    for point in points.values():
        canvas.disc(point, 2.6, FOUND)
    _draw_names(canvas, points)
    _draw_sides(canvas, view, image.shape)
    return drawn.resize((size[0] // _FINER, height), Image.Resampling.LANCZOS)


def windowed(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """(h, w) greys between the image's half and 99.7th percentile, gently brightened."""
    low, high = np.percentile(image[::2, ::2], [0.5, 99.7])
    unit = np.clip((image.astype(np.float32) - low) / max(float(high - low), 1.0), 0.0, 1.0)
    return np.asarray(unit**0.85 * 235, dtype=np.uint8)


def font(size: int) -> Any:
    """Pillow's own scalable font: the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters."""
    import textwrap

    return textwrap.wrap(text, width)


def _tilts(view: ViewName, points: Points2D) -> dict[str, float]:
    plane = planes_from_view(view, points, None, "NONE")[PLANE_OF_VIEW[view]]
    return dict(plate_tilts(plane).degrees)


def _centres(points: Points2D) -> dict[str, Floats]:
    """Plate centres in cranio-caudal order; of a set with margins alone, the middle of left and right."""
    centres: dict[str, Floats] = {}
    for plate in (*PLATES, S1_PLATE):
        if plate in points:
            centres[plate] = points[plate]
        elif f"{plate}_left" in points and f"{plate}_right" in points:
            centres[plate] = (points[f"{plate}_left"] + points[f"{plate}_right"]) / 2
    return centres


def _draw_curve(canvas: Canvas, points: Points2D) -> None:
    from scipy.interpolate import PchipInterpolator

    centres = np.array(list(_centres(points).values()))
    if len(centres) < 2:
        return
    steps = np.hypot(*np.diff(centres, axis=0).T)
    kept = np.concatenate([[True], steps > 1e-6])
    along = np.concatenate([[0.0], np.cumsum(steps)])[kept]
    if len(along) < 2:
        return
    fine = np.linspace(0.0, along[-1], 300)
    canvas.line(list(PchipInterpolator(along, centres[kept])(fine)), _CURVE, 1.6)


def _draw_plates(canvas: Canvas, points: Points2D, tilts: Mapping[str, float]) -> None:
    for plate, centre in _centres(points).items():
        left, right = points.get(f"{plate}_left"), points.get(f"{plate}_right")
        if left is not None and right is not None:
            canvas.line([left, right], _PLATE, 1.6)
        elif plate in tilts and plate != S1_PLATE:
            reach = (
                (8.0 + 5.0 * VERTEBRAE.index(level_of(plate)) / len(VERTEBRAE)) * canvas.size[1] / canvas.scale / 512
            )
            along = _direction(tilts[plate]) * reach
            canvas.line([centre - along, centre + along], _PLATE, 1.4)


def _direction(tilt_deg: float) -> Floats:
    """Unit (column, row) vector along a plate; the sign conventions of both views' tilts agree in pixels."""
    angle = np.radians(tilt_deg)
    return np.array([np.cos(angle), -np.sin(angle)])


def _draw_pelvis(canvas: Canvas, view: ViewName, points: Points2D) -> None:
    if all(name in points for name in S1_MARGINS):
        canvas.line([points[name] for name in S1_MARGINS], _PELVIS, 2.2)
    hips = [points[name] for name in HIPS if name in points]
    for hip in hips:
        canvas.disc(hip, 9, _PELVIS, ring=True)
    if len(hips) == len(HIPS):
        canvas.line(hips, _PELVIS, 1.2)
        if view == "lateral" and S1_PLATE in points:
            canvas.line([points[S1_PLATE], (hips[0] + hips[1]) / 2], _PELVIS, 1.6)


def _draw_cobb(canvas: Canvas, points: Points2D, tilts: Mapping[str, float], cobb: Measured | None) -> None:
    if cobb is None or cobb.value is None or not cobb.detail:
        return
    ends = (f"{cobb.detail.get('upper_end_vertebra')}_sup", f"{cobb.detail.get('lower_end_vertebra')}_inf")
    centres = _centres(points)
    if not all(plate in centres and plate in tilts for plate in ends):
        return
    reach = 0.36 * canvas.size[0] / canvas.scale
    for plate in ends:
        along = _direction(tilts[plate]) * reach
        canvas.line([centres[plate] - along, centres[plate] + along], _COBB, 2.4)
    # Written on the side that the lines open to: the concave one.
    left = cobb.detail.get("side") == "right"
    column = canvas.size[0] / canvas.scale * (0.97 if left else 0.03)
    middle = (centres[ends[0]] + centres[ends[1]]) / 2
    canvas.text(np.array([column, middle[1]]), f"Cobb {cobb.value:.0f}°", _COBB, 26, "rm" if left else "lm")


def _draw_names(canvas: Canvas, points: Points2D) -> None:
    centres = _centres(points)
    aside = np.array([0.085 * canvas.size[0] / canvas.scale, 0.0])
    free_below = -np.inf  # names of levels crowded at an image's edge would cover one another
    for level in (*VERTEBRAE, "S1"):
        own = [centres[p] for p in (f"{level}_sup", f"{level}_inf") if p in centres]
        if own and np.mean(own, axis=0)[1] > free_below:
            middle = np.mean(own, axis=0)
            canvas.text(middle - aside, level, _NAME, 14, "rm")
            free_below = middle[1] + 13 * canvas.unit / canvas.scale
    _draw_hip_names(canvas, points)


def _draw_hip_names(canvas: Canvas, points: Points2D) -> None:
    below = np.array([0.0, 14 * canvas.unit / canvas.scale])
    hips = {name: points[name] for name in HIPS if name in points}
    apart = 60 * canvas.unit / canvas.scale
    if len(hips) == len(HIPS) and abs(hips["HIP_L"][0] - hips["HIP_R"][0]) < apart:
        lower = max(hips.values(), key=lambda p: float(p[1]))
        canvas.text(lower + below, "hips", _PELVIS, 13, "ma")
        return
    for name, hip in hips.items():
        canvas.text(hip + below, f"hip {name[-1]}", _PELVIS, 13, "ma")


def _draw_sides(canvas: Canvas, view: ViewName, shape: tuple[int, ...]) -> None:
    first, second = _SIDES[view]
    canvas.text(np.array([0.03 * shape[1], 0.02 * shape[0]]), first, _NAME, 26, "la")
    canvas.text(np.array([0.97 * shape[1], 0.02 * shape[0]]), second, _NAME, 26, "ra")
