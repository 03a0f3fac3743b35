"""Model card, checklist, changes and predicted landmarks: they repeat the records, or show "not provided"."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spine.errors import EvidenceRejected
from spine.measurement.registry import PARAMETERS
from validation.evaluation.predicted_points import read_predicted_points, write_predicted_points
from validation.gates.policy import Approval, Policy
from validation.gates.rule_results import plain_result
from validation.gates.verdict import Decision
from validation.review.actions import advice_for, options_for
from validation.review.card_text import card_json, card_markdown
from validation.review.changes import NOT_KNOWN, PatientFact, RunFacts, compare_data, compare_runs, sort_changes
from validation.review.claim import ClaimSource, claim_json, claim_markdown, fill_checklist
from validation.review.model_card import NOT_PROVIDED, judged_card
from validation.review.page import ReviewMaterial

Make = Callable[..., ReviewMaterial]


def test_the_card_repeats_the_record(material: Make) -> None:
    given = material()
    card = judged_card(given.challenger, given.verdict, given.challenger_run)
    stored = json.loads(card_json(card))
    assert stored["model"] == given.challenger.model_digest
    assert stored["decision"]["decision"] == f"**{given.verdict.decision}**"
    for row in stored["evaluation"]["parameters"]:
        figure = given.challenger.statistics[row["name"]].figures["standard_error_of_estimate"]
        assert row["standard_error"] == [figure.value, figure.low, figure.high]
    text = card_markdown(card)
    error = given.challenger.statistics["cobb"].figures["standard_error_of_estimate"].value
    assert f"{error:.2f}°" in text
    assert "says nothing about real radiographs" in text
    assert "| energy | not measured |" in text
    assert "1.5 CPU minutes" in text
    assert f"champion `{given.verdict.champion_model}`" in text
    assert "| epochs | 3 |" in text and "| size | 8.4 MB |" in text
    assert "| frontal | 1911 of 1950 |" in text, "landmarks found, of the visible"
    short = judged_card(given.challenger, given.verdict, replace(given.challenger_run, epochs=0.0))
    measured = replace(given.challenger_run, energy="GPU 58.1 kJ (NVML)")
    assert "| energy | GPU 58.1 kJ (NVML) |" in card_markdown(judged_card(given.challenger, given.verdict, measured))
    assert "| epochs | less than one |" in card_markdown(short), "a fit of less than one epoch is not called none"


def test_a_card_of_an_unknown_run_reads_not_provided(material: Make) -> None:
    given = material()
    card = judged_card(given.challenger, given.verdict, RunFacts())
    assert {card.training[name] for name in ("trained on", "code", "device", "cost")} == {NOT_PROVIDED}
    assert len(card_markdown(card, brief=True)) < len(card_markdown(card))


def test_the_checklist_answers_from_records_alone(material: Make) -> None:
    given = material()
    source = ClaimSource(given.challenger, given.verdict, given.challenger_run)
    answers = {item.subject: item for item in fill_checklist(source)}
    assert answers["sizes and assignment"].answer.startswith("train 1, validation 0, test 1 patients")
    assert f"{len(PARAMETERS)} of {50 * len(PARAMETERS)} values were not predicted" in answers["failures"].answer
    assert f"not seen ({len(PARAMETERS)})" in answers["failures"].answer
    assert answers["hardware"].answer == "1 × x86_64 CPU"
    assert not answers["ethics approval and consent"].provided
    software = answers["software and versions"].answer
    assert software.startswith("trained with torch 2.13; evaluated with ")
    assert "required 100" not in answers["size and its reason"].answer
    assert (
        "test set, patients: 50, required 40; Cobb angle (end plates), truths: 50"
        in answers["size and its reason"].answer
    )
    assert "required 80.0%" in answers["size and its reason"].answer, (
        "a probability is written in per cent, and not rounded to 1"
    )
    assert given.verdict.champion_model in answers["aims and hypotheses"].answer
    assert (
        "Cobb angle (end plates), upper bound of the paired difference < 1 deg"
        in answers["statistical rule and margins"].answer
    )
    assert "sex: F" in answers["robustness and subgroups"].answer
    dirty = fill_checklist(replace(source, run=replace(source.run, dirty=True)))
    assert "with uncommitted changes" in next(i.answer for i in dirty if i.subject == "availability of the code")
    twice = (PatientFact("p", "train", "normal"), PatientFact("p", "test", "normal"))
    leaking = fill_checklist(replace(source, run=replace(source.run, patients=twice)))
    assert "1 of 1 patients are in more than one split" in {i.answer for i in leaking}
    bare = {item.subject: item for item in fill_checklist(replace(source, run=RunFacts()))}
    assert not bare["sizes and assignment"].provided
    assert not bare["hardware"].provided
    assert bare["failures"].provided
    missing = sum(not item.provided for item in bare.values())
    assert claim_markdown(tuple(bare.values())).count("**NOT PROVIDED**") == missing > 10
    stored = json.loads(claim_json(tuple(bare.values())))
    assert sum(not item["provided"] for item in stored["items"]) == missing


def test_patients_added_removed_and_moved_are_named() -> None:
    before = RunFacts(patients=(PatientFact("a", "train", "normal"), PatientFact("b", "train", "scoliosis"),
                                PatientFact("c", "test", "normal")))  # fmt: skip
    after = RunFacts(patients=(PatientFact("a", "validation", "normal"), PatientFact("c", "test", "normal"),
                               PatientFact("d", "train", "scoliosis")))  # fmt: skip
    change = compare_data(after, before)
    assert (change.known, change.added, change.removed, change.moved) == (True, ("d",), ("b",), ("a",))
    assert change.mix == (("normal", "1 (50%)", "0 (0%)"), ("scoliosis", "1 (50%)", "1 (100%)"))


def test_unknown_facts_do_not_count_as_unchanged() -> None:
    known = RunFacts(commit="c" * 40, dirty=True, seconds=60.0, device="H100", devices=2, versions={"torch": "2.13"})
    rows = {change.what: change for change in compare_runs(known, RunFacts())}
    assert rows["code (git commit)"].challenger.endswith("with uncommitted changes")
    assert rows["code (git commit)"].champion == NOT_KNOWN
    assert rows["code (git commit)"].differs is None
    assert rows["cost, GPU minutes"].challenger == "2.0"
    assert rows["library: torch"].differs is None
    assert rows["energy of the devices"].challenger == "not measured"
    spent = compare_runs(replace(known, energy="GPU 58.1 kJ (NVML)"), known)[-1]
    assert (spent.champion, spent.challenger) == ("not measured", "GPU 58.1 kJ (NVML)")
    assert spent.differs is None
    same = {change.what: change for change in compare_runs(known, replace(known, versions={"torch": "2.12"}))}
    assert same["code (git commit)"].differs is False
    assert same["library: torch"].differs is True
    assert compare_data(known, None).known is False


def test_changed_facts_come_first_and_include_every_training_parameter() -> None:
    before = RunFacts(commit="c" * 40, seed="1", settings={"learning_rate": "0.001", "width": "1.0", "seed": "1"})
    after = replace(before, seed="2", settings={"learning_rate": "0.0001", "width": "1.0", "cut": "0.1", "seed": "2"})
    found = sort_changes(compare_runs(after, before))
    assert [(c.what, c.champion, c.challenger) for c in found.changed] == [
        ("seed", "1", "2"), ("learning_rate", "0.001", "0.0001"),
    ]  # fmt: skip
    assert {c.kind for c in found.changed} == {"training parameter"}
    assert [c.what for c in found.same] == ["width", "code (git commit)"]
    assert ("cut", NOT_KNOWN) in [(c.what, c.champion) for c in found.unknown]
    every = compare_runs(after, before)
    assert sorted(map(id, every)) == sorted(map(id, (*sort_changes(every).changed, *sort_changes(every).unknown,
                                                     *sort_changes(every).same)))  # fmt: skip


def test_commands_name_the_verdict_by_its_digest(material: Make) -> None:
    verdict = material().verdict
    asked = plain_result(
        "first_champion/model/approval", "first_champion", "HOLD", "APPROVAL_NEEDED", found="none", reason="a rule"
    )
    decisions: tuple[Decision, ...] = ("PROMOTE", "HOLD", "REJECT", "INSUFFICIENT")
    cases = [*((d, verdict.results) for d in decisions), ("HOLD", (asked,))]
    for decision, results in cases:
        options = options_for(replace(verdict, decision=decision, results=results))
        assert all(replace(verdict, decision=decision, results=results).digest[:12] in o.command for o in options
                   if o.title != "Roll back")  # fmt: skip
        titles = [option.title for option in options]
        assert "Reject" in titles
        offered = decision == "PROMOTE" or results == (asked,)
        assert ("Promote" in titles) == offered, "no way around a refusal is offered"
        assert ("Approve" in titles) == offered, "no approval that the gate would call pointless"


def test_a_required_approval_comes_before_promotion(material: Make) -> None:
    given = material()
    passed = replace(given.verdict, decision="PROMOTE", results=())
    asking = given.policy.model_copy(update={"approval": Approval(required="always")})
    assert [o.title for o in options_for(passed, given.policy)][:2] == ["Promote", "Approve"]
    assert [o.title for o in options_for(passed, asking)][:2] == ["Approve", "Promote"]
    assert "the policy requires an approval" in advice_for(passed, asking)
    assert "the policy requires an approval" not in advice_for(passed, given.policy)


def test_predicted_points_belong_to_one_record(scored: Any, tmp_path: Path, policy: Policy) -> None:
    (ours, predictions), (theirs, _) = scored["challenger"], scored["champion"]
    path = tmp_path / "predicted_points.json"
    assert read_predicted_points(path, ours) == {}
    write_predicted_points(predictions, ours, path)
    found = read_predicted_points(path, ours)
    given = predictions[0]
    for name, xy in given.points["frontal"].items():
        assert np.abs(found[given.study_id]["frontal"][name] - xy).max() <= 0.05 + 1e-9
    with pytest.raises(EvidenceRejected) as refused:
        read_predicted_points(path, theirs)
    assert refused.value.code == "POINTS_MISMATCH"
    path.write_text(path.read_text().replace("41.5", "49.5", 1))
    with pytest.raises(EvidenceRejected) as refused:
        read_predicted_points(path, ours)
    assert refused.value.code == "EVIDENCE_ALTERED"
