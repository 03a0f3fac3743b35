"""The style of all static charts: colours and axes, and the conversion of a figure to SVG.

Contract: text in a chart stays text, so that a screen reader or a search can find it. The SVG needs no other file, and
two charts on one page do not affect each other. The functions import matplotlib themselves, because the import writes a
cache of fonts.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np

INK, MUTED, AXIS, GRID = "#1d2630", "#5a6673", "#8a95a1", "#e6eaee"
GOOD, BAD = "#1d7a44", "#a12d1b"
ROLE_COLOURS: Mapping[str, str] = {"challenger": "#b4530a", "champion": "#1f5fa6", "truth": GOOD}
DASHED = (0, (4, 3))

_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": AXIS,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.4,
}
_INCH = 72.0
_DOT_RADIUS = "1.6"
_TICKS = 4
"""The largest number of tick intervals of an axis. Most of the drawing time is spent on ticks."""

_SVG_NAMES = re.compile(r"#([\w.-]+)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")


@contextmanager
def chart_style() -> Iterator[None]:
    """Apply the style to every figure that is made inside this block, or inside a decorated function."""
    import matplotlib

    with matplotlib.rc_context(cast(Any, dict(_STYLE))):
        yield


def panels(count: int, size: tuple[float, float], margins: tuple[float, float, float, float], gap: float = 0.3) -> Any:
    """A figure of ``size``, and its ``count`` axes in one row.

    Args:
        size: width and height in points.
        margins: left, right, bottom and top, in points. Without fixed margins, a layout engine would draw twice.
        gap: distance between two panels, in widths of a panel.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    (width, height), (left, right, bottom, top) = size, margins
    figure = Figure(figsize=(width / _INCH, height / _INCH))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, wspace=gap)
    axes = np.atleast_1d(figure.subplots(1, count))
    for one in axes.flat:
        one.xaxis.set_major_locator(MaxNLocator(_TICKS))
        one.yaxis.set_major_locator(MaxNLocator(_TICKS))
    return figure, axes


def as_svg(figure: Any, title: str, names: Mapping[str, Sequence[str]] | None = None) -> str:
    """The figure as one ``<svg role="img">`` for a page.

    Args:
        title: the text alternative of the chart. It must be unique on the page.
        names: ``gid`` of a scatter plot -> the name of each dot. The name is shown at the mouse pointer.
    """
    import matplotlib

    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 (as above)
    _strip(root)
    for group in root.iter("g"):
        _name_dots(group, (names or {}).get(group.get("id", ""), ()))
    _drop_unused_ids(root)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    label = ElementTree.Element("title")
    label.text = title
    root.insert(0, label)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(element: ElementTree.Element) -> None:
    """Remove namespaces, fonts and empty groups. Also remove the style sheet, which would apply to the whole page."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = {key.rpartition("}")[2]: _short(key, value) for key, value in element.attrib.items()}
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for child in list(element):
        _strip(child)
        if child.tag == "style" or (child.tag in ("g", "defs") and not len(child)):
            element.remove(child)
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _short(key: str, value: str) -> str:
    if key == "style":
        return re.sub(r"font-family: [^;]+; ?", "", value)
    return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value.replace("\n", ""))


def _name_dots(group: ElementTree.Element, names: Sequence[str]) -> None:
    """Add the name of each dot of a scatter plot, and move the common style of the dots to the group.

    matplotlib writes each dot as a reference to one shape. This function replaces the references by circles, because a
    browser draws thousands of circles in half the time.
    """
    dots = list(group.iter("use")) if names else []
    for dot, name in zip(dots, names, strict=True):
        group.set("style", dot.attrib.pop("style", ""))
        dot.tag, dot.attrib = "circle", {"cx": dot.attrib["x"], "cy": dot.attrib["y"], "r": _DOT_RADIUS}
        ElementTree.SubElement(dot, "title").text = name


def _drop_unused_ids(root: ElementTree.Element) -> None:
    used = {
        name
        for element in root.iter()
        for key, value in element.attrib.items()
        if key in ("href", "clip-path")
        for name in _SVG_NAMES.findall(value)
    }
    for element in root.iter():
        if element.get("id", "") not in used:
            element.attrib.pop("id", None)
