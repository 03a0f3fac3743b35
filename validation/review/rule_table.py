"""The rule table: every rule of a verdict as one row, what stands in the way first.

Contract: every result of the verdict is in exactly one row; nothing is summed up away.
"""

from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.gates.rule_results import RuleResult
from validation.gates.verdict import Verdict

_KINDS = {
    "comparison": "against the champion",
    "first_champion": "first champion",
    "limit": "limits",
    "evidence": "state of the evidence",
}
_UNASKED = "not asked, not judged or not known: neither passed nor failed"
_MATTERS = ("comparison", "first_champion")
_WORDS = {
    "NO_BASELINE": "NOT KNOWN", "SEED_SPREAD_UNKNOWN": "NOT KNOWN", "SUBGROUPS_TOO_SMALL": "NOT JUDGED",
    "COST_NOT_COMPARED": "NOT JUDGED", "BASELINE_IS_CHAMPION": "THE SAME",
}  # fmt: skip
_RELATIONS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}


@dataclass(frozen=True)
class RuleRow:
    """One rule: its outcome and code, what it is about, its figure, interval and limit, and why it stands there."""

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
    """Rules of one kind that passed, or were not asked; ``matters``: whether a reviewer wants to see them unasked."""

    title: str
    matters: bool
    rows: tuple[RuleRow, ...]
    asked: bool = True


@dataclass(frozen=True)
class RuleTable:
    """What stands in the way, worst first, and by kind what passed or was not asked."""

    refused: tuple[RuleRow, ...]
    passed: tuple[PassedRules, ...]


def rule_table(verdict: Verdict) -> RuleTable:
    """Every rule of the verdict, in one of the two."""
    passed, unasked = verdict.passed, verdict.unasked
    kinds = sorted({str(r.kind) for r in passed}, key=lambda k: (list(_KINDS).index(k) if k in _KINDS else 99, k))
    groups = [
        PassedRules(_title(kind), kind in _MATTERS, tuple(_row(r) for r in passed if r.kind == kind)) for kind in kinds
    ]
    if unasked:
        groups.append(PassedRules(_UNASKED, True, tuple(map(_row, unasked)), asked=False))
    return RuleTable(tuple(_row(r) for r in verdict.refusals), tuple(groups))


def _title(kind: str) -> str:
    return _KINDS.get(kind, kind.replace("_", " "))


def _row(result: RuleResult) -> RuleRow:
    unit = {"deg": "°", "": ""}.get(result.unit, f" {result.unit}")
    name = PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject.replace("_", " ")
    interval = ""
    if result.low is not None and result.high is not None:
        interval = f"{_told(result.low)} … {_told(result.high)}{unit}"
    limit = ""
    if result.threshold is not None:
        limit = f"{_RELATIONS.get(result.relation, result.relation)} {_told(result.threshold)}{unit}"
    return RuleRow(
        outcome=_outcome(result),
        code=result.code,
        kind=_title(result.kind),
        about=f"{name}: {result.figure_name.replace('_', ' ')}",
        figure="–" if result.figure is None else f"{_told(result.figure)}{unit}",
        interval=interval,
        limit=limit or "–",
        found=result.found,
        reason=result.reason,
        source=result.source,
    )


def _outcome(result: RuleResult) -> str:
    """The word of the badge: what only tells something is no pass, and is not called one."""
    if result.outcome != "NOT_ASKED":
        return result.outcome
    return _WORDS.get(result.code, "NOT ASKED")


def _told(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.0f}".replace("-", "−")
