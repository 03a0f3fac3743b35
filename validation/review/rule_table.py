"""The rule table: the results of a verdict as rows. The results that did not pass are first."""

from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.gates.figure_words import figure_words
from validation.gates.rule_results import RuleResult
from validation.gates.verdict import Verdict

_KINDS = {
    "comparison": "comparison with the champion",
    "first_champion": "first champion",
    "change": "change control",
    "limit": "limits",
    "evidence": "evidence",
}
_UNASKED = "rules that were not required or not judged, so they neither passed nor failed"
_BADGES = {
    "NO_BASELINE": "NOT KNOWN", "SEED_SPREAD_UNKNOWN": "NOT KNOWN", "SUBGROUPS_TOO_SMALL": "NOT JUDGED",
    "COST_NOT_COMPARED": "NOT JUDGED", "BASELINE_IS_CHAMPION": "THE SAME",
}  # fmt: skip
ABSENT = "–"
_RELATIONS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}


@dataclass(frozen=True)
class RuleRow:
    """One result as text: outcome, code, subject, figure, interval, limit, finding, reason and source."""

    outcome: str
    code: str
    kind: str
    about: str
    figure: str
    interval: str
    limit: str
    found: str
    reason: str
    source: str


@dataclass(frozen=True)
class PassedRules:
    """The results of one kind that passed, or all results that are NOT_ASKED.

    Attributes:
        evaluated: whether the results count for the decision. It is False for results that are NOT_ASKED. The page
            folds the rows that count, because they passed.
    """

    title: str
    rows: tuple[RuleRow, ...]
    evaluated: bool = True


@dataclass(frozen=True)
class RuleTable:
    """The results that did not pass (the worst is first), and the other results by kind."""

    refused: tuple[RuleRow, ...]
    passed: tuple[PassedRules, ...]


def rule_table(verdict: Verdict) -> RuleTable:
    """The table of all results of the verdict."""
    passed, unasked = verdict.passed, verdict.unasked
    kinds = sorted({str(r.kind) for r in passed}, key=lambda k: (list(_KINDS).index(k) if k in _KINDS else 99, k))
    groups = [PassedRules(_title(kind), tuple(rule_row(r) for r in passed if r.kind == kind)) for kind in kinds]
    if unasked:
        groups.append(PassedRules(_UNASKED, tuple(map(rule_row, unasked)), evaluated=False))
    return RuleTable(tuple(rule_row(r) for r in verdict.refusals), tuple(groups))


def _title(kind: str) -> str:
    return _KINDS.get(kind, kind.replace("_", " "))


def describe_rule(row: RuleRow, what: str) -> str:
    """The result in one line: what was found, and its limit. The finding replaces a figure that does not exist."""
    if row.figure == ABSENT:
        return f"{what}: {row.found or row.code}"
    return f"{what} {row.figure}" + (f", {row.limit} required" if row.limit != ABSENT else "")


def figure_of(result: RuleResult) -> str:
    """The name of the result's figure, with the group of patients if the figure is of one group."""
    return figure_words(result.figure_name).replace("in a group", f"in the group {result.group}")


def rule_row(result: RuleResult) -> RuleRow:
    """One result as text."""
    unit = {"deg": "°", "": ""}.get(result.unit, f" {result.unit}")
    name = PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject.replace("_", " ")
    interval = ""
    if result.low is not None and result.high is not None:
        interval = f"{_number(result.low)} … {_number(result.high)}{unit}"
    limit = ""
    if result.threshold is not None:
        limit = f"{_RELATIONS.get(result.relation, result.relation)} {_number(result.threshold)}{unit}"
    return RuleRow(
        # A result that is NOT_ASKED never gets the badge PASS.
        outcome=_BADGES.get(result.code, "NOT REQUIRED") if result.outcome == "NOT_ASKED" else result.outcome,
        code=result.code,
        kind=_title(result.kind),
        about=f"{name}: {figure_of(result)}",
        figure=ABSENT if result.figure is None else f"{_number(result.figure)}{unit}",
        interval=interval,
        limit=limit or ABSENT,
        found=result.found,
        reason=result.reason,
        source=result.source,
    )


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.0f}".replace("-", "−")
