"""Before the limits: may this evidence be judged at all, and may these records be compared.

Contract: two records are compared only where the champion was re-scored on the same frozen test set by the same code;
anything else is insufficient evidence, not a pass.
"""

from pydantic import ValidationError

from spine.errors import EvidenceRejected
from validation.evaluation.record import EvaluationRecord, record_adapter, verified_digest
from validation.evaluation.sealing import canonical_json
from validation.gates.paired import same_truths
from validation.gates.policy import Policy
from validation.gates.rule_results import RuleResult, plain_result

_SAME_TERMS = "figures are comparable only where test set, code and libraries are the same"


def evidence_digest(record: EvaluationRecord) -> str | None:
    """The record's digest, or None where it holds NaN, infinity or values of another type."""
    if (verified := verified_digest(record)) is not None:
        return verified
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
    return results + (weigh_rival(policy, challenger, "champion", champion, digests[1]) if champion else [])


def weigh_rival(
    policy: Policy, challenger: EvaluationRecord, role: str, rival: EvaluationRecord, digest: str | None
) -> list[RuleResult]:
    """Whether ``rival``, in the place of ``role``, may be compared with the challenger."""
    found = [_well_formed(policy, role, rival, digest), _role(role, rival)]
    return found + _same_terms(challenger, rival, "comparison" if role == "champion" else role)


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


def _same_terms(challenger: EvaluationRecord, champion: EvaluationRecord, place: str) -> list[RuleResult]:
    pairs = (
        ("test_set", "OTHER_TEST_SET", challenger.test_digest, champion.test_digest),
        ("truths", "OTHER_TEST_SET", "the same", "the same" if same_truths(challenger, champion) else "others"),
        ("kind_of_patients", "OTHER_TEST_SET", challenger.patients_are, champion.patients_are),
        ("code", "OTHER_CODE", str(challenger.code), str(champion.code)),
        ("environment", "OTHER_ENVIRONMENT", *_spelt(challenger, champion)),
    )
    results = []
    for name, code, ours, theirs in pairs:
        rule = f"evidence/{place}/{name}"
        if ours != theirs:
            found = (
                f"{name.replace('_', ' ')} {ours[:40]} of the challenger, {theirs[:40]} of the {champion.model_role}"
            )
            results.append(_refusal(rule, code, found, _SAME_TERMS))
        else:
            results.append(_in_order(rule, f"{name.replace('_', ' ')}: {ours[:12]}", _SAME_TERMS))
    return results


def _spelt(challenger: EvaluationRecord, rival: EvaluationRecord) -> tuple[str, str]:
    """Both environments in words: what differs, or where nothing does, all of it."""
    names = sorted(challenger.environment.keys() | rival.environment.keys())
    differing = [n for n in names if challenger.environment.get(n) != rival.environment.get(n)]
    ours, theirs = (
        ", ".join(f"{n} {r.environment.get(n, 'not told')}" for n in differing or names) for r in (challenger, rival)
    )
    return ours, theirs


def _refusal(rule: str, code: str, found: str, reason: str) -> RuleResult:
    return plain_result(rule, "evidence", "INSUFFICIENT", code, found=found, reason=reason)


def _in_order(rule: str, found: str, reason: str) -> RuleResult:
    return plain_result(rule, "evidence", "PASS", "EVIDENCE_IN_ORDER", found=found, reason=reason)
