"""The forest plot: paired differences of challenger and champion by parameter and subgroup.

Contract: every row of the verdict is drawn, its number of patients beside it; a group that the policy found too small
to judge is drawn pale, because an interval of a few patients persuades without showing anything.
"""

from collections.abc import Sequence

from spine.measurement.registry import PARAMETERS
from validation.gates.subgroups import EVERYBODY, PairedDifference
from validation.review.drawing import Panel, Scale

_ROW, _TOP, _NAMES, _FIGURES, _WIDTH = 15, 28, 212, 158, 620


def draw_forests(differences: Sequence[PairedDifference]) -> tuple[str, ...]:
    """One drawing for each subject, in the verdict's order."""
    rows: dict[str, list[PairedDifference]] = {}
    for row in differences:
        rows.setdefault(row.subject, []).append(row)
    return tuple(draw_forest(subject, members) for subject, members in rows.items())


def draw_forest(subject: str, rows: Sequence[PairedDifference]) -> str:
    """One subject's rows; zero, the margin of every row and its interval on one scale."""
    unit = "°" if rows[0].unit == "deg" else f" {rows[0].unit}"
    label = PARAMETERS[subject].label if subject in PARAMETERS else f"{subject}, in {rows[0].unit}"
    reach = 1.05 * max(0.1, *(abs(v) for r in rows for v in (r.margin, *((r.low, r.high) if r.judged else (r.mean,)))))
    bottom = _TOP + _ROW * len(rows) + 4
    panel = Panel(
        f"{label}: difference of errors, challenger minus champion, by subgroup",
        Scale(-reach, reach, _NAMES, _WIDTH - _FIGURES),
        Scale(0, 1, bottom, _TOP - 6),
        _WIDTH,
        bottom + 30,
    )
    for value in panel.x.ticks(6):
        panel.line([(value, 0), (value, 1)], "grid")
        panel.text(panel.x.at(value), bottom + 12, f"{value:g}".replace("-", "−"), "tick", "middle")
    panel.text(
        panel.x.at(0), bottom + 25, f"← challenger better · in {unit.strip()} · champion better →", "label", "middle"
    )
    panel.text(4, 12, label, "heading", "start")
    panel.line([(0, 0), (0, 1)], "zero")
    panel.text(panel.x.at(0), _TOP - 10, _margins(rows, unit), "tick", "middle")
    for i, row in enumerate(rows):
        _draw_row(panel, row, _TOP + _ROW * (i + 0.5))
    return panel.svg()


def _margins(rows: Sequence[PairedDifference], unit: str) -> str:
    whole = next((r.margin for r in rows if r.group == EVERYBODY), rows[0].margin)
    groups = {r.margin for r in rows if r.group != EVERYBODY} - {whole}
    told = f"margin {whole + 0.0:g}{unit}" + (f", in groups {min(groups):g}{unit}" if groups else "")
    return told.replace("-", "−")


def _draw_row(panel: Panel, row: PairedDifference, place: float) -> None:
    whole, unit = row.group == EVERYBODY, "°" if row.unit == "deg" else ""
    kind = "whole" if whole else "part" if row.judged else "part faint"
    panel.text(_NAMES - 8, place + 3, f"{'all patients' if whole else row.group} (n = {row.n})", f"row {kind}", "end")
    state = "worse" if row.low > 0 and row.judged else "better" if row.high < 0 and row.judged else "level"
    at = panel.x.at(row.margin)
    panel.marks.append(f'<path class="line margin" d="M{at} {place - 6:.1f}v12"/>')
    panel.interval(place, (row.low, row.mean, row.high), f"{kind} {state}")
    interval = f" [{row.low:+.2f}, {row.high:+.2f}]" if row.n > 1 else ""  # one patient has a figure, and no interval
    told = f"{row.mean:+.2f}{interval}{unit}"
    told += "  > margin" if row.judged and not row.high < row.margin else ""
    panel.text(_WIDTH - _FIGURES + 8, place + 3, told.replace("-", "−"), f"row {kind} {state}", "start")
