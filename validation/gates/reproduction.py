"""The reproduction of a verdict: the same evidence and policy, judged again, must give the same verdict."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.evaluation.record import EvaluationRecord, read_record
from validation.evaluation.sealing import unverified_digest
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy, read_policy
from validation.gates.shadow_record import ShadowRecord, read_shadow_record
from validation.gates.verdict import Verdict, judge


def policy_of(verdict: Verdict, path: Path) -> Policy:
    """The policy at ``path``, which must be the policy of the verdict.

    Raises:
        GateRefused: POLICY_CHANGED; ParametersRejected: POLICY_MISSING, POLICY_INVALID.
    """
    policy = read_policy(path)
    if policy.hash != verdict.policy_hash:
        raise GateRefused(
            "POLICY_CHANGED",
            found=f"policy {policy.name} with hash {policy.hash[:12]}",
            expected=f"hash {verdict.policy_hash[:12]}, as in the verdict",
            remedy="judge again with the present policy",
        )
    return policy


def reproduce(verdict: Verdict, policy: Policy, evidence_folder: Path) -> list[Path]:
    """Judge the evidence again and require the same verdict. Return the files of the evaluation records.

    Args:
        evidence_folder: the folder of the evaluation records, which can have any names and be at any depth.

    Raises:
        GateRefused: EVIDENCE_MISSING, VERDICT_NOT_REPRODUCED.
        EvidenceRejected: a record is altered, or its statistics do not follow from its patients.
    """
    known = {unverified_digest(path): path for path in sorted(evidence_folder.rglob("*.json"), reverse=True)}
    champion = verdict.champion_evidence if verdict.champion_model else None
    baseline = verdict.baseline_evidence if verdict.baseline_model else None
    others = (digest for digest in (champion, baseline, *verdict.seed_evidence) if digest)
    records = {d: _record(known, d) for d in dict.fromkeys((verdict.challenger_evidence, *others))}
    evidence = Evidence(
        challenger=records[verdict.challenger_evidence],
        champion=records.get(champion),
        baseline=records.get(baseline),
        other_seeds=tuple(records[digest] for digest in verdict.seed_evidence),
        shadow=_shadow(known, verdict.shadow_evidence),
    )
    again = judge(policy, evidence, judged_at=datetime.fromisoformat(verdict.judged_at))
    if again.digest != verdict.digest:
        raise GateRefused(
            "VERDICT_NOT_REPRODUCED",
            found=f"another verdict when the same evidence is judged again: {again.decision} ({again.digest[:12]})",
            expected=f"{verdict.decision} ({verdict.digest[:12]}), as in the verdict file",
            remedy="judge again",
        )
    used = [*records, *((verdict.shadow_evidence,) if verdict.shadow_evidence else ())]
    return [known[digest] for digest in used]


def _record(files: Mapping[str | None, Path], digest: str | None) -> EvaluationRecord:
    """The verified record with this digest."""
    if digest in files and digest:
        return read_record(files[digest])
    raise _missing(digest)


def _shadow(files: Mapping[str | None, Path], digest: str | None) -> ShadowRecord | None:
    """The verified record of shadow runs with this digest; None if the verdict names none."""
    if digest is None:
        return None
    if digest not in files:
        raise _missing(digest)
    return read_shadow_record(files[digest])


def _missing(digest: str | None) -> GateRefused:
    return GateRefused(
        "EVIDENCE_MISSING",
        found=f"the evidence folder has no record {str(digest)[:12]}",
        expected="every record that the verdict names",
        remedy="evaluate and judge again",
    )
