"""A verdict as text: the reasons of the decision in five sentences, rule by rule, and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from spine.times import to_the_minute
from validation.gates.figure_words import figure_words
from validation.gates.paired import POOLED
from validation.gates.rule_results import Outcome, RuleResult
from validation.gates.subgroups import EVERYBODY
from validation.gates.verdict import SEVERITY, Decision, Verdict, decides

_DECISION: dict[Decision, str] = {
    "PROMOTE": "PROMOTE: the challenger passed every required rule and may become champion.",
    "HOLD": "HOLD: the challenger keeps all limits, but it was not shown to be better, and no approval by a "
    "person permits its promotion.",
    "REJECT": "REJECT: the challenger breaks a limit or is worse than the champion, and must not go into service.",
    "INSUFFICIENT": "INSUFFICIENT: the evidence does not allow a decision, so nothing is promoted.",
}
_WAITS = "HOLD: the challenger keeps all limits, and its promotion only waits for a person's approval."


@dataclass(frozen=True)
class VerdictRow:
    """One row of a table of a verdict.

    Attributes:
        about: label of the parameter, or subject and figure of a rule.
        figure: standard error of the estimate of the parameter, or the figure of the rule.
        threshold: the limit of ``figure``.
        unit: the unit of ``figure`` and ``threshold``.
        outcome: the worst outcome of all rules on this parameter.
        note: figures and codes of the rules that block the promotion.
    """

    about: str
    figure: float | None
    threshold: float | None
    unit: str
    outcome: Outcome
    note: str


def decision_sentence(verdict: Verdict) -> str:
    """The decision as one sentence, which says for HOLD whether a person's approval permits the promotion."""
    return _WAITS if verdict.waits_for_approval else _DECISION[verdict.decision]


def parameter_rows(verdict: Verdict) -> tuple[VerdictRow, ...]:
    """One row for each parameter whose standard error has a limit, in the order of the policy."""
    return tuple(
        _row(PARAMETERS[limited.subject].label, limited, [r for r in verdict.results if r.subject == limited.subject])
        for limited in _limits_of_errors(verdict)
    )


def other_rows(verdict: Verdict) -> tuple[VerdictRow, ...]:
    """One row for each rule that did not pass and is about no parameter of ``parameter_rows``."""
    shown = {r.subject for r in _limits_of_errors(verdict)}
    rest = [r for r in verdict.results if r.subject not in shown and r.outcome != "PASS" and decides(r)]
    return tuple(_row(f"{r.subject}: {figure_words(r.figure_name)}", r, [r]) for r in rest)


def _limits_of_errors(verdict: Verdict) -> list[RuleResult]:
    return [r for r in verdict.results if r.figure_name.startswith("standard_error_of_estimate")]


def explain(verdict: Verdict, *, every_rule: bool = False) -> str:
    """The decision, the results that lead to it (with ``every_rule`` all results), and the evidence, as text."""
    every = len(verdict.evaluated)
    if verdict.refusals:
        listed = verdict.refusals
        opening = f"{len(listed)} of {every} rules did not pass:"
        rest = f"The other {every - len(listed)} rules passed"
    else:
        listed = tuple(r for r in verdict.passed if r.kind != "evidence")
        opening = f"All {every} required rules passed. {len(listed)} of them are about the model:"
        rest = f"The other {every - len(listed)} rules check the evidence"
    lines = [decision_sentence(verdict), "", opening, *_points(listed)]
    others = [r for r in verdict.evaluated if r not in listed]
    if others and every_rule:
        lines += ["", f"{rest}:", *_points(others)]
    elif others:
        lines += [f"{rest}; the verdict file lists them."]
    if verdict.unasked:
        lines += ["", "These rules were not required or not judged. They neither passed nor failed:"]
        lines += _points(verdict.unasked)
    return "\n".join([*lines, "", _basis(verdict)])


