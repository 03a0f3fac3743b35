"""The forest plot of the paired differences between challenger and champion, by parameter and subgroup.

Every difference in the verdict has a row with its number of patients. A group that is too small to be judged is drawn
in a pale colour.
"""

from collections.abc import Sequence
from typing import Any

from spine.measurement.registry import PARAMETERS
from validation.gates.subgroups import EVERYBODY, PairedDifference
from validation.review.chart_style import BAD, GOOD, INK, MUTED, as_svg, chart_style, panels

_ROW, _WIDTH = 12.0, 460.0
_MARGINS = (150.0, 146.0, 34.0, 34.0)
_COLOURS = {"worse": BAD, "better": GOOD, "level": MUTED}


@chart_style()
def draw_forests(differences: Sequence[PairedDifference]) -> tuple[str, ...]:
    """One chart for each compared figure, in the order in which the verdict lists them."""
    rows: dict[str, list[PairedDifference]] = {}
    for row in differences:
        rows.setdefault(row.subject, []).append(row)
    return tuple(draw_forest(subject, members) for subject, members in rows.items())


@chart_style()
def draw_forest(subject: str, rows: Sequence[PairedDifference]) -> str:
    """The chart of one subject. It shows a line at zero, and the interval and the margin of each row."""
    unit = "°" if rows[0].unit == "deg" else f" {rows[0].unit}"
    label = PARAMETERS[subject].label if subject in PARAMETERS else f"{subject}, in {rows[0].unit}"
    figure, (axes,) = panels(1, (_WIDTH, _MARGINS[2] + _MARGINS[3] + _ROW * len(rows)), _MARGINS)
    places = range(len(rows))
    colours = [(_COLOURS[_state(row)], 1.0 if row.judged else 0.35) for row in rows]
    widths = [2.2 if row.group == EVERYBODY else 1.2 for row in rows]
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.vlines([r.margin for r in rows], [p - 0.4 for p in places], [p + 0.4 for p in places], BAD, linewidth=0.8)
    axes.hlines(places, [row.low for row in rows], [row.high for row in rows], colours, linewidths=widths)
    axes.scatter([row.mean for row in rows], places, s=14, c=colours, marker="s", linewidths=0)
    axes.set_xlim(*_reach(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"← challenger better · in {unit.strip()} · champion better →")
    axes.set_title(label, x=-_MARGINS[0] / (_WIDTH - _MARGINS[0] - _MARGINS[1]), y=1.0, pad=20)
    axes.text(
        0.5, 1.0, _margins(rows, unit), transform=axes.transAxes, ha="center", va="bottom", color=MUTED, fontsize=7
    )
    _write_rows(axes, rows)
    return as_svg(figure, f"{label}: difference of errors, challenger minus champion, by subgroup")


def _write_rows(axes: Any, rows: Sequence[PairedDifference]) -> None:
    """Write the name of each row to the left of the row's interval, and the figures to the right."""
    axes.set_yticks(
        range(len(rows)), [f"{'all patients' if r.group == EVERYBODY else r.group} (n = {r.n})" for r in rows]
    )
    for place, (row, tick) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        style = {
            "color": INK if row.judged else MUTED,
            "fontstyle": "normal" if row.judged else "italic",
            "fontweight": "bold" if row.group == EVERYBODY else "normal",
        }
        tick.set(**style)
        if _state(row) != "level":
            style["color"] = _COLOURS[_state(row)]
        axes.text(1.03, place, _figures(row), transform=axes.get_yaxis_transform(), va="center", fontsize=7, **style)


def _reach(rows: Sequence[PairedDifference]) -> tuple[float, float]:
    """Symmetric axis limits. The axis includes all means, all margins, and the intervals of the judged groups."""
    ends = [v for r in rows for v in (r.margin, r.mean, *((r.low, r.high) if r.judged else ()))]
    reach = 1.05 * max(0.1, *(abs(value) for value in ends))
    return -reach, reach


def _state(row: PairedDifference) -> str:
    return "worse" if row.low > 0 and row.judged else "better" if row.high < 0 else "level"


def _margins(rows: Sequence[PairedDifference], unit: str) -> str:
    whole = next((r.margin for r in rows if r.group == EVERYBODY), rows[0].margin)
    groups = {r.margin for r in rows if r.group != EVERYBODY} - {whole}
    text = f"margin {whole + 0.0:g}{unit}" + (f", in groups {min(groups):g}{unit}" if groups else "")
    return text.replace("-", "−")


def _figures(row: PairedDifference) -> str:
    """The mean and its interval as text. For a single patient the interval is left out."""
    interval = f" [{row.low:+.2f}, {row.high:+.2f}]" if row.n > 1 else ""
    beyond = "  > margin" if row.judged and not row.high < row.margin else ""
    return f"{row.mean:+.2f}{interval}{'°' if row.unit == 'deg' else ''}{beyond}".replace("-", "−")
