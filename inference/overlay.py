"""The overlay image of a measurement.

Contract: the overlay always states that it is not for diagnosis, and it marks simulated images. An absent parameter
appears with its reason, and parameters that need a view that was not given appear together in one line.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING

from inference.drawing import FOUND, LEGEND, STYLES, TRUTH, font, render_view
from inference.value_table import NOT_MEASURED, ValueRow, class_lines, grouped_absences, value_rows
from spine.landmarks import VIEWS, ViewName
from spine.measurement.classes import Classified
from spine.measurement.registry import Measured
from spine.prediction import Prediction
from spine.study import Points2D

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from inference.inputs import ImageInput

NOT_FOR_DIAGNOSIS = "NOT FOR DIAGNOSIS"

_HEIGHT = 1150
"""Height of a radiograph on the overlay, pixels."""

_GAP, _HEADER, _FOOTER, _TABLE, _SWATCH, _INTERVAL, _LEGEND_COLUMN = 14, 74, 46, 540, 20, 116, 264
_INK, _PALE, _GROUND, _LINE = (235, 235, 235), (150, 156, 164), (17, 19, 23), (48, 52, 60)
_WARNING = (255, 196, 64)


@dataclass(frozen=True)
class _TableNotes:
    """What stands below the table: classes, the note about rough intervals, and what the intervals rest on."""

    classes: Sequence[str]
    rough: str | None
    intervals: Sequence[str]
    has_truth: bool


def draw_overlay(
    views: "Mapping[ViewName, ImageInput]",
    points: Mapping[ViewName, Points2D],
    parameters: Mapping[str, Measured],
    *,
    truth_points: Mapping[ViewName, Points2D] | None = None,
    title: str | None = None,
    identification: str | None = None,
    footer: str | None = None,
    provenance: str | None = None,
    rough_intervals: str | None = None,
    intervals: Sequence[str] = (),
    warnings: Sequence[str] = (),
    unscaled: Collection[ViewName] = (),
    classes: Mapping[str, Classified] | None = None,
) -> "Image":
    """One RGB image: the views side by side with the landmarks, and the table of values.

    Args:
        views: view -> its image; a scale bar is drawn if lengths are allowed with its calibration.
        points: view -> landmarks in pixels of its image.
        parameters: measured parameters, whose construction lines are drawn.
        truth_points: reference landmarks, drawn as small green rings.
        identification: text that identifies the study, at the upper right.
        footer: text about the measurement, such as the model and the date, at the lower right.
        provenance: origin of the images, for example ``simulated data``; the banner shows it.
        rough_intervals: note about intervals from too few patients; if given, every interval is marked.
        intervals: texts that state what the intervals rest on (``interval_lines``).
        warnings: texts that are printed above the table.
        unscaled: views without a scale bar, because their lengths are withheld.
        classes: classes that follow from the parameters; those with a value appear below the table.
    """
    from PIL import Image, ImageDraw

    order: list[ViewName] = [view for view in VIEWS if view in views]
    panels = [
        render_view(
            view,
            views[view].image,
            points.get(view, {}),
            parameters,
            (truth_points or {}).get(view, {}),
            _HEIGHT,
            spacing_mm=views[view].spacing_mm,
            scale_bar=views[view].lengths_allowed and view not in unscaled,
        )
        for view in order
    ]
    width = sum(p.width + _GAP for p in panels) + _GAP + _TABLE
    sheet = Image.new("RGB", (width, _HEADER + _HEIGHT + 28 + _FOOTER), _GROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_margins(draw, width - 2 * _GAP, title or "Plumbline", identification or "", footer or "")
    left = _GAP
    for view, panel in zip(order, panels, strict=True):
        sheet.paste(panel, (left, _HEADER))
        draw.text((left + 2, _HEADER + _HEIGHT + 5), view.capitalize(), fill=_PALE, font=font(17))
        left += panel.width + _GAP
    top = _draw_warnings(draw, warnings, (left + 4, _HEADER))
    derived = class_lines(classes or {})
    notes = _TableNotes(derived, rough_intervals, intervals, has_truth=bool(truth_points))
    _draw_table(draw, parameters, (left + 4, top), notes)
    _draw_banner(draw, sheet.size, provenance)
    return sheet


def _draw_margins(draw: "ImageDraw", right: int, title: str, identification: str, footer: str) -> None:
    """The texts above and below the views."""
    draw.text((_GAP, 16), title, fill=_INK, font=font(30))
    draw.text((right, 22), identification, fill=_INK, font=font(20), anchor="ra")
    draw.text((right, _HEADER + _HEIGHT + 7), footer, fill=_PALE, font=font(14), anchor="ra")


def warnings_of(prediction: Prediction) -> list[str]:
    """Warnings about radiographs that may be turned, disagree, have no intervals or were refused, and about levels."""
    warnings = list(prediction.notes)
    if prediction.views_disagree:
        warnings.append(
            f"the two radiographs disagree: {len(prediction.height_mismatches)} landmarks lie at different "
            "heights. The radiographs may be exchanged, mirrored, or of two examinations. Do not use these values"
        )
    if prediction.levels_uncertain:
        warnings.append("levels uncertain by one: the images do not show clearly which vertebra is which")
    warnings += [
        f"the values of the {view} radiograph have no intervals: {basis.withheld}"
        for view, basis in prediction.interval_basis.items()
        if basis.withheld is not None
    ]
    warnings += [
        f"the {view} radiograph was not accepted as a radiograph of the spine: {reason}"
        for view, reason in prediction.refused.items()
    ]
    return warnings


def interval_lines(prediction: Prediction) -> list[str]:
    """For each view, the calibration on which its 90 % intervals rest; no line for a view without intervals."""
    return [
        f"{view}: 90 % intervals from {basis.calibration}, n = {basis.patients}"
        + ("; the image is unlike their unchanged images" if basis.unlike else "")
        for view, basis in prediction.interval_basis.items()
        if basis.withheld is None
    ]


def _draw_banner(draw: "ImageDraw", size: tuple[int, int], provenance: str | None) -> None:
    text = f"{provenance.upper()}  ·  {NOT_FOR_DIAGNOSIS}" if provenance else NOT_FOR_DIAGNOSIS
    top = size[1] - _FOOTER
    draw.rectangle((0, top, *size), fill=_WARNING)
    draw.text((size[0] / 2, top + _FOOTER / 2), text, fill=(20, 20, 20), font=font(22), anchor="mm")


def _draw_warnings(draw: "ImageDraw", warnings: Sequence[str], corner: tuple[int, int]) -> int:
    """Draw the warnings on yellow; return the row where the table begins."""
    left, top = corner
    if not warnings:
        return top
    lines = [line for warning in warnings for line in wrap(warning, 64, initial_indent="- ", subsequent_indent="  ")]
    draw.rectangle((left - 4, top, left + _TABLE - 2 * _GAP, top + 16 + 20 * len(lines)), fill=_WARNING)
    for i, line in enumerate(lines):
        draw.text((left + 4, top + 8 + 20 * i), line, fill=_GROUND, font=font(16))
    return top + 28 + 20 * len(lines)


def _draw_table(
    draw: "ImageDraw",
    parameters: Mapping[str, Measured],
    corner: tuple[int, int],
    notes: _TableNotes,
) -> None:
    left, top = corner
    right = left + _TABLE - 2 * _GAP
    if any(m.interval for m in parameters.values()):
        draw.text((right, top), "90 % interval", fill=_PALE, font=font(14), anchor="ra")
        top += 22
    for row in value_rows(parameters, rough=bool(notes.rough)):
        draw.line((left, top, right, top), fill=_LINE)
        _draw_row(draw, row, (left, top, right), has_lines=bool(parameters[row.parameter].construction))
        top += 34
        for line in wrap(row.remark, 76)[:2]:
            draw.text((left + _SWATCH, top - 2), line, fill=_PALE, font=font(14))
            top += 18
        top += 4
    draw.line((left, top, right, top), fill=_LINE)
    for line in (part for group in grouped_absences(parameters) for part in wrap(group, 78)):
        draw.text((left, top + 8), line, fill=_PALE, font=font(14))
        top += 18
    for line in (part for text in notes.classes for part in wrap(text, 78, subsequent_indent="   ")):
        draw.text((left, top + 8), line, fill=_INK, font=font(14))
        top += 18
    top += 6
    rough = [f"~ {notes.rough}"] if notes.rough else []
    shown = [*notes.intervals, *rough] if any(m.interval for m in parameters.values()) else []
    _draw_legend(draw, (left, top), has_truth=notes.has_truth, notes=shown, ink=_WARNING if rough else _PALE)


def _draw_row(draw: "ImageDraw", row: ValueRow, place: tuple[int, int, int], *, has_lines: bool) -> None:
    """Label, value and interval of one parameter, after a mark in the colour of its construction lines."""
    left, top, right = place
    if has_lines and row.parameter in STYLES:
        draw.line((left, top + 18, left + 12, top + 18), fill=STYLES[row.parameter].colour, width=4)
    draw.text((left + _SWATCH, top + 6), row.label, fill=_INK, font=font(19))
    if row.value == NOT_MEASURED:  # in the empty column of the interval: a long label would run into it
        draw.text((right, top + 6), row.value, fill=_PALE, font=font(19), anchor="ra")
        return
    draw.text((right - _INTERVAL, top + 6), row.value, fill=_INK, font=font(19), anchor="ra")
    draw.text((right, top + 8), row.interval, fill=_PALE, font=font(16), anchor="ra")


def _draw_legend(
    draw: "ImageDraw",
    corner: tuple[int, int],
    *,
    has_truth: bool,
    notes: Sequence[str],
    ink: tuple[int, int, int],
) -> None:
    left, top = corner[0], corner[1] + 12
    marks: list[tuple[str, Callable[[int, int], object]]] = [("landmark found", partial(_dot, draw))]
    marks += [("reference landmark", partial(_ring, draw))] if has_truth else []
    marks += [(text, partial(_stroke, draw, colour=colour)) for text, colour in LEGEND.items()]
    marks += [("colour of a row: lines of its parameter", partial(_stroke, draw, colour=STYLES["cobb"].colour))]
    marks += [("dashed: reference line", partial(_dashes, draw, colour=_INK))]
    for i, (text, mark) in enumerate(marks):
        x, y = left + (i % 2) * _LEGEND_COLUMN, top + (i // 2) * 19
        mark(x, y + 9)
        draw.text((x + _SWATCH, y), text, fill=_PALE, font=font(14))
    top += 19 * ((len(marks) + 1) // 2) + 6
    for i, line in enumerate(line for note in notes for line in wrap(note, 78)):
        draw.text((left + 2, top + 18 * i), line, fill=ink, font=font(14))


def _dot(draw: "ImageDraw", x: int, y: int) -> None:
    draw.ellipse((x + 2, y - 4, x + 10, y + 4), fill=FOUND)


def _ring(draw: "ImageDraw", x: int, y: int) -> None:
    draw.ellipse((x + 1, y - 5, x + 11, y + 5), outline=TRUTH, width=2)


def _stroke(draw: "ImageDraw", x: int, y: int, *, colour: tuple[int, int, int]) -> None:
    draw.line((x, y, x + 12, y), fill=colour, width=3)


def _dashes(draw: "ImageDraw", x: int, y: int, *, colour: tuple[int, int, int]) -> None:
    for start in (x, x + 5, x + 10):
        draw.line((start, y, start + 2, y), fill=colour, width=3)
