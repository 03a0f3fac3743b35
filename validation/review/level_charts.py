"""Landmark error by level, and how often intervals hold the truth: champion beside challenger.

Contract: both models stand on one scale, the challenger above the champion in every row; a level without a figure has
a row without a mark.
"""

from collections.abc import Mapping, Sequence

from spine.measurement.registry import PARAMETERS
from validation.evaluation.landmark_errors import LandmarkSummary, Space
from validation.evaluation.record import EvaluationRecord, ModelRole
from validation.review.drawing import Panel, Scale

CLAIMED = 0.9
"""What an interval claims: it holds the truth nine times in ten."""

_ROW, _TOP, _NAMES, _WIDTH = 18, 30, 54, 360
_SPACES: tuple[tuple[Space, str], ...] = (("frontal", "frontal"), ("lateral", "lateral"), ("3d", "in space"))


def draw_landmark_levels(records: Sequence[EvaluationRecord]) -> tuple[str, ...]:
    """One drawing for each space that has figures: median and 95th percentile by level."""
    drawn = []
    for space, title in _SPACES:
        found = {record.model_role: _levels(record, space) for record in records}
        levels = list(dict.fromkeys(row.group for rows in found.values() for row in rows))
        if levels:
            drawn.append(_draw_levels(title, levels, found))
    return tuple(drawn)


def _levels(record: EvaluationRecord, space: Space) -> list[LandmarkSummary]:
    rows = [s for s in record.landmarks if s.space == space and s.group != "all" and "_" not in s.group]
    return [row for row in rows if row.median_mm is not None or row.median_px is not None]


def _draw_levels(title: str, levels: Sequence[str], found: Mapping[ModelRole, list[LandmarkSummary]]) -> str:
    every = [row for rows in found.values() for row in rows]
    in_mm = all(row.median_mm is not None for row in every)
    unit = "mm" if in_mm else "px"
    ends = [(row.p95_mm if in_mm else row.median_px) or 0.0 for row in every]
    bottom = _TOP + _ROW * len(levels)
    panel = Panel(
        f"Landmark error by level, {title}: median and 95th percentile in {unit}",
        Scale(0, 1.05 * max(*ends, 0.5), _NAMES, _WIDTH - 10),
        Scale(0, 1, bottom, _TOP),
        _WIDTH,
        bottom + 32,
    )
    for value in panel.x.ticks():
        panel.line([(value, 0), (value, 1)], "grid")
        panel.text(panel.x.at(value), bottom + 12, f"{value:g}", "tick", "middle")
    told = f"error, {unit}: dot median, line to 95th percentile"
    panel.text((_NAMES + _WIDTH) / 2, bottom + 26, told, "label", "middle")
    panel.text(_NAMES, 14, title, "heading", "start")
    for i, level in enumerate(levels):
        panel.text(_NAMES - 8, _TOP + _ROW * (i + 0.5) + 3, level, "row", "end")
        for j, (role, rows) in enumerate(found.items()):
            row = next((r for r in rows if r.group == level), None)
            if row is not None:
                place = _TOP + _ROW * (i + (0.5 if len(found) == 1 else 0.3 + 0.4 * j))
                median = (row.median_mm if in_mm else row.median_px) or 0.0
                far = row.p95_mm if in_mm and row.p95_mm is not None else median
                panel.interval(place, (median, median, far), role)
    return panel.svg()


def draw_calibration(records: Sequence[EvaluationRecord]) -> str | None:
    """Share of 90 % intervals that hold the truth, by parameter; None where no model gives intervals."""
    names = [
        name
        for name in sorted(PARAMETERS, key=lambda n: not PARAMETERS[n].in_paper)
        if any(record.statistics[name].figures["interval_coverage"].value is not None for record in records)
    ]
    if not names:
        return None
    left, width = 190, 620
    bottom = _TOP + _ROW * len(names)
    panel = Panel(
        "Calibration: share of the 90 % intervals that hold the truth, by parameter",
        Scale(0.4, 1.0, left, width - 130),
        Scale(0, 1, bottom, _TOP - 4),
        width,
        bottom + 32,
    )
    for value in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        panel.line([(value, 0), (value, 1)], "margin" if value == CLAIMED else "grid")
        panel.text(panel.x.at(value), bottom + 12, f"{value:.0%}", "tick", "middle")
    panel.text(panel.x.at(0.7), bottom + 26, "intervals that hold the truth (Wilson 95 %)", "label", "middle")
    panel.text(panel.x.at(CLAIMED), _TOP - 9, "claimed", "tick", "middle")
    panel.text(width - 120, _TOP - 9, "mean width", "tick", "start")
    for i, name in enumerate(names):
        panel.text(left - 8, _TOP + _ROW * (i + 0.5) + 3, PARAMETERS[name].label, "row", "end")
        for j, record in enumerate(records):
            place = _TOP + _ROW * (i + (0.5 if len(records) == 1 else 0.3 + 0.4 * j))
            _draw_held(panel, record, name, place, width - 120 + 56 * j)
    return panel.svg()


def _draw_held(panel: Panel, record: EvaluationRecord, name: str, place: float, column: float) -> None:
    figures = record.statistics[name].figures
    held, width = figures["interval_coverage"], figures["interval_width"].value
    if held.value is not None and held.low is not None and held.high is not None:
        panel.interval(place, (held.low, held.value, held.high), record.model_role)
    if width is not None:
        unit = "°" if record.statistics[name].unit == "deg" else " mm"
        panel.text(column, place + 3, f"{width:.1f}{unit}", f"tick {record.model_role}", "start")
