"""The rule table: every rule of a verdict as one row, rules that did not pass first.

Every result of the verdict has its own row.
"""

from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.gates.rule_results import RuleResult
from validation.gates.verdict import Verdict

_KINDS = {
    "comparison": "comparison with the champion",
    "first_champion": "first champion",
    "limit": "limits",
    "evidence": "evidence",
}
_UNASKED = "not required, not judged or not known: neither passed nor failed"
_MATTERS = ("comparison", "first_champion")
_BADGES = {
    "NO_BASELINE": "NOT KNOWN", "SEED_SPREAD_UNKNOWN": "NOT KNOWN", "SUBGROUPS_TOO_SMALL": "NOT JUDGED",
    "COST_NOT_COMPARED": "NOT JUDGED", "BASELINE_IS_CHAMPION": "THE SAME",
}  # fmt: skip
_RELATIONS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}


@dataclass(frozen=True)
class RuleRow:
    """One rule: outcome and code, subject, figure, interval and limit, and the reason of the rule."""

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
    """Rules of one kind that passed, or that were not evaluated.

    ``matters`` shows them unfolded on the page. ``evaluated`` is False where they were not evaluated.
    """

    title: str
    matters: bool
    rows: tuple[RuleRow, ...]
    evaluated: bool = True


@dataclass(frozen=True)
class RuleTable:
    """The rules that did not pass, worst first, and by kind the rules that passed or were not evaluated."""

    refused: tuple[RuleRow, ...]
    passed: tuple[PassedRules, ...]


def rule_table(verdict: Verdict) -> RuleTable:
    """Every rule of the verdict, as a row."""
    passed, unasked = verdict.passed, verdict.unasked
    kinds = sorted({str(r.kind) for r in passed}, key=lambda k: (list(_KINDS).index(k) if k in _KINDS else 99, k))
    groups = [
        PassedRules(_title(kind), kind in _MATTERS, tuple(_row(r) for r in passed if r.kind == kind)) for kind in kinds
    ]
    if unasked:
        groups.append(PassedRules(_UNASKED, True, tuple(map(_row, unasked)), evaluated=False))
    return RuleTable(tuple(_row(r) for r in verdict.refusals), tuple(groups))


def _title(kind: str) -> str:
    return _KINDS.get(kind, kind.replace("_", " "))


def _row(result: RuleResult) -> RuleRow:
    unit = {"deg": "°", "": ""}.get(result.unit, f" {result.unit}")
    name = PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject.replace("_", " ")
    interval = ""
    if result.low is not None and result.high is not None:
        interval = f"{_number(result.low)} … {_number(result.high)}{unit}"
    limit = ""
    if result.threshold is not None:
        limit = f"{_RELATIONS.get(result.relation, result.relation)} {_number(result.threshold)}{unit}"
    return RuleRow(
        outcome=_outcome(result),
        code=result.code,
        kind=_title(result.kind),
        about=f"{name}: {result.figure_name.replace('_', ' ')}",
        figure="–" if result.figure is None else f"{_number(result.figure)}{unit}",
        interval=interval,
        limit=limit or "–",
        found=result.found,
        reason=result.reason,
        source=result.source,
    )


def _outcome(result: RuleResult) -> str:
    """The text of the badge; a result that was not evaluated is no PASS."""
    if result.outcome != "NOT_ASKED":
        return result.outcome
    return _BADGES.get(result.code, "NOT REQUIRED")


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.0f}".replace("-", "−")
