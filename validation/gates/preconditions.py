"""The preconditions: checks of whether the records can be judged, and whether two records can be compared.

Contract: two records are compared only if both models were evaluated on the same frozen test set by the same code.
Otherwise the result is INSUFFICIENT.
"""

from dataclasses import replace

from validation.evaluation.record import EvaluationRecord
from validation.gates.evidence import Evidence
from validation.gates.paired import same_truths
from validation.gates.policy import Policy
from validation.gates.rule_results import RuleResult, plain_result

_SAME_CONDITIONS = "figures are comparable only if test set, code and libraries are the same"


def check_evidence(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of checking that the records of challenger and champion can be judged and compared."""
    challenger, champion = evidence.challenger, evidence.champion
    results = [_well_formed(policy, "challenger", challenger, evidence.challenger_digest)]
    results += [_role("challenger", challenger), _patients(policy, challenger), _code(policy, challenger)]
    if champion is not None:
        results += check_comparable(policy, challenger, "champion", champion, evidence.champion_digest)
    return results


def check_others(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of checking that the challenger can be compared with the baseline and with fits of other seeds."""
    results: list[RuleResult] = []
    if (baseline := evidence.separate_baseline) is not None:
        results += check_comparable(policy, evidence.challenger, "baseline", baseline, evidence.baseline_digest)
    for number, (record, digest) in enumerate(zip(evidence.other_seeds, evidence.seed_digests, strict=True), start=1):
        found = check_comparable(policy, evidence.challenger, "challenger", record, digest)
        results += [replace(r, rule=r.rule.replace("/challenger/", f"/seed {number}/")) for r in found]
    return results


def check_comparable(
    policy: Policy, challenger: EvaluationRecord, role: str, other: EvaluationRecord, digest: str | None
) -> list[RuleResult]:
    """The results of checking that the challenger can be compared with ``other``, whose role must be ``role``."""
    results = [_well_formed(policy, role, other, digest), _role(role, other)]
    return results + _same_conditions(challenger, other, "comparison" if role == "champion" else role)


def _well_formed(policy: Policy, role: str, record: EvaluationRecord, digest: str | None) -> RuleResult:
    reason = "a decision needs studies with finite numbers"
    if not record.studies:
        fault = f"the {role}'s record contains no study"
        return _result(f"evidence/{role}/studies", "NO_EVIDENCE", fault, "", reason)
    measured = [{o.parameter for o in study.parameters} for study in record.studies]
    malformed = digest is None or any(policy.comparison.margins.keys() - names for names in measured)
    fault = f"the {role}'s record lacks parameters or contains values that are not finite numbers" if malformed else ""
    found = f"{len(record.studies)} studies in a sealed record"
    return _result(f"evidence/{role}/numbers", "MALFORMED", fault, found, reason)


def _role(expected: str, record: EvaluationRecord) -> RuleResult:
    reason, role = "with the roles swapped, the verdict would be about the wrong model", record.model_role
    fault = f"the record of the {role} instead of the {expected}'s record" if role != expected else ""
    return _result(f"evidence/{expected}/role", "ROLES_SWAPPED", fault, expected, reason)


def _patients(policy: Policy, record: EvaluationRecord) -> RuleResult:
    kind = "virtual" if record.simulated else "real"
    accepted = policy.evidence
    refused = accepted.patients not in ("any", kind)
    fault = f"{kind} patients; the policy requires {accepted.patients} patients" if refused else ""
    return _result("evidence/test set/patients_are", "WRONG_PATIENTS", fault, f"{kind} patients", accepted.reason)


def _code(policy: Policy, record: EvaluationRecord) -> RuleResult:
    accepted = policy.evidence
    found = f"commit {(record.code.commit or 'none')[:12]}" + (" with uncommitted changes" if record.code.dirty else "")
    fault = found if record.code.dirty and accepted.dirty_code != "allowed" else ""
    return _result("evidence/code/commit", "DIRTY_CODE", fault, found, accepted.reason)


def _same_conditions(challenger: EvaluationRecord, other: EvaluationRecord, place: str) -> list[RuleResult]:
    pairs = (
        ("test_set", "OTHER_TEST_SET", challenger.test_digest, other.test_digest),
        ("truths", "OTHER_TEST_SET", "the same", "the same" if same_truths(challenger, other) else "different"),
        ("kind_of_patients", "OTHER_TEST_SET", challenger.patients_are, other.patients_are),
        ("code", "OTHER_CODE", str(challenger.code), str(other.code)),
        ("environment", "OTHER_ENVIRONMENT", *_environments(challenger, other)),
    )
    results = []
    for name, code, ours, theirs in pairs:
        what = name.replace("_", " ")
        both = f"{what}: {ours[:40]} for the challenger, {theirs[:40]} for the {other.model_role}"
        fault = both if ours != theirs else ""
        results.append(_result(f"evidence/{place}/{name}", code, fault, f"{what}: {ours[:12]}", _SAME_CONDITIONS))
    return results


def _environments(challenger: EvaluationRecord, other: EvaluationRecord) -> tuple[str, str]:
    """The two environments as text: only the entries that differ, or all entries if no entry differs."""
    names = sorted(challenger.environment.keys() | other.environment.keys())
    differing = [n for n in names if challenger.environment.get(n) != other.environment.get(n)]
    ours, theirs = (
        ", ".join(f"{n} {r.environment.get(n, 'not recorded')}" for n in differing or names)
        for r in (challenger, other)
    )
    return ours, theirs


def _result(rule: str, code: str, fault: str, found: str, reason: str) -> RuleResult:
    """The result of one check: INSUFFICIENT with ``code`` and ``fault``, or PASS with ``found`` if the fault is ""."""
    if fault:
        return plain_result(rule, "evidence", "INSUFFICIENT", code, found=fault, reason=reason)
    return plain_result(rule, "evidence", "PASS", "EVIDENCE_IN_ORDER", found=found, reason=reason)
