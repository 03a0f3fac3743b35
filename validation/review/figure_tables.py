"""The tables of the agreement of each parameter and of the landmark errors of each view. Each model has a row.

Every figure is copied from the record. A missing figure is shown as a dash, with the reason for its absence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.landmark_errors import LandmarkSummary, summary_of
from validation.evaluation.record import EvaluationRecord
from validation.review.level_charts import SPACES

_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("bias", "bias", 1), ("standard_error_of_estimate", "SEE", 2), ("slope", "slope", 2), ("intercept", "intercept", 1),
    ("mae", "MAE", 2), ("median_ae", "median", 2), ("p95_ae", "95th pct.", 1), ("pearson_r", "r", 3),
    ("icc_a1", "ICC(A,1)", 3),
    ("interval_coverage", "90 % interval coverage", 2), ("interval_width", "interval width", 1),
)  # fmt: skip
"""Figure, heading and decimals of each column. One more column, after the bias, shows the limits of agreement."""

AGREEMENT_HEADINGS = ("predicted", "bias", "limits of agreement", *(heading for _, heading, _ in _COLUMNS[1:]))
LANDMARK_HEADINGS = (
    "found / visible", "coverage", "false positives", "mean, mm", "median, mm", "95th percentile, mm", "median, px",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, the small print below the text, and the reason if the figure is missing."""

    text: str
    small: str = ""
    title: str = ""


@dataclass(frozen=True)
class TableRow:
    """The figures of one model for one parameter or view. ``minor`` marks parameters beyond the paper's six."""

    subject: str
    definition: str
    role: str
    cells: tuple[Cell, ...]
    minor: bool = False


def agreement_rows(records: Sequence[EvaluationRecord]) -> tuple[TableRow, ...]:
    """The rows of every parameter with a true value in the test set. The paper's parameters are first."""
    names = sorted(PARAMETERS, key=lambda name: not PARAMETERS[name].in_paper)
    return tuple(
        _agreement_row(record.statistics[name], record.model_role)
        for name in names
        if records[0].statistics[name].n_truth
        for record in records
    )


def landmark_rows(records: Sequence[EvaluationRecord]) -> tuple[TableRow, ...]:
    """The rows of each view and of the 3D points."""
    return tuple(
        TableRow(title, "", record.model_role, _landmark_cells(summary))
        for space, title in SPACES
        for record in records
        if (summary := summary_of(record.landmarks, space)) is not None
    )


def level_shifts(records: Sequence[EvaluationRecord]) -> tuple[str, ...]:
    """One text for each model: the share of views that have shifted level names."""
    return tuple(f"{record.model_role}: {_shift(record.level_shift_rate)}" for record in records)


def _shift(rate: Figure) -> str:
    if rate.value is None:
        return f"not known, {rate.absent_reason}"
    interval = "" if rate.low is None or rate.high is None else f" ({rate.low:.1%} to {rate.high:.1%})"
    return f"{rate.value:.1%}{interval}"


def _agreement_row(agreement: Agreement, role: str) -> TableRow:
    definition = PARAMETERS[agreement.parameter]
    bias, *others = (_cell(agreement.figures[name], decimals) for name, _, decimals in _COLUMNS)
    return TableRow(
        subject=f"{definition.label}, {agreement.unit}",
        definition=f"{definition.definition}; {definition.sign}. Source: {definition.source}",
        role=role,
        cells=(_answered(agreement), bias, _limits(agreement), *others),
        minor=not definition.in_paper,
    )


def _answered(agreement: Agreement) -> Cell:
    coverage = agreement.figures["coverage"]
    share = "" if coverage.value is None else f"{coverage.value:.0%}"
    return Cell(f"{agreement.n} / {agreement.n_truth}", share, coverage.absent_reason or "")


def _limits(agreement: Agreement) -> Cell:
    low, high = agreement.figures["loa_low"], agreement.figures["loa_high"]
    if low.value is None or high.value is None:
        return Cell("–", title=low.absent_reason or "")
    return Cell(_interval(low.value, high.value, 1))


def _landmark_cells(summary: LandmarkSummary) -> tuple[Cell, ...]:
    numbers = (summary.mean_mm, summary.median_mm, summary.p95_mm, summary.median_px)
    return (
        Cell(f"{summary.n_found} / {summary.n_visible}"),
        Cell("–" if summary.coverage is None else f"{summary.coverage:.1%}"),
        Cell(str(summary.n_false_positive)),
        *(Cell("–" if number is None else _number(number, 2)) for number in numbers),
    )


def _cell(figure: Figure, decimals: int) -> Cell:
    if figure.value is None:
        return Cell("–", title=figure.absent_reason or "")
    interval = "" if figure.low is None or figure.high is None else _interval(figure.low, figure.high, decimals)
    return Cell(_number(figure.value, decimals), interval)


def _interval(low: float, high: float, decimals: int) -> str:
    return f"{_number(low, decimals)}…{_number(high, decimals)}"


def _number(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")  # + 0.0: no minus before a zero
