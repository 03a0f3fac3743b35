"""Change control: whether a challenger is inside the plan of what a retraining may change by itself.

Contract: the facts come from the sealed evaluation records and depend on no prediction. Outside the plan the result is
HOLD, which a person's approval satisfies. A fact that the record lacks counts as outside.
"""

from collections.abc import Iterator

from validation.evaluation.model_facts import ModelFacts, TrainingFacts
from validation.gates.change_terms import ChangeControl
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.rule_results import RuleResult, not_asked, plain_result

_SUBJECT = "change control"


def evaluate_change(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of the policy's change control for the challenger, one for each aspect of the plan."""
    terms, champion = policy.change_control, evidence.champion
    if terms is None:
        reason = "the policy has no plan of what a retraining may change"
        return [not_asked("change/model/plan", "CHANGE_NOT_ASKED", found="no plan", reason=reason, subject=_SUBJECT)]
    if champion is None:
        found = "there is no champion, so nothing is changed"
        return [not_asked("change/model/plan", "CHANGE_NOT_ASKED", found=found, reason=terms.reason, subject=_SUBJECT)]
    ours, theirs = evidence.challenger.model_facts, champion.model_facts
    if ours is None or theirs is None:
        return [_unknown(terms, "model", "the records do not say what the models read and find")]
    results = [_fixed(terms, name, ours, theirs) for name in terms.same_as_champion]
    if ours.training is None:
        return [*results, _unknown(terms, "training", "the challenger's record has no facts of its training")]
    return [*results, _sources(terms, ours.training), _parameters(terms, ours.training)]


def _fixed(terms: ChangeControl, name: str, ours: ModelFacts, theirs: ModelFacts) -> RuleResult:
    found, wanted = getattr(ours, name), getattr(theirs, name)
    if found == wanted:
        return _result(terms, name, "", _shown(found))
    return _result(terms, name, f"{_shown(found)}; the champion has {_shown(wanted)}", "")


def _shown(fact: object) -> str:
    if isinstance(fact, tuple):
        return " x ".join(map(str, fact)) if all(isinstance(f, int) for f in fact) else f"{len(fact)} landmarks"
    return str(fact)


def _sources(terms: ChangeControl, training: TrainingFacts) -> RuleResult:
    others = [source for source in training.sources if source not in terms.sources]
    fault = f"{', '.join(others)}; the plan permits {', '.join(terms.sources)}" if others else ""
    return _result(terms, "sources", fault, ", ".join(training.sources) or "none")


def _parameters(terms: ChangeControl, training: TrainingFacts) -> RuleResult:
    faults = list(_outside(terms, training))
    return _result(terms, "training_parameters", "; ".join(faults), f"{len(terms.parameters)} parameters in the plan")


def _outside(terms: ChangeControl, training: TrainingFacts) -> Iterator[str]:
    for name, allowed in terms.parameters.items():
        value = training.parameters.get(name)
        if value is None:
            yield f"{name} is not recorded"
        elif not allowed.permits(value):
            yield f"{name} is {value}; the plan permits {allowed}"


def _result(terms: ChangeControl, name: str, fault: str, found: str) -> RuleResult:
    rule = f"change/model/{name}"
    if fault:
        return plain_result(
            rule, "change", "HOLD", "OUTSIDE_CHANGE_PLAN", found=fault, reason=terms.reason, subject=_SUBJECT
        )
    return plain_result(
        rule, "change", "PASS", "INSIDE_CHANGE_PLAN", found=found, reason=terms.reason, subject=_SUBJECT
    )


def _unknown(terms: ChangeControl, name: str, found: str) -> RuleResult:
    rule = f"change/model/{name}"
    return plain_result(rule, "change", "HOLD", "CHANGE_UNKNOWN", found=found, reason=terms.reason, subject=_SUBJECT)
