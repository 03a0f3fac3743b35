"""Before and beside the limits: may this evidence be judged at all, and how does it stand to the champion.

What belongs here: results about records as a whole: well formed, same test set, same code, right roles; paired
comparison; the first champion. What does not: limits on single figures (``rules``). Contract: two records are
compared only where the champion was re-scored on the same frozen test set by the same code; anything else is
insufficient evidence, not a pass.
"""

from pydantic import ValidationError

from spine.errors import EvidenceRejected
from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord, record_adapter
from validation.evaluation.sealing import canonical_json
from validation.gates.paired import Difference, paired_difference, pooled_difference, same_truths
from validation.gates.policy import Policy, is_number
from validation.gates.rules import Outcome, RuleResult, plain_result

_SAME_TERMS = "figures are comparable only where test set, code and libraries are the same"


def evidence_digest(record: EvaluationRecord) -> str | None:
    """The record's digest, or None where it holds NaN, infinity or values of another type."""
    try:
        content = record_adapter().dump_python(record, mode="json", warnings=False)
        record_adapter().validate_json(canonical_json(content), strict=True)
        return record.digest
    except (EvidenceRejected, ValidationError):
        return None


def weigh_evidence(
    policy: Policy,
    challenger: EvaluationRecord,
    champion: EvaluationRecord | None,
    digests: tuple[str | None, str | None],
) -> list[RuleResult]:
    """Whether the records may be judged at all; ``digests`` are their ``evidence_digest``."""
    results = [_well_formed(policy, "challenger", challenger, digests[0]), _role("challenger", challenger)]
    results += [_kind_of_patients(policy, challenger), _code(policy, challenger)]
    if champion is not None:
        results += [_well_formed(policy, "champion", champion, digests[1]), _role("champion", champion)]
        results += _same_terms(challenger, champion)
    return results


def weigh_comparison(
    policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord | None
) -> list[RuleResult]:
    """Non-inferiority in every parameter and a gain overall; or the rule for the first champion."""
    if champion is None:
        return [_first_champion(policy)]
    if champion.model_digest == challenger.model_digest:
        found = f"model {challenger.model_digest[:12]} in both roles"
        reason = "a model does not replace itself"
        return [plain_result("comparison/model/digest", "comparison", "HOLD", "SAME_MODEL", found=found, reason=reason)]
    results = [_non_inferior(policy, name, challenger, champion) for name in policy.comparison.margins]
    return [*results, _gain(policy, challenger, champion)]


def _well_formed(policy: Policy, role: str, record: EvaluationRecord, digest: str | None) -> RuleResult:
    reason = "NaN, infinity and values of another type decide nothing"
    if not record.studies:
        return _refusal(f"evidence/{role}/studies", "NO_EVIDENCE", f"the {role}'s record holds no study", reason)
    measured = [{o.parameter for o in study.parameters} for study in record.studies]
    if digest is None or any(policy.comparison.margins.keys() - names for names in measured):
        return _refusal(
            f"evidence/{role}/numbers", "MALFORMED", f"the {role}'s record lacks parameters or plain numbers", reason
        )
    return _in_order(f"evidence/{role}/numbers", f"{len(record.studies)} studies, sealed", reason)


def _role(expected: str, record: EvaluationRecord) -> RuleResult:
    rule, reason = f"evidence/{expected}/role", "a champion judged as challenger would decide about the wrong model"
    if record.model_role != expected:
        return _refusal(rule, "ROLES_SWAPPED", f"a record of the {record.model_role} in the {expected}'s place", reason)
    return _in_order(rule, expected, reason)


def _kind_of_patients(policy: Policy, record: EvaluationRecord) -> RuleResult:
    kind = "virtual" if record.simulated else "real"
    wanted = policy.evidence.patients
    rule = "evidence/test set/patients_are"
    if wanted not in ("any", kind):
        return _refusal(
            rule, "WRONG_PATIENTS", f"{kind} patients, the policy asks for {wanted}", policy.evidence.reason
        )
    return _in_order(rule, f"{kind} patients", policy.evidence.reason)


def _code(policy: Policy, record: EvaluationRecord) -> RuleResult:
    rule, commit = "evidence/code/commit", record.code.commit or "none"
    if record.code.dirty and policy.evidence.dirty_code != "allowed":
        return _refusal(rule, "DIRTY_CODE", f"commit {commit[:12]} with changes", policy.evidence.reason)
    found = f"commit {commit[:12]}" + (" with changes" if record.code.dirty else "")
    return _in_order(rule, found, policy.evidence.reason)


