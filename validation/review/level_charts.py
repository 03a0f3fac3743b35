"""The charts of the landmark error by level and of the coverage of the intervals, for challenger and champion.

Both models have the same scale. In each row the challenger's mark is above the champion's mark. A level without a value
has an empty row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spine.measurement.registry import PARAMETERS
from validation.evaluation.landmark_errors import LandmarkSummary, Space
from validation.evaluation.record import EvaluationRecord, ModelRole
from validation.review.chart_style import BAD, DASHED, INK, MUTED, ROLE_COLOURS, as_svg, chart_style, panels

NOMINAL_COVERAGE = 0.9
"""The share of true values that 90 % intervals should contain."""

_ROW = 13.0
SPACES: tuple[tuple[Space, str], ...] = (("frontal", "frontal"), ("lateral", "lateral"), ("3d", "in space"))


@chart_style()
def draw_landmark_levels(records: Sequence[EvaluationRecord]) -> tuple[str, ...]:
    """One chart for each space that has errors: the median and the 95th percentile of the error by level."""
    drawn = []
    for space, title in SPACES:
        found = {record.model_role: _levels(record, space) for record in records}
        levels = list(dict.fromkeys(row.group for rows in found.values() for row in rows))
        if levels:
            drawn.append(_draw_levels(title, levels, found))
    return tuple(drawn)


def _levels(record: EvaluationRecord, space: Space) -> list[LandmarkSummary]:
    rows = [s for s in record.landmarks if s.space == space and s.group != "all" and "_" not in s.group]
    return [row for row in rows if row.median_mm is not None or row.median_px is not None]


def _draw_levels(title: str, levels: Sequence[str], found: Mapping[ModelRole, list[LandmarkSummary]]) -> str:
    in_mm = all(row.median_mm is not None for rows in found.values() for row in rows)
    unit = "mm" if in_mm else "px"
    figure, axes = _rows(levels, 260.0, (30.0, 10.0))
    for place, (role, rows) in enumerate(found.items()):
        at = [levels.index(row.group) + _offset(place, len(found)) for row in rows]
        medians = [(row.median_mm if in_mm else row.median_px) or 0.0 for row in rows]
        far = [row.p95_mm if in_mm and row.p95_mm is not None else m for row, m in zip(rows, medians, strict=True)]
        axes.hlines(at, medians, far, ROLE_COLOURS[role], linewidth=1.3)
        axes.scatter(medians, at, s=14, color=ROLE_COLOURS[role], marker="s", linewidths=0)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"error, {unit} (square: median; end of the line: 95th percentile)")
    axes.set_title(title)
    return as_svg(figure, f"Landmark error by level, {title}: median and 95th percentile in {unit}")


@chart_style()
def draw_calibration(records: Sequence[EvaluationRecord]) -> str | None:
    """The chart of the share of 90 % intervals that contain the true value, by parameter.

    The result is None if no model reports intervals.
    """
    names = [
        name
        for name in sorted(PARAMETERS, key=lambda n: not PARAMETERS[n].in_paper)
        if any(record.statistics[name].figures["interval_coverage"].value is not None for record in records)
    ]
    if not names:
        return None
    figure, axes = _rows([PARAMETERS[name].label for name in names], 470.0, (138.0, 92.0))
    axes.axvline(NOMINAL_COVERAGE, color=BAD, linewidth=0.8, linestyle=DASHED)
    axes.text(
        NOMINAL_COVERAGE, 1.0, "nominal", transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=MUTED
    )
    axes.text(1.04, 1.0, "mean width", transform=axes.transAxes, va="bottom", color=MUTED)
    for place, record in enumerate(records):
        _draw_coverage(axes, record, names, _offset(place, len(records)), 1.04 + 0.2 * place)
    axes.set_xlim(0.4, 1.0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("intervals that contain the truth (Wilson 95 % interval)")
    return as_svg(figure, "Calibration: share of the 90 % intervals that contain the truth, by parameter")


def _draw_coverage(axes: Any, record: EvaluationRecord, names: Sequence[str], offset: float, column: float) -> None:
    colour = ROLE_COLOURS[record.model_role]
    for row, name in enumerate(names):
        figures = record.statistics[name].figures
        share, width = figures["interval_coverage"], figures["interval_width"].value
        if share.value is not None and share.low is not None and share.high is not None:
            axes.hlines(row + offset, share.low, share.high, colour, linewidth=1.3)
            axes.scatter([max(share.value, 0.4)], [row + offset], s=14, color=colour, marker="s", linewidths=0)
        if width is not None:
            text = f"{width:.1f}{'°' if record.statistics[name].unit == 'deg' else ' mm'}"
            axes.text(column, row, text, transform=axes.get_yaxis_transform(), va="center", color=colour, fontsize=7)


def _rows(labels: Sequence[str], width: float, sides: tuple[float, float]) -> tuple[Any, Any]:
    """A figure with a row for each label."""
    figure, (axes,) = panels(1, (width, 52.0 + _ROW * len(labels)), (*sides, 30.0, 22.0))
    axes.set_yticks(range(len(labels)), labels, color=INK)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    return figure, axes


def _offset(place: int, count: int) -> float:
    """The vertical offset of a model's mark in its row. A single model has none. Of two models, the first is above."""
    return 0.0 if count == 1 else 0.4 * place - 0.2
