"""A4 pages of text, tables and images as a PDF, made with matplotlib's PDF backend.

Contract: text stays text, equal contents give equal bytes, and no mark-up in a text is interpreted. Lengths are
millimetres from the upper left corner of the page.
"""

import io
from collections.abc import Sequence
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH_MM, HEIGHT_MM, MARGIN_MM = 210.0, 297.0, 14.0
BOTTOM_MM = HEIGHT_MM - 20.0
_INK, _PALE, _RULE, _BANNER = "#16181d", "#5b626c", "#c4c8ce", "#ffc440"
_POINT_MM = 25.4 / 72
_ADVANCE = 0.56
"""Mean width of a letter of DejaVu Sans in English text, times its size; measured on the report, a little too wide."""


class PdfPages:
    """Pages that fill from the top. A page that is full is followed by the next one.

    Attributes:
        top: where the next line begins.
    """

    def __init__(self, banner: str, foot: Sequence[str]) -> None:
        """Begin the first page. ``banner`` stands on top of every page, and the lines of ``foot`` below."""
        self._banner, self._foot = banner, foot
        self._figures: list[Any] = []
        self.top = 0.0
        self._begin()

    def _begin(self) -> None:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        figure = Figure(figsize=(WIDTH_MM / 25.4, HEIGHT_MM / 25.4))
        self._figures.append(figure)
        band = Rectangle((0, 1 - 9 / HEIGHT_MM), 1, 9 / HEIGHT_MM, facecolor=_BANNER, transform=figure.transFigure)
        figure.add_artist(band)
        self._text(self._banner, WIDTH_MM / 2, 2.6, 10, weight="bold", align="center")
        for number, line in enumerate(self._foot):
            self._text(line, MARGIN_MM, HEIGHT_MM - 14 + 3.2 * number, 6.5, colour=_PALE)
        self._text(f"page {len(self._figures)}", WIDTH_MM - MARGIN_MM, HEIGHT_MM - 14, 6.5, colour=_PALE, align="right")
        self.top = 15.0

    def heading(self, text: str, size: float = 15) -> None:
        """A bold line."""
        self.require(size * _POINT_MM * 2)
        self._text(text, MARGIN_MM, self.top, size, weight="bold")
        self.top += size * _POINT_MM * 1.7

    def paragraph(
        self, text: str, *, left: float = MARGIN_MM, width: float = WIDTH_MM - 2 * MARGIN_MM, size: float = 8
    ) -> None:
        """Wrapped text."""
        for line in wrapped(text, width, size):
            self.require(size * _POINT_MM * 1.45)
            self._text(line, left, self.top, size)
            self.top += size * _POINT_MM * 1.45

    def row(self, cells: Sequence[str], columns: Sequence[float], *, head: bool = False) -> None:
        """One row of a table with a rule above it. ``columns`` are left edges, then the right edge of the table."""
        size = 6.5 if head else 7.5
        widths = [end - start - 2 for start, end in pairwise(columns)]
        lines = [wrapped(cell, width, size) for cell, width in zip(cells, widths, strict=True)]
        step = size * _POINT_MM * 1.35
        height = step * max(map(len, lines)) + 1.4
        self.require(height)
        self._rule(columns[0], columns[-1])
        for left, texts in zip(columns[:-1], lines, strict=True):
            for number, line in enumerate(texts):
                self._text(line, left, self.top + 0.8 + number * step, size, colour=_PALE if head else _INK)
        self.top += height

    def images(self, images: "Sequence[Image]", height: float) -> float:
        """Images side by side from the left margin, ``height`` tall; return the right edge. The top stays."""
        import numpy as np

        left = MARGIN_MM
        for image in images:
            width = height * image.width / image.height
            box = (left / WIDTH_MM, 1 - (self.top + height) / HEIGHT_MM, width / WIDTH_MM, height / HEIGHT_MM)
            axes = self._figures[-1].add_axes(box)
            axes.imshow(np.asarray(image), aspect="auto", interpolation="none")
            axes.set_axis_off()
            left += width + 2
        return left

    def require(self, height: float) -> None:
        """Begin a page if ``height`` does not fit on this one."""
        if self.top + height > BOTTOM_MM:
            self._begin()

    def encoded(self, title: str) -> bytes:
        """The bytes of the PDF."""
        from matplotlib.backends.backend_pdf import PdfPages as Writer

        stream = io.BytesIO()
        # Without the dates of the moment, and without the version of matplotlib.
        facts = {"Title": title, "Creator": "Plumbline", "Producer": "Plumbline", "CreationDate": None}
        with Writer(stream, metadata=facts) as writer:
            for figure in self._figures:
                writer.savefig(figure, dpi=200)
        return stream.getvalue()

    def _text(
        self,
        text: str,
        left: float,
        top: float,
        size: float,
        *,
        colour: str = _INK,
        weight: str = "normal",
        align: str = "left",
    ) -> None:
        self._figures[-1].text(
            left / WIDTH_MM,
            1 - top / HEIGHT_MM,
            text,
            size=size,
            color=colour,
            weight=weight,
            ha=align,
            va="top",
            parse_math=False,
        )

    def _rule(self, left: float, right: float) -> None:
        from matplotlib.lines import Line2D

        figure = self._figures[-1]
        height = 1 - self.top / HEIGHT_MM
        ends = [left / WIDTH_MM, right / WIDTH_MM]
        figure.add_artist(Line2D(ends, [height, height], color=_RULE, linewidth=0.5, transform=figure.transFigure))


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Lines of text that fit into ``width`` mm at ``size`` points; at least one."""
    return wrap(text, max(8, int(width / (_ADVANCE * size * _POINT_MM)))) or [""]
