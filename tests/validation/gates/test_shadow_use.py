"""A policy can ask for shadow runs: too few hold, a disagreement needs a person, and nothing else changes."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from spine.errors import EvidenceRejected, GateRefused
from tests.validation.gates.records import codes
from validation.evaluation.record import EvaluationRecord, write_record
from validation.evaluation.sealing import digest_of
from validation.gates.evidence import Evidence
from validation.gates.policy import SCHEMA, Policy
from validation.gates.reproduction import reproduce
from validation.gates.shadow_record import ShadowParameter, ShadowRecord, read_shadow_record, write_shadow_record
from validation.gates.shadow_terms import ShadowUse
from validation.gates.verdict import Verdict, judge, read_verdict, write_verdict
from validation.promotion.approval import may_be_promoted

TERMS = ShadowUse(
    least_cases=20,
    median_difference_at_most={"cobb": 2.0},
    absences_at_most=0.1,
    reason="twenty studies of this clinic",
    source="a test of this module",
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def asking(policy: Policy) -> Policy:
    return policy.model_copy(update={"shadow": TERMS})


def record(
    good: EvaluationRecord, champion: EvaluationRecord, cases: int = 20, refused: int = 0, **cobb
) -> ShadowRecord:
    found = {"count": cases, "median": 1.0, "largest": 9.0, "only_champion": 0, "only_challenger": 0} | cobb
    parameters = {"cobb": ShadowParameter(**found)}
    return ShadowRecord(champion.model_digest, good.model_digest, cases, refused, parameters)


def judged(policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, shadow: ShadowRecord | None) -> Verdict:
    return judge(policy, Evidence(good, champion, shadow=shadow), judged_at=AT)


def test_enough_cases_that_agree_change_nothing(asking, policy, good, champion):
    assert judged(asking, good, champion, record(good, champion)).decision == "PROMOTE"
    without = judged(policy, good, champion, record(good, champion))
    assert without.decision == "PROMOTE"
    assert without == judged(policy, good, champion, None), "a policy without the section does not look at the runs"


def test_too_few_cases_hold_and_cannot_be_approved(asking, good, champion):
    other = replace(record(good, champion), challenger="f" * 64)
    for shadow in (None, record(good, champion, 19), other):
        verdict = judged(asking, good, champion, shadow)
        assert (verdict.decision, codes(verdict)) == ("HOLD", {"SHADOW_TOO_FEW"})
        assert not may_be_promoted(verdict)


@pytest.mark.parametrize(
    "found",
    [{"median": 2.01}, {"median": None, "count": 0}, {"only_champion": 3}, {"only_challenger": 3}, {"refused": 3}],
)
def test_a_disagreement_needs_a_person(asking, good, champion, found):
    verdict = judged(asking, good, champion, record(good, champion, **found))
    assert (verdict.decision, codes(verdict)) == ("HOLD", {"SHADOW_DISAGREES"})
    assert may_be_promoted(verdict)


@pytest.mark.parametrize("found", [{"median": 2.0}, {"only_champion": 1, "only_challenger": 1}, {"refused": 2}])
def test_a_figure_equal_to_its_limit_passes(asking, good, champion, found):
    assert judged(asking, good, champion, record(good, champion, **found)).decision == "PROMOTE"


def test_a_worse_challenger_is_still_rejected(asking, good, champion):
    assert judged(asking, champion_as_challenger(champion), good_as_champion(good), None).decision != "PROMOTE"


def champion_as_challenger(champion: EvaluationRecord) -> EvaluationRecord:
    return replace(champion, model_role="challenger")


def good_as_champion(good: EvaluationRecord) -> EvaluationRecord:
    return replace(good, model_role="champion")


def test_without_a_champion_nothing_is_asked(asking, good):
    results = judge(asking, Evidence(good), judged_at=AT).results
    assert not [r for r in results if r.rule.startswith("shadow")]


def test_policies_and_verdicts_from_before_keep_their_digests(policy, good, champion, tmp_path):
    content = policy.model_dump(mode="json", by_alias=True)
    assert content.pop("shadow") is None
    assert policy.hash == digest_of(SCHEMA, content)
    assert policy.model_copy(update={"shadow": TERMS}).hash != policy.hash
    verdict = judged(policy, good, champion, None)
    write_verdict(verdict, tmp_path / "verdict.json")
    assert "shadow" not in (tmp_path / "verdict.json").read_text()
    assert read_verdict(tmp_path / "verdict.json").digest == verdict.digest


def test_the_record_is_sealed_and_the_verdict_is_reproduced_from_it(asking, good, champion, tmp_path):
    shadow = record(good, champion)
    verdict = judged(asking, good, champion, shadow)
    assert verdict.shadow_evidence == shadow.digest
    for name, each in (("challenger", good), ("champion", champion)):
        write_record(each, tmp_path / name / "record.json")
    with pytest.raises(GateRefused, match="EVIDENCE_MISSING"):
        reproduce(verdict, asking, tmp_path)
    path: Path = tmp_path / "shadow" / "record.json"
    write_shadow_record(shadow, path)
    assert read_shadow_record(path) == shadow
    assert path in reproduce(verdict, asking, tmp_path)
    path.write_text(path.read_text().replace('"cases": 20', '"cases": 99'))
    with pytest.raises(EvidenceRejected, match="EVIDENCE_ALTERED"):
        reproduce(verdict, asking, tmp_path)


def test_the_section_is_strict():
    content = TERMS.model_dump()
    for wrong in (
        {"least_cases": 0},
        {"absences_at_most": 1.1},
        {"median_difference_at_most": {"nose": 1.0}},
        {"x": 1},
    ):
        with pytest.raises(ValidationError):
            ShadowUse.model_validate({**content, **wrong})
