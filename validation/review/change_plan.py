"""The predetermined change control plan that follows from a policy: what a retraining may change by itself, and how.

Contract: every number, reason and source comes from the policy. The parts follow the guidance of FDA on such plans
(description of modifications, modification protocol). The impact assessment is not part of a policy and is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.gates.figure_words import figure_words
from validation.gates.policy import Policy
from validation.gates.rule_kinds import Bound, PenalisedLandmarksRule

_KINDS = {
    "parameter": "statistic of the predictions",
    "penalised": "error, where a missing prediction counts with a penalty",
    "truths": "number of true values",
    "test_set": "size of the test set",
    "landmarks": "landmarks",
    "level_shift": "share of views with shifted level names",
    "penalised_landmarks": "landmark error, where a missed landmark counts with a penalty",
    "failures": "share of studies that lack a prediction",
    "curve_side": "share of curves on the correct side",
    "orientation": "share of views that are not mirrored",
    "intervals": "share of true values inside the 90 % intervals",
    "interval_score": "mean interval score",
    "cost": "cost",
    "cost_beside_champion": "time, as a multiple of the champion's",
}


@dataclass(frozen=True)
class PlannedLimit:
    """One test with its limit: what is tested, on which parameter (or ""), the limit, the reason and the source."""

    test: str
    subject: str
    limit: str
    reason: str
    source: str


@dataclass(frozen=True)
class ChangePlan:
    """The plan as texts.

    Attributes:
        policy, version, policy_hash, purpose: the policy from which the plan was made.
        modifications: what a retraining may change -> within which limits; empty if the policy has no change control.
        reason: why the plan permits these modifications.
        data: what the data of a retraining are -> text.
        limits: the tests of a model alone.
        comparisons: the tests against the champion, the approved baseline and other seeds.
        outside: what happens to a model outside the plan.
        update: the steps from a verdict to service, in order.
    """

    policy: str
    version: int
    policy_hash: str
    purpose: str
    modifications: Mapping[str, str]
    reason: str
    data: Mapping[str, str]
    limits: tuple[PlannedLimit, ...]
    comparisons: tuple[PlannedLimit, ...]
    outside: tuple[str, ...]
    update: tuple[str, ...]


def change_plan(policy: Policy, data: Mapping[str, str]) -> ChangePlan:
    """The plan that follows from ``policy``. ``data`` has the workspace's facts about the data: name -> text."""
    accepted, control = policy.evidence, policy.change_control
    tested = {"patients of the test set": f"{accepted.patients} ({accepted.reason})"}
    return ChangePlan(
        policy=policy.name,
        version=policy.version,
        policy_hash=policy.hash,
        purpose=policy.purpose,
        modifications=dict(_modifications(policy)),
        reason=control.reason if control else "the policy has no section change_control, so it sets no limits",
        data={**data, **tested},
        limits=tuple(_limit(rule) for rule in policy.rules),
        comparisons=tuple(_comparisons(policy)),
        outside=_outside(policy),
        update=_update(policy),
    )


def _modifications(policy: Policy) -> Iterator[tuple[str, str]]:
    control = policy.change_control
    if control is None:
        return
    yield "training studies", f"more or other studies, from the sources {', '.join(control.sources)}"
    for fact in control.same_as_champion:
        yield fact.replace("_", " "), "must stay as in the champion"
    for name, allowed in control.parameters.items():
        yield f"training parameter {name}", str(allowed)
    yield "other training parameters", "free; the tests below judge the result"


def _limit(rule: Bound) -> PlannedLimit:
    fields = rule.model_dump()
    named = str(fields.get("figure", ""))
    name = fields.get("parameter")
    subject = PARAMETERS[name].label if name else str(fields.get("space", "")).replace("_", " ")
    unit = PARAMETERS[name].unit if name and named in _IN_UNITS else "mm" if _in_mm(rule, named) else ""
    word = "at most" if rule.at_most is not None else "at least"
    ends = {"low": ", lower end of its 95 % interval", "high": ", upper end of its 95 % interval"}
    figure = f"{'absolute value of the ' if fields.get('magnitude') else ''}{figure_words(named)}"
    test = _KINDS.get(fields["kind"], fields["kind"]) + (f": {figure}" if figure else "") + ends.get(rule.compare, "")
    return PlannedLimit(test, subject, f"{word} {rule.threshold:g} {unit}".strip(), rule.reason, rule.source)


