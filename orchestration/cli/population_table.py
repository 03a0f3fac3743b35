"""The virtual population compared with published figures, as a table and as a figure with the same rows."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestration.cli.terminal import print_table
from simulation.population.sampling import CONDITION_SHARES
from simulation.population.statistics import MIN_PATIENTS, MeasuredPatient, Row

_COLUMNS = ("group", "quantity", "n", "published", "realised", "mark", "agreement")
_AGREEMENT_TEXT = {"within": "pass", "chance": "pass (chance)", "off": "fail"}
_NOTE = (
    "Figures are mean +-SD. pass: the mean differs by at most 1 degree (lengths: 5 %), the SD by at most 15 %, r and "
    "shares by at most 0.10. pass (chance): the excess is below 3 standard errors. Marks: docs/sources.md."
)
_CORRELATED = ("lumbar_lordosis_l1_s1", "pelvic_incidence")


def print_population(rows: Sequence[Row], count: int) -> None:
    """Print every comparison."""
    cells = []
    for row in rows:
        names = [text.replace("_", " ") for text in (row.group, row.quantity)]
        figures = _figure(row.published_mean, row.published_sd, row.kind), _figure(row.mean, row.sd, row.kind)
        agreement = _AGREEMENT_TEXT.get(row.agreement, f"needs {MIN_PATIENTS}")
        cells.append((*names, str(row.count), *figures, row.mark, agreement))
    agree = sum(row.agreement in ("within", "chance") for row in rows)
    few = sum(row.agreement == "too few" for row in rows)
    undecided = f"; {few} rows have fewer than {MIN_PATIENTS} patients: use a larger --count" if few else ""
    title = f"Population of {count}: {agree} of {len(rows) - few} rows agree{undecided}"
    print_table(title, _COLUMNS, cells, note=_NOTE)


def _figure(mean: float, sd: float | None, kind: str) -> str:
    if math.isnan(mean):
        return "-"
    if kind in ("correlation", "share"):
        return f"{mean:.2f}"
    return f"{mean:.1f}" if sd is None else f"{mean:.1f} +-{sd:.1f}"


def draw_population(rows: Sequence[Row], people: Sequence[MeasuredPatient], path: Path) -> None:
    """Draw the comparison as a PNG: angles by group, lengths, correlations, and lordosis against pelvic incidence."""
    import matplotlib  # takes half a second, so not for `cohort` without --figure

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(15, 13), constrained_layout=True)
    _draw_means(axes[0, 0], [r for r in rows if r.kind == "angle"], "angles (degrees): mean and SD")
    _draw_means(axes[0, 1], [r for r in rows if r.kind == "length"], "lengths (mm) of healthy adults: mean and SD")
    _draw_single(axes[1, 0], [r for r in rows if r.kind in ("correlation", "share")])
    _draw_relation(axes[1, 1], people)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_means(axis: Any, rows: Sequence[Row], title: str) -> None:
    for lift, colour, name, figures in (
        (0.17, "0.35", "published", [(r.published_mean, r.published_sd) for r in rows]),
        (-0.17, "tab:orange", "realised", [(r.mean, r.sd) for r in rows]),
    ):
        means, sds = [mean for mean, _ in figures], [sd or 0.0 for _, sd in figures]
        places = [lift - place for place in range(len(rows))]
        axis.errorbar(means, places, xerr=sds, fmt="o", markersize=4, color=colour, label=name)
    _name_rows(axis, rows, title)


def _draw_single(axis: Any, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    axis.plot([r.published_mean for r in rows], [-p for p in places], "o", color="0.35", label="published or chosen")
    axis.plot([r.mean for r in rows], [-p for p in places], "x", color="tab:orange", label="realised")
    _name_rows(axis, rows, "correlations and shares")


def _name_rows(axis: Any, rows: Sequence[Row], title: str) -> None:
    names = [f"{r.group}: {r.quantity}".replace("_", " ") for r in rows]
    axis.set_yticks([-place for place in range(len(rows))], names, fontsize=6)
    axis.set_title(title)
    axis.set_ylim(-len(rows), 0.06 * len(rows) + 1)  # room for the legend above the rows
    axis.grid(alpha=0.3)
    axis.legend(loc="upper right", ncols=2)


def _draw_relation(axis: Any, people: Sequence[MeasuredPatient]) -> None:
    for condition in CONDITION_SHARES:
        points = [
            (p.measured[_CORRELATED[1]], p.measured[_CORRELATED[0]])
            for p in people
            if p.parameters.condition == condition and set(_CORRELATED) <= p.measured.keys()
        ]
        if points:
            axis.plot(*zip(*points, strict=True), ".", markersize=3, label=condition.replace("_", " "))
    axis.set_xlabel("pelvic incidence (degrees)")
    axis.set_ylabel("lordosis L1-S1 (degrees)")
    axis.set_title("every patient, measured")
    axis.grid(alpha=0.3)
    axis.legend(markerscale=3)
