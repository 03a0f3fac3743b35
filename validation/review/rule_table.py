"""The rule table: every rule of a verdict as one row, what stands in the way first.

What belongs here: wording and order of the rows. What does not: outcomes (the verdict's). Contract: every result of the
verdict is in exactly one row; nothing is summed up away.
"""

from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.gates.rules import RuleResult
from validation.gates.verdict import Verdict

_KINDS = {
    "evidence": "evidence",
    "limit": "limit",
    "comparison": "against the champion",
    "first_champion": "first champion",
}
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


def rule_rows(verdict: Verdict) -> tuple[RuleRow, ...]:
    """Refusals first, in the verdict's order; then what passed, the model's figures before the evidence's state."""
    passed = sorted((r for r in verdict.results if r.outcome == "PASS"), key=lambda r: r.kind == "evidence")
    return tuple(_row(result) for result in (*verdict.refusals, *passed))


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
        outcome=result.outcome,
        code=result.code,
        kind=_KINDS.get(result.kind, str(result.kind).replace("_", " ")),
        about=f"{name}: {result.figure_name.replace('_', ' ')}",
        figure="–" if result.figure is None else f"{_told(result.figure)}{unit}",
        interval=interval,
        limit=limit or "–",
        found=result.found,
        reason=result.reason,
        source=result.source,
    )


def _told(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.0f}".replace("-", "−")
