"""The verdict: policy and evidence in, decision with a reason per rule out; pure, fail closed, four-valued.

Contract: ``judge`` is a pure function of its arguments;

    INSUFFICIENT   some evidence is missing, not comparable or too small to decide, or some figure is missing
    REJECT         a limit is broken, or the challenger is worse than the champion by a margin
    HOLD           every limit is kept, but it was not shown to be better, or a human must approve
    PROMOTE        every rule that was asked passed

Evidence that is not in order comes before every figure; then a broken limit; then a missing figure; then HOLD.
Worsening any figure a rule reads never turns another decision into PROMOTE. Under a policy that holds penalised
errors beside the customary figures, as the shipped ones do, neither does worsening any answer: moving it away from the
truth, making it NaN, or withholding one that is off by less than the policy's penalties (docs/gate.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from spine.errors import EvidenceRejected
from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.evaluation.sealing import canonical_json, digest_of, read_sealed, write_sealed
from validation.gates.comparison import weigh_baseline, weigh_comparison, weigh_seeds
from validation.gates.policy import Policy
from validation.gates.preconditions import evidence_digest, weigh_evidence, weigh_rival
from validation.gates.rule_results import MAY_BE_UNASKED, Outcome, RuleResult
from validation.gates.rules import weigh_limits
from validation.gates.subgroups import PairedDifference, paired_differences, weigh_subgroups

SCHEMA = "plumbline.verdict/2"
Decision = Literal["PROMOTE", "HOLD", "REJECT", "INSUFFICIENT"]
_SEVERITY: tuple[Outcome, ...] = ("NOT_ASKED", "PASS", "HOLD", "INSUFFICIENT", "REJECT")


@dataclass(frozen=True)
class Verdict:
    """A decision and everything it rests on.

    Attributes:
        decision: what follows; results: what each rule said.
        policy, policy_version, policy_hash: by which policy.
        challenger_model, challenger_evidence: digests of the judged model and of its evaluation record (None where
            the record is malformed and therefore has none).
        champion_model, champion_evidence: of the champion it was compared with; None where there was none.
        test_digest, simulated: of the frozen test set, and whether its patients are virtual.
        judged_at: ISO 8601.
        baseline_model, baseline_evidence: of the last model a human approved, where it was compared with; both those of
            the champion where it is that model.
        seed_evidence: digests of the records of the recipe's other seeds.
        differences: paired differences from the champion by parameter and group of patients, for pages.
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

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the whole verdict."""
        return digest_of(SCHEMA, _to_json(self))

    @property
    def weighed(self) -> tuple[RuleResult, ...]:
        """The results that decide: each passed or stands in the way."""
        return tuple(r for r in self.results if not _stands_aside(r))

    @property
    def refusals(self) -> tuple[RuleResult, ...]:
        """The results that stand in the way, worst first."""
        blocking = [r for r in self.results if r.outcome != "PASS" and not _stands_aside(r)]
        return tuple(sorted(blocking, key=lambda r: (r.kind != "evidence", -_SEVERITY.index(r.outcome))))

    @property
    def passed(self) -> tuple[RuleResult, ...]:
        """The results of rules that were asked and passed."""
        return tuple(r for r in self.results if r.outcome == "PASS")

    @property
    def unasked(self) -> tuple[RuleResult, ...]:
        """What was not asked, or cannot be known and may stay so: neither passed nor in the way."""
        return tuple(r for r in self.results if _stands_aside(r))


@dataclass(frozen=True)
class VerdictRow:
    """One line of the table at the end of a run.

    Attributes:
        parameter: its label, or what the rule is about.
        error: standard error of the estimate (or the rule's figure); threshold: its limit; unit.
        outcome: the worst outcome among all rules about it; note: codes of the rules that stand in the way.
    """

    parameter: str
    error: float | None
    threshold: float | None
    unit: str
    outcome: Outcome
    note: str


def judge(
    policy: Policy,
    challenger: EvaluationRecord,
    champion: EvaluationRecord | None,
    *,
    judged_at: datetime,
    baseline: EvaluationRecord | None = None,
    siblings: Sequence[EvaluationRecord] = (),
) -> Verdict:
    """Judge ``challenger`` by ``policy``, against ``champion`` where there is one.

    Pure; evidence that is bad in any way is a refusal with its reason, not an exception.

    Args:
        baseline: of the last model a human approved, in that role, or the champion's record where it is that model.
        siblings: of fits of the challenger's recipe with other seeds, judged as challengers on the same test set.
    """
    digests = [evidence_digest(challenger), evidence_digest(champion) if champion else None]
    results = weigh_evidence(policy, challenger, champion, (digests[0], digests[1]))
    beside, seeds = _beside(policy, challenger, champion, baseline, siblings)
    comparable = all(r.outcome == "PASS" for r in results if r.rule.startswith("evidence/ch"))
    comparable &= all(r.outcome == "PASS" for r in beside)
    results += beside + weigh_limits(policy, challenger, champion)
    differences: tuple[PairedDifference, ...] = ()
    if comparable:
        results += weigh_comparison(policy, challenger, champion)
        if champion is not None:
            differences = paired_differences(challenger, champion, policy)
        results += weigh_subgroups(policy, challenger, differences)
        results += weigh_baseline(policy, challenger, champion, baseline) + weigh_seeds(policy, siblings)
    return Verdict(
        decision=decide(results),
        results=tuple(results),
        policy=policy.name,
        policy_version=policy.version,
        policy_hash=policy.hash,
        challenger_model=challenger.model_digest,
        challenger_evidence=digests[0],
        champion_model=champion.model_digest if champion else None,
        champion_evidence=digests[1],
        test_digest=challenger.test_digest,
        simulated=challenger.simulated,
        judged_at=judged_at.isoformat(),
        baseline_model=baseline.model_digest if baseline else None,
        baseline_evidence=evidence_digest(baseline) if baseline else None,
        seed_evidence=tuple(digest for digest in seeds if digest is not None),
        differences=differences,
    )


def _beside(
    policy: Policy,
    challenger: EvaluationRecord,
    champion: EvaluationRecord | None,
    baseline: EvaluationRecord | None,
    siblings: Sequence[EvaluationRecord],
) -> tuple[list[RuleResult], list[str | None]]:
    """Whether the baseline and the other seeds may be compared with; and the digests of the latter."""
    results: list[RuleResult] = []
    if baseline is not None and (champion is None or baseline.model_digest != champion.model_digest):
        results += weigh_rival(policy, challenger, "baseline", baseline, evidence_digest(baseline))
    digests = [evidence_digest(sibling) for sibling in siblings]
    for number, (sibling, digest) in enumerate(zip(siblings, digests, strict=True), start=1):
        weighed = weigh_rival(policy, challenger, "challenger", sibling, digest)
        results += [replace(r, rule=r.rule.replace("/challenger/", f"/seed {number}/")) for r in weighed]
    return results, digests


def decide(results: Sequence[RuleResult]) -> Decision:
    """The decision that follows from all results; PROMOTE only where something was weighed and everything passed.

    What was not asked changes no decision, and only what may be left unasked can be: a limit, a comparison or evidence
    that was not weighed is missing.
    """
    limits = [r for r in results if r.kind == "limit"]
    compared = [r for r in results if r.kind in ("comparison", "first_champion")]
    if any(r.kind == "evidence" and r.outcome != "PASS" for r in results) or not limits or not compared:
        return "INSUFFICIENT"
    outcomes = {r.outcome for r in results if not _stands_aside(r)}
    for outcome, decision in (("REJECT", "REJECT"), ("INSUFFICIENT", "INSUFFICIENT"), ("HOLD", "HOLD")):
        if outcome in outcomes:
            return decision  # type: ignore[return-value]
    return "PROMOTE" if outcomes == {"PASS"} else "INSUFFICIENT"


def _stands_aside(result: RuleResult) -> bool:
    return result.outcome == "NOT_ASKED" and result.kind in MAY_BE_UNASKED


def write_verdict(verdict: Verdict, path: Path) -> None:
    """Write the sealed verdict to ``path`` atomically."""
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
            found=f"{path.name}: {error.error_count()} field(s) not as they must be",
            expected=SCHEMA,
            remedy="judge again with this version",
        ) from error


def verdict_table(verdict: Verdict) -> tuple[VerdictRow, ...]:
    """One row for each parameter with an error ceiling, then one for every other rule that did not pass."""
    rows, told = [], set()
    for result in verdict.results:
        if result.figure_name.startswith("standard_error_of_estimate"):
            about = [r for r in verdict.results if r.subject == result.subject]
            told |= {r.rule for r in about}
            rows.append(_row(PARAMETERS[result.subject].label, result, about))
    rest = [r for r in verdict.results if r.rule not in told and r.outcome != "PASS" and not _stands_aside(r)]
    return (*rows, *(_row(f"{r.subject}: {r.figure_name.replace('_', ' ')}", r, [r]) for r in rest))


def explain(verdict: Verdict) -> str:
    """The verdict in plain words: the decision, why, and by what evidence."""
    every = len(verdict.weighed)
    if verdict.refusals:
        listed = verdict.refusals
        opening = f"{len(listed)} of {every} rules stand in the way:"
        rest = f"The other {every - len(listed)} rules passed; the verdict file holds them."
    else:
        listed = tuple(r for r in verdict.passed if r.kind != "evidence")
        opening = f"All {every} rules that were asked passed. {len(listed)} of them are about the model:"
        rest = f"The other {every - len(listed)} ask whether the evidence is in order; the verdict file holds them."
    lines = [_OPENING[verdict.decision], "", opening, *_points(listed)]
    lines += [rest] if len(listed) < every else []
    if verdict.unasked:
        lines += ["", "Not asked, not judged or not known, so it neither passed nor failed:"]
        lines += _points(verdict.unasked)
    return "\n".join([*lines, "", _terms(verdict)])


def _points(results: Sequence[RuleResult]) -> list[str]:
    """Results as points, a reason that neighbours share told once, at the first of them."""
    lines = []
    for result, above in zip(results, (None, *results[:-1]), strict=True):
        shared = above is not None and (above.reason, above.code) == (result.reason, result.code)
        lines.append(f"- {_finding(result)} [{result.code}]" if shared else f"- {sentence(result)}")
    return lines


def summarise_verdict(verdict: Verdict) -> str:
    """The decision and what it rests on, without the single rules."""
    told = f"{len(verdict.passed)} of {len(verdict.weighed)} rules passed"
    told += f", {len(verdict.unasked)} more were not asked or cannot be known" if verdict.unasked else ""
    return f"{_OPENING[verdict.decision]} {told}.\n\n{_terms(verdict)}"


def _terms(verdict: Verdict) -> str:
    kind = "virtual patients" if verdict.simulated else "real patients"
    against = f"champion {verdict.champion_model[:12]}" if verdict.champion_model else "no champion (there is none yet)"
    return (
        f"Judged {verdict.judged_at} by policy {verdict.policy} version {verdict.policy_version} "
        f"({verdict.policy_hash[:12]}) on {kind}, frozen test set {verdict.test_digest[:12]}.\n"
        f"Challenger {verdict.challenger_model[:12]} against {against}. Verdict {verdict.digest[:12]}."
    )


def sentence(result: RuleResult) -> str:
    """One result in words: what, how much, the limit, why, and the stable code."""
    return f"{_finding(result)}. Why: {result.reason} [{result.code}]"


def _finding(result: RuleResult) -> str:
    name = PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject
    what = f"{name}, {result.figure_name.replace('_', ' ')}"
    if result.figure is None:
        told = result.found or "no figure"
    else:
        unit = f" {result.unit}" if result.unit else ""
        limit = {"<=": "at most", ">=": "at least", "<": "below"}.get(result.relation, result.relation)
        told = f"{result.figure:.4g}{unit}, {limit} {result.threshold:.4g}{unit} asked for"
        told += f" ({result.found})" if result.found else ""
    return f"{what}: {told}"


_OPENING: dict[Decision, str] = {
    "PROMOTE": "PROMOTE: the challenger kept every rule that was asked and may become champion.",
    "HOLD": "HOLD: the challenger keeps its limits but was not shown to be better, or awaits approval; nothing moves.",
    "REJECT": "REJECT: the challenger breaks a limit or is worse than the champion; it must not serve.",
    "INSUFFICIENT": "INSUFFICIENT: the evidence does not allow a decision; nothing moves.",
}


def _row(label: str, result: RuleResult, about: Sequence[RuleResult]) -> VerdictRow:
    worst = max((r.outcome for r in about), key=_SEVERITY.index)
    note = ", ".join(f"{r.figure_name} {r.code}" for r in about if r.outcome != "PASS" and not _stands_aside(r))
    return VerdictRow(label, result.figure, result.threshold, result.unit, worst, note)


@cache
def _adapter() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


def _to_json(verdict: Verdict) -> Any:
    return _adapter().dump_python(verdict, mode="json", warnings=False)