def _in_mm(rule: Bound, figure: str) -> bool:
    return isinstance(rule, PenalisedLandmarksRule) or figure.endswith("_mm")


_IN_UNITS = ("standard_error_of_estimate", "bias", "mae", "rmse", "p95", "median_ae", "p95_ae")


def _comparisons(policy: Policy) -> Iterator[PlannedLimit]:
    terms, upper = policy.comparison, "paired difference from the champion, upper 97.5 % bound"
    for name, margin in terms.margins.items():
        parameter = PARAMETERS[name]
        limit = f"below {margin.margin:g} {parameter.unit}"
        yield PlannedLimit(upper, parameter.label, limit, margin.reason, margin.source)
    gain = f"below {0.0 - terms.required_gain + 0.0:g} margins"
    yield PlannedLimit(upper, "all parameters together", gain, terms.reason, "policy")
    if (equal := terms.equal) is not None:
        limit = f"below {equal.within:g} margins, with {equal.new_patients} new training patients and an approval"
        yield PlannedLimit(upper, "all together, instead of the gain", limit, equal.reason, equal.source)
    if (power := terms.power) is not None:
        limit = f"at least {power.at_least:g}"
        yield PlannedLimit("power: an equal model passes", "each parameter", limit, power.reason, power.source)
    if (groups := policy.subgroups) is not None:
        subject = f"groups of {groups.min_studies} or more studies by {', '.join(groups.by).replace('_', ' ')}"
        yield PlannedLimit(upper, subject, f"below {groups.times_margin:g} margins", groups.reason, groups.source)
        for name, ceiling in groups.mae_at_most.items():
            limit = f"at most {ceiling:g} {PARAMETERS[name].unit}"
            yield PlannedLimit(
                "mean absolute error in each of these groups",
                PARAMETERS[name].label,
                limit,
                groups.reason,
                groups.source,
            )
    if (last := policy.baseline) is not None:
        test = "paired difference from the last approved model, upper 97.5 % bound"
        yield PlannedLimit(test, "each parameter", f"below {last.times_margin:g} margins", last.reason, last.source)
    if (seeds := policy.seeds) is not None:
        limit = f"at least {seeds.times_spread:g} times the spread between seeds"
        yield PlannedLimit("margin", "each parameter", limit, seeds.reason, "policy")


def _outside(policy: Policy) -> tuple[str, ...]:
    if policy.change_control is None:
        return ("The policy does not hold a model for what was changed in its training.",)
    return (
        "A candidate outside the plan, or whose facts are not known, gets the verdict HOLD (OUTSIDE_CHANGE_PLAN, "
        "CHANGE_UNKNOWN), also if every test passed.",
        "A person other than the author of the training may approve it. The approval and its reason are recorded.",
        "An approval replaces no test: a broken limit stays REJECT.",
    )


def _update(policy: Policy) -> tuple[str, ...]:
    first = {
        "needs_approval": "A first champion needs an approval.",
        "allowed": "A first champion needs to pass the tests of the model only.",
        "allowed_on_virtual_patients": "A first champion needs an approval, except on virtual patients.",
    }[policy.first_champion.decision]
    required = {
        "always": "A person approves every model.",
        "first_champion": "A person approves the first model.",
        "never": "Inside the plan, no approval is required.",
    }[policy.approval.required]
    smoke = policy.virtual_study
    return (
        "The challenger and the champion are evaluated on the same frozen test set by the same code.",
        "The gate judges the sealed records by this policy, and writes the verdict with the hash of the policy.",
        f"{required} {first} An approval expires after {policy.approval.ttl_hours:g} hours.",
        f"The model measures a bundled virtual study: errors up to {smoke.tolerance_deg:g} degrees, at most "
        f"{smoke.seconds:g} s.",
        "The model becomes champion, and the history of promotions gets an entry.",
        "`plumbline rollback` returns to the previous champion, and the model that left is denied.",
    )


def planned_parameters(policy: Policy, parameters: Mapping[str, str]) -> list[str]:
    """The training parameters of ``parameters`` (name -> text) that are outside the plan, each with its limit."""
    control = policy.change_control
    planned = control.parameters if control else {}
    return [
        f"{name} is {parameters[name]}; the plan permits {allowed}"
        for name, allowed in planned.items()
        if name in parameters and not allowed.permits(parameters[name])
    ]
