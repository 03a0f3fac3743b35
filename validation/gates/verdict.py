"""The verdict: the decision on a challenger, with the result of every rule.

Contract: ``judge`` is a pure function of its arguments. Without sufficient evidence it never returns PROMOTE.

    INSUFFICIENT   evidence is missing, not comparable or too small to decide, or a figure is missing
    REJECT         a limit is broken, or the challenger is worse than the champion by a margin
    HOLD           every limit is kept, but the challenger was not shown to be better, or a person must approve it
    PROMOTE        every required rule passed

Evidence that cannot be judged or compared is the strongest cause. A broken limit, a missing figure and the causes of
HOLD follow in this order. A worse figure never turns another decision into PROMOTE. If the policy also limits penalised
errors, as both shipped policies do, a worse prediction never leads to PROMOTE either. A prediction becomes worse if it
moves away from the true value, becomes NaN, or is withheld although its error is below the policy's penalties
(docs/gate.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from spine.errors import EvidenceRejected
from validation.evaluation.sealing import canonical_json, digest_of, read_sealed, write_sealed
from validation.gates.change_control import evaluate_change
from validation.gates.comparison import evaluate_baseline, evaluate_comparison, evaluate_seeds
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.preconditions import check_evidence, check_others
from validation.gates.rule_results import APPROVABLE, MAY_BE_UNASKED, Outcome, RuleResult
from validation.gates.rules import evaluate_limits
from validation.gates.shadow_rules import evaluate_shadow
from validation.gates.subgroups import PairedDifference, evaluate_subgroups, paired_differences

SCHEMA = "plumbline.verdict/3"
Decision = Literal["PROMOTE", "HOLD", "REJECT", "INSUFFICIENT"]
SEVERITY: tuple[Outcome, ...] = ("NOT_ASKED", "PASS", "HOLD", "INSUFFICIENT", "REJECT")
"""All outcomes; the worst is last."""
REFUSING_DECISIONS: tuple[Decision, ...] = ("REJECT", "INSUFFICIENT", "HOLD")


@dataclass(frozen=True)
class Verdict:
    """The decision on a challenger, with its results and the digests of everything that it was made from.

    Attributes:
        results: one result for each figure of each rule.
        policy, policy_version, policy_hash: name, version and hash of the policy that was applied.
        challenger_model, challenger_evidence: digests of the judged model and of its evaluation record. A malformed
            record has no digest, and ``challenger_evidence`` is None.
        champion_model, champion_evidence: digests of the champion and of its record; None without a champion.
        test_digest: digest of the frozen test set.
        simulated: whether the patients of the test set are virtual.
        judged_at: time of the decision (ISO 8601).
        baseline_model, baseline_evidence: digests of the last model that a person approved and of its record; None
            without such a model.
        seed_evidence: digests of the records of the recipe's fits with other seeds.
        differences: the paired differences from the champion, by parameter and group of patients, for the report.
        shadow_evidence: digest of the record of shadow runs; None if the policy asks for none.
    """

    decision: Decision
    results: tuple[RuleResult, ...]
    policy: str
    policy_version: int
    policy_hash: str
    challenger_model: str
    challenger_evidence: str | None
    champion_model: str | None
    champion_evidence: str | None
    test_digest: str
    simulated: bool
    judged_at: str
    baseline_model: str | None = None
    baseline_evidence: str | None = None
    seed_evidence: tuple[str, ...] = ()
    differences: tuple[PairedDifference, ...] = ()
    shadow_evidence: str | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the verdict's content."""
        return digest_of(SCHEMA, _to_json(self))

    @property
    def evaluated(self) -> tuple[RuleResult, ...]:
        """The results that count for the decision. Each of these results passed or blocks the promotion."""
        return tuple(r for r in self.results if decides(r))

    @property
    def refusals(self) -> tuple[RuleResult, ...]:
        """The results that block the promotion; the worst is first."""
        blocking = [r for r in self.results if r.outcome != "PASS" and decides(r)]
        return tuple(sorted(blocking, key=lambda r: (r.kind != "evidence", -SEVERITY.index(r.outcome))))

    @property
    def waits_for_approval(self) -> bool:
        """Whether the decision is HOLD only for reasons that a person's approval satisfies (``APPROVABLE``)."""
        return self.decision == "HOLD" and all(r.code in APPROVABLE for r in self.refusals)

    @property
    def passed(self) -> tuple[RuleResult, ...]:
        """The results that passed."""
        return tuple(r for r in self.results if r.outcome == "PASS")

    @property
    def unasked(self) -> tuple[RuleResult, ...]:
        """The results that do not count for the decision: the rule is not required, or its figure is not known."""
        return tuple(r for r in self.results if not decides(r))