def _same_terms(challenger: EvaluationRecord, champion: EvaluationRecord) -> list[RuleResult]:
    pairs = (
        ("test_set", "OTHER_TEST_SET", challenger.test_digest, champion.test_digest),
        ("truths", "OTHER_TEST_SET", "the same", "the same" if same_truths(challenger, champion) else "others"),
        ("kind_of_patients", "OTHER_TEST_SET", challenger.patients_are, champion.patients_are),
        ("code", "OTHER_CODE", str(challenger.code), str(champion.code)),
        ("environment", "OTHER_ENVIRONMENT", _spelt(challenger), _spelt(champion)),
    )
    results = []
    for name, code, ours, theirs in pairs:
        rule = f"evidence/comparison/{name}"
        if ours != theirs:
            found = f"{name.replace('_', ' ')} {ours[:40]} of the challenger, {theirs[:40]} of the champion"
            results.append(_refusal(rule, code, found, _SAME_TERMS))
        else:
            results.append(_in_order(rule, f"{name.replace('_', ' ')}: {ours[:12]}", _SAME_TERMS))
    return results


def _spelt(record: EvaluationRecord) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(record.environment.items()))


def _first_champion(policy: Policy) -> RuleResult:
    allowed = policy.first_champion.decision == "allowed"
    return plain_result(
        "first_champion/model/approval",
        "first_champion",
        "PASS" if allowed else "HOLD",
        "FIRST_CHAMPION" if allowed else "APPROVAL_NEEDED",
        found="there is no champion to compare with",
        reason=policy.first_champion.reason,
        subject="champion",
    )


def _non_inferior(policy: Policy, name: str, challenger: EvaluationRecord, champion: EvaluationRecord) -> RuleResult:
    margin = policy.comparison.margins[name]
    rule, unit = f"comparison/{name}/paired_loss", PARAMETERS[name].unit
    difference = paired_difference(challenger, champion, name, policy.comparison)
    if difference is None:
        found = "the test set holds no truth of it"
        return plain_result(
            rule, "comparison", "INSUFFICIENT", "FIGURE_MISSING", found=found, reason=margin.reason, subject=name
        )
    if is_number(difference.high) and difference.high < margin.margin:
        return _compared(
            rule, name, difference, margin.margin, unit, "PASS", "NON_INFERIOR", margin.reason, margin.source
        )
    worse = not (is_number(difference.mean) and difference.mean < margin.margin)
    outcome: Outcome = "REJECT" if worse else "HOLD"
    code = "WORSE_THAN_CHAMPION" if worse else "NOT_SHOWN_NON_INFERIOR"
    return _compared(rule, name, difference, margin.margin, unit, outcome, code, margin.reason, margin.source)


def _gain(policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord) -> RuleResult:
    wanted = policy.comparison
    difference = pooled_difference(challenger, champion, wanted)
    rule = "comparison/all parameters/pooled_loss"
    if difference is None:
        found = "no study with a truth in both records"
        return plain_result(rule, "comparison", "INSUFFICIENT", "FIGURE_MISSING", found=found, reason=wanted.reason)
    better = is_number(difference.high) and difference.high < -wanted.required_gain
    outcome: Outcome = "PASS" if better else "HOLD"
    code = "BETTER_THAN_CHAMPION" if better else "NO_GAIN"
    return _compared(
        rule,
        "all parameters",
        difference,
        0.0 - wanted.required_gain,
        "margins",
        outcome,
        code,
        wanted.reason,
        "policy",
    )


def _compared(
    rule: str, subject: str, difference: Difference, threshold: float, unit: str,
    outcome: Outcome, code: str, reason: str, source: str,
) -> RuleResult:  # fmt: skip
    """The upper bound is the figure that is held against the threshold; the mean is told beside it."""
    found = f"mean difference {difference.mean:+.2f} {unit} over {difference.n} studies"
    return RuleResult(
        rule, "comparison", subject, "upper bound of the paired difference", difference.high, difference.low,
        difference.high, "<", threshold, unit, outcome, code, found, reason, source,
    )  # fmt: skip


def _refusal(rule: str, code: str, found: str, reason: str) -> RuleResult:
    return plain_result(rule, "evidence", "INSUFFICIENT", code, found=found, reason=reason)


def _in_order(rule: str, found: str, reason: str) -> RuleResult:
    return plain_result(rule, "evidence", "PASS", "EVIDENCE_IN_ORDER", found=found, reason=reason)
