"""Paired differences of challenger and champion by parameter and subgroup, and the forest plot of them.

What belongs here: the rows and their drawing. What does not: the difference of one row (``validation.gates.paired``),
what follows from it (the verdict). Contract: a row is drawn for every group, its number of patients beside it; a group
that is smaller than ``LEAST`` is listed without an interval, because an interval of three patients persuades without
showing anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.gates.paired import paired_difference
from validation.gates.policy import Policy
from validation.review.drawing import Panel, Scale
from validation.review.subgroups import DIMENSIONS, group_of, in_order

LEAST = 8
"""Fewer patients than this make no interval."""

_ROW, _TOP, _NAMES, _FIGURES, _WIDTH = 15, 28, 212, 158, 620


@dataclass(frozen=True)
class PairedDifference:
    """Mean paired difference of losses in one group, challenger minus champion; negative is better.

    Attributes:
        subject: parameter; group: ``all`` or ``<dimension>: <group>``.
        n: studies with a truth; mean, low, high: with 95 % interval.
        unit, margin: of the parameter in the policy.
    """

    subject: str
    group: str
    n: int
    mean: float
    low: float
    high: float
    unit: str
    margin: float


def paired_differences(
    challenger: EvaluationRecord, champion: EvaluationRecord, policy: Policy
) -> tuple[PairedDifference, ...]:
    """For each compared parameter: all patients, then every group of every dimension."""
    parts = [("all", challenger)]
    for dimension, title in DIMENSIONS.items():
        members = in_order(group_of(s, dimension) for s in challenger.studies)
        if len(members) > 1:
            parts += [(f"{title}: {group}", _part(challenger, dimension, group)) for group in members]
    found = [
        _difference(parameter, group, part, champion, policy)
        for parameter in policy.comparison.margins
        for group, part in parts
    ]
    return tuple(row for row in found if row is not None)


def _part(record: EvaluationRecord, dimension: str, group: str) -> EvaluationRecord:
    return replace(record, studies=tuple(s for s in record.studies if group_of(s, dimension) == group))


def _difference(
    parameter: str, group: str, part: EvaluationRecord, champion: EvaluationRecord, policy: Policy
) -> PairedDifference | None:
    found = paired_difference(part, champion, parameter, policy.comparison)
    if found is None:
        return None
    unit, margin = PARAMETERS[parameter].unit, policy.comparison.margins[parameter].margin
    return PairedDifference(parameter, group, found.n, found.mean, found.low, found.high, unit, margin)


def draw_forest(parameter: str, rows: Sequence[PairedDifference]) -> str:
    """One parameter's rows; zero, the margin and every interval on one scale."""
    margin, unit = rows[0].margin, "°" if rows[0].unit == "deg" else f" {rows[0].unit}"
    label = PARAMETERS[parameter].label if parameter in PARAMETERS else parameter.replace("_", " ")
    reach = max([2 * abs(margin), 0.1, *(abs(v) for r in rows if r.n >= LEAST for v in (r.low, r.high))]) * 1.05
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
    panel.text(panel.x.at(0), bottom + 25, f"← challenger better     {unit}     champion better →", "label", "middle")
    panel.text(4, 12, label, "heading", "start")
    panel.line([(0, 0), (0, 1)], "zero")
    panel.line([(margin, 0), (margin, 1)], "margin")
    panel.text(panel.x.at(margin), _TOP - 10, f"margin {margin:g}{unit}", "tick", "middle")
    for i, row in enumerate(rows):
        _draw_row(panel, row, _TOP + _ROW * (i + 0.5), unit)
    return panel.svg()


def _draw_row(panel: Panel, row: PairedDifference, place: float, unit: str) -> None:
    kind = "whole" if row.group == "all" else "part"
    name = "all patients" if row.group == "all" else row.group
    panel.text(_NAMES - 8, place + 3, f"{name} (n = {row.n})", f"row {kind}", "end")
    if row.n < LEAST:
        panel.text(_WIDTH - _FIGURES + 12, place + 3, f"fewer than {LEAST}", "row faint", "start")
        return
    state = "worse" if row.low > 0 else "better" if row.high < 0 else "level"
    panel.interval(place, (row.low, row.mean, row.high), f"{kind} {state}")
    told = f"{row.mean:+.2f} [{row.low:+.2f}, {row.high:+.2f}]{unit}"
    told += "  > margin" if row.high >= row.margin else ""
    panel.text(_WIDTH - _FIGURES + 12, place + 3, told.replace("-", "−"), f"row {kind} {state}", "start")
