"""The report of one evaluation: a single HTML file with everything in it, opened from anywhere, without a network.

Contract: the page says at its top whether the patients are virtual; absent figures stand as absent with their reason;
no link leaves the file.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from spine.storage import write_text_atomically
from validation.evaluation.agreement import Agreement
from validation.evaluation.landmark_errors import LandmarkSummary
from validation.evaluation.plots import LANDMARK_PLOT, write_plots
from validation.evaluation.record import EvaluationRecord
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import sentence, verdict_table

COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("bias", "bias", 1), ("standard_error_of_estimate", "SEE", 2), ("slope", "slope", 2), ("intercept", "intercept", 1),
    ("mae", "MAE", 2), ("median_ae", "median", 2), ("p95_ae", "95th pct", 1), ("pearson_r", "r", 3),
    ("icc_a1", "ICC(A,1)", 3), ("interval_coverage", "90 % intervals hold", 2), ("interval_width", "their width", 1),
)  # fmt: skip
"""Figure, heading, decimals: the columns of the agreement table (limits of agreement are joined into one)."""


@dataclass(frozen=True)
class Cell:
    """One table cell: text, small print below it, and why it is empty."""

    text: str
    small: str = ""
    title: str = ""


@dataclass(frozen=True)
class ParameterRow:
    """One row of the agreement table."""

    label: str
    definition: str
    in_paper: bool
    count: Cell
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Image:
    """An image inside the page: its title and its bytes as a data address."""

    title: str
    data: str


def write_report(
    record: EvaluationRecord,
    folder: Path,
    *,
    overlays: Mapping[str, Path] | None = None,
    verdict: Verdict | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write plots and ``report.html`` into ``folder``; the page's path.

    Args:
        overlays: title (``best``, ``median``, ``worst`` ...) -> PNG.
        verdict: where the gate has judged; else the page says that it has not.
    """
    plots = write_plots(record, folder / "plots", progress)
    environment = Environment(
        loader=PackageLoader("validation.evaluation", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    paper = {PARAMETERS[name].label for name in PAPER_PARAMETERS}
    page = environment.get_template("report.html.jinja").render(
        record=record,
        verdict=verdict,
        verdict_rows=verdict_table(verdict) if verdict else (),
        reasons=[sentence(r) for r in verdict.refusals] if verdict else [],
        headings=[*(heading for _, heading, _ in COLUMNS[:1]), "limits", *(heading for _, heading, _ in COLUMNS[1:])],
        rows=[_row(record.statistics[name]) for name in _ordered(record)],
        landmarks=[_landmark_row(s) for s in record.landmarks if s.group == "all"],
        shifts=_cell(record.level_shift_rate.value, record.level_shift_rate.low, record.level_shift_rate.high, 2,
                     record.level_shift_rate.absent_reason),
        plots=[_embedded(title, path) for title, path in plots.items() if title in paper],
        wide_plots=[_embedded(title, path) for title, path in plots.items() if title == LANDMARK_PLOT],
        more_plots=[_embedded(title, path) for title, path in plots.items() if title not in {*paper, LANDMARK_PLOT}],
        overlays=[_embedded(title, path) for title, path in (overlays or {}).items()],
        provenance=_provenance(record, verdict),
    )  # fmt: skip
    path = folder / "report.html"
    write_text_atomically(path, page)
    return path


def _ordered(record: EvaluationRecord) -> list[str]:
    """The paper's parameters, then the others of which the test set holds any truth."""
    others = [n for n, a in record.statistics.items() if n not in PAPER_PARAMETERS and a.n_truth]
    return [*PAPER_PARAMETERS, *others]


def _row(agreement: Agreement) -> ParameterRow:
    definition = PARAMETERS[agreement.parameter]
    coverage = agreement.figures["coverage"]
    cells = [_figure_cell(agreement, name, decimals) for name, _, decimals in COLUMNS]
    low, high = agreement.figures["loa_low"], agreement.figures["loa_high"]
    limits = Cell("–", title=low.absent_reason or "")
    if low.value is not None and high.value is not None:
        limits = Cell(f"{round(low.value, 1) + 0.0:+.1f} … {round(high.value, 1) + 0.0:+.1f}")
    return ParameterRow(
        label=f"{definition.label}, {agreement.unit}",
        definition=f"{definition.definition}; {definition.sign}. Source: {definition.source}",
        in_paper=definition.in_paper,
        count=Cell(
            f"{agreement.n}/{agreement.n_truth}",
            "" if coverage.value is None else f"{coverage.value:.0%}",
            coverage.absent_reason or "answered / truths that exist",
        ),
        cells=(cells[0], limits, *cells[1:]),
    )


def _figure_cell(agreement: Agreement, name: str, decimals: int) -> Cell:
    figure = agreement.figures[name]
    return _cell(figure.value, figure.low, figure.high, decimals, figure.absent_reason)


def _cell(value: float | None, low: float | None, high: float | None, decimals: int, reason: str | None) -> Cell:
    if value is None:
        return Cell("–", title=reason or "")
    small = "" if low is None or high is None else f"{_told(low, decimals)} … {_told(high, decimals)}"
    return Cell(_told(value, decimals), small)


def _told(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero


def _landmark_row(summary: LandmarkSummary) -> tuple[str, ...]:
    """Space, found/visible, coverage, claimed, mean, median, 95th percentile in mm, median in px."""
    numbers = (summary.mean_mm, summary.median_mm, summary.p95_mm, summary.median_px)
    return (
        "in space" if summary.space == "3d" else summary.space,
        f"{summary.n_found}/{summary.n_visible}",
        "–" if summary.coverage is None else f"{summary.coverage:.1%}",
        str(summary.n_claimed),
        *("–" if number is None else f"{number:.2f}" for number in numbers),
    )


def _embedded(title: str, path: Path) -> Image:
    return Image(title, "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode())


def _provenance(record: EvaluationRecord, verdict: Verdict | None) -> list[tuple[str, str]]:
    commit = (record.code.commit or "outside a repository") + (" (with changes)" if record.code.dirty else "")
    rows = [
        ("model", record.model_digest),
        ("role", record.model_role),
        ("frozen test set", record.test_digest),
        ("data set", record.dataset_digest),
        ("DVC version", record.dvc_version or "not versioned"),
        ("landmark set", record.landmark_set),
        ("code", commit),
        ("libraries", ", ".join(f"{name} {version}" for name, version in sorted(record.environment.items()))),
        ("evaluated at", record.evaluated_at),
        ("evidence", record.digest),
    ]
    if verdict is not None:
        rows += [
            ("policy", f"{verdict.policy} version {verdict.policy_version}, {verdict.policy_hash}"),
            ("compared with champion", verdict.champion_model or "none: there was no champion"),
            ("verdict", verdict.digest),
        ]
    return rows