def explain_briefly(verdict: Verdict) -> str:
    """The verdict in five sentences: decision, rules, the most important result, the evidence, and the two models."""
    every, refused = len(verdict.evaluated), verdict.refusals
    if refused:
        names = list(dict.fromkeys(_name(r) for r in refused))
        shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        they = "it is" if len(refused) == 1 else "they are"
        counted = f"{len(refused)} of {every} required rules did not pass; {they} about {shown}."
        result = f"The most serious result is {_finding(refused[0])} [{refused[0].code}]."
    else:
        unasked = len(verdict.unasked)
        counted = f"All {every} required rules passed" + (f", and {unasked} more were not judged." if unasked else ".")
        result = _gain_of(verdict)
    evidence, models = _basis(verdict).split("\n")
    lines = [decision_sentence(verdict), counted, result, evidence, models.replace(". Verdict", ", verdict")]
    return "\n".join(lines)


_NAMED = 3
"""The number of subjects that the brief text names."""


def _gain_of(verdict: Verdict) -> str:
    gain = next((d for d in verdict.differences if (d.subject, d.group) == (POOLED, EVERYBODY)), None)
    if gain is None:
        return "There is no champion to compare with, so the limits alone decide."
    return (
        f"Over all parameters the error is {gain.mean:+.2f} margins against the champion's "
        f"(95 % interval {gain.low:+.2f} to {gain.high:+.2f}; below zero is better; a margin is the difference that "
        "the policy permits in one parameter)."
    )


def summarise_verdict(verdict: Verdict) -> str:
    """The decision, the number of rules that passed, and the evidence, as text. The single results are left out."""
    text = f"{len(verdict.passed)} of {len(verdict.evaluated)} rules passed"
    text += f", {len(verdict.unasked)} more were not required or not judged" if verdict.unasked else ""
    return f"{decision_sentence(verdict)} {text}.\n\n{_basis(verdict)}"


def sentence(result: RuleResult) -> str:
    """One result as a sentence: figure, value, limit, reason and stable code."""
    return f"{_finding(result)}. Why: {result.reason} [{result.code}]"


def _points(results: Sequence[RuleResult]) -> list[str]:
    """The results as list items. Of successive results with the same reason and code, the first states the reason."""
    lines = []
    for result, above in zip(results, (None, *results[:-1]), strict=True):
        shared = above is not None and (above.reason, above.code) == (result.reason, result.code)
        lines.append(f"- {_finding(result)} [{result.code}]" if shared else f"- {sentence(result)}")
    return lines


def _basis(verdict: Verdict) -> str:
    kind = "virtual patients" if verdict.simulated else "real patients"
    against = f"champion {verdict.champion_model[:12]}" if verdict.champion_model else "no champion (there is none yet)"
    return (
        f"Judged {to_the_minute(verdict.judged_at)} by policy {verdict.policy} version {verdict.policy_version} "
        f"({verdict.policy_hash[:12]}) on {kind}, frozen test set {verdict.test_digest[:12]}.\n"
        f"Challenger {verdict.challenger_model[:12]} against {against}. Verdict {verdict.digest[:12]}."
    )


def _name(result: RuleResult) -> str:
    return PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject


def _finding(result: RuleResult) -> str:
    what = f"{_name(result)}, {figure_words(result.figure_name)}"
    if result.figure is None:
        return f"{what}: {result.found or 'no figure'}"
    unit = f" {result.unit}" if result.unit else ""
    limit = {"<=": "at most", ">=": "at least", "<": "below"}.get(result.relation, result.relation)
    note = f" ({result.found})" if result.found else ""
    return f"{what}: {result.figure:.4g}{unit}, must be {limit} {result.threshold:.4g}{unit}{note}"


def _row(label: str, result: RuleResult, about: Sequence[RuleResult]) -> VerdictRow:
    worst = max((r.outcome for r in about), key=SEVERITY.index)
    note = ", ".join(f"{figure_words(r.figure_name)} {r.code}" for r in about if r.outcome != "PASS" and decides(r))
    return VerdictRow(label, result.figure, result.threshold, result.unit, worst, note)
