"""Small vector drawings for the reviewer's page: an axis, points, lines, bands, as SVG text.

Contract: a drawing is one ``<svg>`` with a ``role="img"`` and a title that says in words what it shows; colours are
classes of the page's style sheet (``challenger``, ``champion``, ``truth``); nothing refers to a network.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 300, 240
"""Size of one panel in units of its drawing."""


@dataclass(frozen=True)
class Scale:
    """A linear map from ``low`` .. ``high`` to ``start`` .. ``end`` of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Position of ``value``, a tenth of a unit exact."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round values inside."""
        raw = (self.high - self.low) / count
        step = 10 ** math.floor(math.log10(raw))
        step *= next(f for f in (1, 2, 5, 10) if f * step >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) + 0.0 for i in range(first, last + 1)]


def scale_around(values: Iterable[float], start: float, end: float, *, least: float = 1.0) -> Scale:
    """A scale that holds every value with a margin of six per cent; never narrower than ``least``."""
    given = list(values) or [0.0]
    low, high = min(given), max(given)
    pad = max(0.06 * (high - low), (least - (high - low)) / 2, 1e-6)
    return Scale(low - pad, high + pad, start, end)


@dataclass
class Panel:
    """A drawing being made: marks in the order they were added.

    Attributes:
        title: what it shows, read aloud to whoever cannot see it.
        x, y: scales inside the frame.
        width, height: of the whole drawing.
    """

    title: str
    x: Scale
    y: Scale
    width: float = WIDTH
    height: float = HEIGHT
    marks: list[str] = field(default_factory=list)

    def frame(self, x_label: str, y_label: str, *, heading: str = "") -> "Panel":
        """Grid, ticks, labels; call it first."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        for value in self.x.ticks():
            place = self.x.at(value)
            self.marks.append(f'<path class="grid" d="M{place} {bottom}V{top}"/>')
            self.text(place, bottom + 12, _told(value), "tick", "middle")
        for value in self.y.ticks():
            place = self.y.at(value)
            self.marks.append(f'<path class="grid" d="M{left} {place}H{right}"/>')
            self.text(left - 4, place + 3, _told(value), "tick", "end")
        self.marks.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>')
        self.text((left + right) / 2, bottom + 26, x_label, "label", "middle")
        middle = (top + bottom) / 2
        self.marks.append(
            f'<text class="label" text-anchor="middle" transform="translate(11 {middle:.0f}) rotate(-90)">'
            f"{escape(y_label)}</text>"
        )
        if heading:
            self.text(left, 11, heading, "heading", "start")
        return self

    def text(self, x: float, y: float, words: str, kind: str, anchor: str) -> None:
        """Words at a place of the drawing."""
        self.marks.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, ends: Sequence[tuple[float, float]], kind: str) -> None:
        """A polyline through points given in values."""
        path = "L".join(f"{self.x.at(a)} {self.y.at(b)}" for a, b in ends)
        self.marks.append(f'<path class="line {kind}" d="M{path}"/>')

    def points(self, places: Sequence[tuple[float, float]], names: Sequence[str], kind: str) -> None:
        """Dots at points given in values, each with its name where one points at it."""
        for (a, b), name in zip(places, names, strict=True):
            dot = f'<circle class="dot {kind}" cx="{self.x.at(a)}" cy="{self.y.at(b)}" r="2.6">'
            self.marks.append(f"{dot}<title>{escape(name)}</title></circle>")

    def band(self, low: float, high: float, kind: str) -> None:
        """A horizontal band between two values."""
        top, bottom = self.y.at(high), self.y.at(low)
        width = round(self.x.end - self.x.start, 1)
        rect = f'<rect class="{kind}" x="{self.x.start}" y="{top}" width="{width}" height="{bottom - top:.1f}"/>'
        self.marks.append(rect)

    def interval(self, row: float, values: tuple[float, float, float], kind: str) -> None:
        """Low, middle and high of one row of a forest plot; ``row`` is a place of the drawing."""
        low, middle, high = (self.x.at(min(max(v, self.x.low), self.x.high)) for v in values)
        self.marks.append(f'<path class="line {kind}" d="M{low} {row:.1f}H{high}"/>')
        self.marks.append(f'<rect class="dot {kind}" x="{middle - 3:.1f}" y="{row - 3:.1f}" width="6" height="6"/>')

    def svg(self) -> str:
        """The whole drawing."""
        name = escape(self.title)
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{name}">'
            f"<title>{name}</title>{''.join(self.marks)}</svg>"
        )


def _told(value: float) -> str:
    return f"{value:g}".replace("-", "−")