def judge(policy: Policy, evidence: Evidence, *, judged_at: datetime) -> Verdict:
    """The verdict on the challenger by ``policy``. If there is a champion, the challenger is compared with it.

    Invalid evidence leads to the decision INSUFFICIENT with a reason, and not to an exception.
    """
    results = check_evidence(policy, evidence)
    others = check_others(policy, evidence)
    comparable = all(r.outcome == "PASS" for r in results if r.rule.startswith("evidence/ch"))
    comparable &= all(r.outcome == "PASS" for r in others)
    results += others + evaluate_limits(policy, evidence)
    differences: tuple[PairedDifference, ...] = ()
    if comparable:
        results += evaluate_comparison(policy, evidence)
        if evidence.champion is not None:
            differences = paired_differences(evidence.challenger, evidence.champion, policy)
        results += evaluate_subgroups(policy, evidence.challenger, differences)
        results += evaluate_baseline(policy, evidence) + evaluate_seeds(policy, evidence.other_seeds)
        results += evaluate_change(policy, evidence) + evaluate_shadow(policy, evidence)
    challenger, champion, baseline = evidence.challenger, evidence.champion, evidence.baseline
    return Verdict(
        decision=decide(results),
        results=tuple(results),
        policy=policy.name,
        policy_version=policy.version,
        policy_hash=policy.hash,
        challenger_model=challenger.model_digest,
        challenger_evidence=evidence.challenger_digest,
        champion_model=champion.model_digest if champion else None,
        champion_evidence=evidence.champion_digest,
        test_digest=challenger.test_digest,
        simulated=challenger.simulated,
        judged_at=judged_at.isoformat(),
        baseline_model=baseline.model_digest if baseline else None,
        baseline_evidence=evidence.baseline_digest,
        seed_evidence=tuple(digest for digest in evidence.seed_digests if digest is not None),
        differences=differences,
        shadow_evidence=evidence.shadow.digest if policy.shadow and evidence.shadow else None,
    )


def decide(results: Sequence[RuleResult]) -> Decision:
    """The decision that follows from all results. It is PROMOTE only if rules were evaluated and all rules passed.

    A result of a kind in ``MAY_BE_UNASKED`` that is NOT_ASKED does not change the decision. A limit, a comparison or
    evidence that is NOT_ASKED counts as missing evidence.
    """
    limits = [r for r in results if r.kind == "limit"]
    compared = [r for r in results if r.kind in ("comparison", "first_champion")]
    if any(r.kind == "evidence" and r.outcome != "PASS" for r in results) or not limits or not compared:
        return "INSUFFICIENT"
    outcomes = {r.outcome for r in results if decides(r)}
    for decision in REFUSING_DECISIONS:
        if decision in outcomes:
            return decision
    return "PROMOTE" if outcomes == {"PASS"} else "INSUFFICIENT"


def decides(result: RuleResult) -> bool:
    """Whether the result counts for the decision. A NOT_ASKED result of a kind in ``MAY_BE_UNASKED`` does not count."""
    return not (result.outcome == "NOT_ASKED" and result.kind in MAY_BE_UNASKED)


def write_verdict(verdict: Verdict, path: Path) -> None:
    """Write the verdict with its digest to ``path`` atomically."""
    write_sealed(SCHEMA, _to_json(verdict), path)


def read_verdict(path: Path) -> Verdict:
    """Read a verdict and verify its digest.

    Raises:
        EvidenceRejected: ``EVIDENCE_MISSING``, ``EVIDENCE_UNREADABLE``, ``EVIDENCE_SCHEMA``, ``EVIDENCE_ALTERED``.
    """
    content = read_sealed(SCHEMA, path)
    try:
        return _adapter().validate_json(canonical_json(content), strict=True)
    except ValidationError as error:
        raise EvidenceRejected(
            "EVIDENCE_UNREADABLE",
            found=f"{error.error_count()} invalid field(s) in {path.name}",
            expected=SCHEMA,
            remedy="judge again with this version",
        ) from error


@cache
def _adapter() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


def _to_json(verdict: Verdict) -> Any:
    content = _adapter().dump_python(verdict, mode="json", warnings=False)
    if content["shadow_evidence"] is None:
        del content["shadow_evidence"]  # verdicts from before this field keep their digest
    return content
