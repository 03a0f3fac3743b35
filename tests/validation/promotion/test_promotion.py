"""Promotion against a real MLflow registry: what it refuses, what it moves, what it leaves behind."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import find_model_folder, model_digest
from tests.validation.promotion.registry import AT, SERVED, Desk
from validation.evaluation.record import read_record, write_record
from validation.evaluation.sealing import write_sealed
from validation.gates.policy import DEFAULT_POLICY
from validation.promotion.audit import audit, repair
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import Seat
from validation.promotion.history import HistoryEntry, append_entry, read_history
from validation.promotion.promote import current_champion, fetch_champion

# MLflow's own use of SQLAlchemy 2.1, not ours.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def test_first_then_better_champion(desk: Desk) -> None:
    address, _ = desk.register("first")
    assert current_champion(desk.tracking_uri, SERVED) is None
    desk.judge("first", noise=2.0, seed=2)
    promotion = desk.promote(address)
    assert promotion.previous_digest is None
    assert promotion.champion.model_digest == model_digest(desk.folder / "first")
    assert promotion.champion.simulated

    better, _ = desk.register("second")
    assert desk.judge("second", champion="first", noise=0.5, seed=3).decision == "PROMOTE"
    second = desk.promote(better)
    assert second.previous_digest == promotion.champion.model_digest
    assert current_champion(desk.tracking_uri, SERVED) == second.champion
    client = open_registry(desk.tracking_uri)
    assert str(client.get_model_version_by_alias(SERVED, "previous_champion").version) == promotion.champion.version
    assert client.get_model_version(SERVED, promotion.champion.version).tags["plumbline.state"] == "previous_champion"
    assert client.get_model_version(SERVED, second.champion.version).tags["plumbline.verdict"] == second.verdict
    history = read_history(desk.ledger)
    assert [e.event for e in history] == ["intended", "promoted"] * 2
    assert history[-1].digest == second.history_entry
    into = desk.folder / "served"
    assert fetch_champion(desk.tracking_uri, SERVED, into=into) == second.champion
    assert model_digest(into) == second.champion.model_digest


def test_promotion_alone_without_a_verdict_is_refused(desk: Desk) -> None:
    """G4: launched alone, nothing judged."""
    address, _ = desk.register("model")
    desk.refuses(address, "EVIDENCE_MISSING")
    assert not desk.ledger.exists()


@pytest.mark.parametrize(
    ("quality", "code"),
    [
        ({"noise": 30.0}, "VERDICT_REJECT"),
        ({"abstain": 25}, "VERDICT_REJECT"),
        ({"n": 10}, "VERDICT_INSUFFICIENT"),
    ],
)
def test_failed_verdict_is_refused(desk: Desk, quality: dict[str, Any], code: str) -> None:
    address, _ = desk.register("model")
    desk.judge("model", **quality)
    desk.refuses(address, code)


def test_equal_and_worse_challengers_do_not_replace(desk: Desk) -> None:
    address, _ = desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    desk.promote(address)
    again, _ = desk.register("equal")
    assert desk.judge("equal", champion="first", noise=2.0, seed=2).decision == "HOLD"
    desk.refuses(again, "VERDICT_HOLD")
    worse, _ = desk.register("worse")
    assert desk.judge("worse", champion="first", noise=2.6, seed=2, bias=1.9).decision == "REJECT"
    desk.refuses(worse, "VERDICT_REJECT")


def test_stale_champion_is_refused(desk: Desk) -> None:
    """G7: two challengers were judged while there was no champion; the second one comes too late."""
    first, _ = desk.register("first")
    late, _ = desk.register("late")
    desk.judge("late", noise=1.0)
    held = desk.verdict_path.read_bytes()
    desk.judge("first", noise=2.0)
    desk.promote(first)
    desk.verdict_path.write_bytes(held)
    stale = desk.refuses(late, "STALE_CHAMPION")
    assert all(step in stale.remedy for step in ("plumbline run -w", "champion_evaluation", "verdict", "promotion"))


def test_altered_bytes_are_refused_and_never_served(desk: Desk) -> None:
    """V2: the candidate's files change after they were judged, or the served ones after promotion."""
    address, stored = desk.register("model")
    desk.judge("model")
    graph = stored / "artifacts" / "model" / "model.onnx"
    judged = graph.read_bytes()
    graph.write_bytes(b"evil")
    desk.refuses(address, "MODEL_ALTERED")
    graph.write_bytes(judged)
    desk.promote(address)

    graph.write_bytes(b"evil")  # the trainer's own copy: what serves does not change
    champion = fetch_champion(desk.tracking_uri, SERVED, into=desk.folder / "served")
    assert model_digest(desk.folder / "served") == champion.model_digest
    for copy in (desk.folder / "artifacts" / f"{SERVED}-promotions").rglob("model.onnx"):
        copy.write_bytes(b"evil")
    with pytest.raises(GateRefused, match="MODEL_ALTERED"):
        fetch_champion(desk.tracking_uri, SERVED, into=desk.folder / "elsewhere")
    assert not (desk.folder / "elsewhere").exists()
    # A whole local copy needs no download.
    assert fetch_champion(desk.tracking_uri, SERVED, into=desk.folder / "served") == champion


def test_another_model_than_the_judged_one_is_refused(desk: Desk) -> None:
    desk.register("judged")
    other, _ = desk.register("other")
    desk.judge("judged")
    desk.refuses(other, "MODEL_ALTERED")
    desk.refuses("file:///etc", "CANDIDATE_ADDRESS")
    desk.refuses("http://169.254.169.254/latest", "CANDIDATE_ADDRESS")


def test_candidates_that_are_gone_or_given_up_are_refused(desk: Desk) -> None:
    """A version that does not exist, files that were deleted, a run that was killed but registered all the same."""
    address, stored = desk.register("model")
    desk.judge("model")
    desk.refuses("models:/candidates/99", "CANDIDATE_MISSING")
    desk.refuses("models:/strangers/1", "CANDIDATE_MISSING")
    client = open_registry(desk.tracking_uri)
    client.set_terminated(stored.name, "KILLED")
    desk.refuses(address, "CANDIDATE_RUN_DEAD")
    client.set_terminated(stored.name, "FINISHED")
    (stored / "artifacts" / "model" / "model.onnx").unlink()
    desk.refuses(address, "MODEL_NOT_FOUND")
    shutil.rmtree(stored)
    desk.refuses(address, "CANDIDATE_MISSING")


def test_a_logged_model_is_promoted_and_carries_its_evidence(desk: Desk) -> None:
    """The way training registers: a logged model, its version pointing at it, served by alias."""
    client = open_registry(desk.tracking_uri)
    experiment = client.create_experiment("logged", artifact_location=(desk.folder / "logged").as_uri())
    run = client.create_run(experiment)
    logged = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
    client.log_model_artifacts(logged.model_id, str(desk.export("model")))
    client.finalize_logged_model(logged.model_id, "READY")
    client.create_registered_model("candidates")
    where = logged.artifact_location  # models:/m-... here would be looked up in MLflow's global registry
    client.create_model_version("candidates", where, run_id=run.info.run_id, model_id=logged.model_id)
    client.set_registered_model_alias("candidates", "challenger", "1")
    desk.judge("model", noise=2.0, seed=2)
    addresses = ("models:/candidates/1", f"models:/{logged.model_id}", "models:/candidates@challenger")
    for name, address in zip(("one", "two", SERVED), addresses, strict=True):
        champion = desk.promote(address, production_model=name).champion
        assert champion.model_digest == model_digest(desk.folder / "model")
    kept = {p.name for p in (desk.folder / "artifacts" / f"{SERVED}-promotions" / champion.run_id).rglob("*.*")}
    assert {"verdict.json", "record-model.json", "default.yaml", "card.md"} <= kept
    description = client.get_model_version(SERVED, champion.version).description
    assert "PROMOTE" in description and len(description) < 5000


def test_pickles_are_refused(desk: Desk) -> None:
    """V1: nothing that runs code when it is loaded gets under the served name."""
    address, stored = desk.register("model")
    desk.judge("model")
    (stored / "artifacts" / "model" / "python_model.pkl").write_bytes(b"cos\nsystem\n")
    assert "python_model.pkl" in desk.refuses(address, "UNSAFE_FILES").found


def test_altered_evidence_is_refused(desk: Desk) -> None:
    """G3, G1: one edited character, a re-sealed record, a re-sealed verdict, a policy that changed, records gone."""
    address, _ = desk.register("model")
    desk.judge("model", noise=1.0)
    record_path = desk.folder / "evidence" / "record-model.json"
    verdict_text, record_text = desk.verdict_path.read_text(), record_path.read_text()

    desk.verdict_path.write_text(verdict_text.replace('"policy_version": ', '"policy_version": 9'))
    desk.refuses(address, "EVIDENCE_ALTERED")
    desk.verdict_path.write_text(verdict_text[: len(verdict_text) // 2])
    desk.refuses(address, "EVIDENCE_UNREADABLE")
    desk.verdict_path.write_text(verdict_text)

    record_path.write_text(record_text.replace('"n_truth": 50', '"n_truth": 51', 1))
    desk.refuses(address, "EVIDENCE_ALTERED")
    record_path.unlink()
    desk.refuses(address, "EVIDENCE_MISSING")
    record_path.write_text(record_text)

    policy = desk.folder / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace("at_most: {cobb: 3.7,", "at_most: {cobb: 37.0,"))
    desk.refuses(address, "POLICY_CHANGED", policy)
    desk.refuses(address, "POLICY_MISSING", desk.folder / "none.yaml")
    policy.write_text(DEFAULT_POLICY.read_text().replace("at_most:", "at_mots:"))
    desk.refuses(address, "POLICY_INVALID", policy)
    desk.promote(address)


def test_a_metric_edited_in_mlflow_decides_nothing(desk: Desk) -> None:
    """G3: MLflow lets anyone append a metric to a finished run; the sealed record is what was judged."""
    address, _ = desk.register("model")
    assert desk.judge("model", noise=30.0).decision == "REJECT"
    client = open_registry(desk.tracking_uri)
    run_id = client.get_model_version("candidates", address.rsplit("/", 1)[1]).run_id
    client.log_metric(run_id, "test/cobb/mae", 0.1)
    assert client.get_run(run_id).data.metrics["test/cobb/mae"] == 0.1
    desk.refuses(address, "VERDICT_REJECT")


def test_forged_verdict_is_refused(desk: Desk) -> None:
    """A verdict rewritten to PROMOTE and sealed afresh is not what the evidence yields."""
    address, _ = desk.register("model")
    desk.judge("model", noise=30.0)
    content = json.loads(desk.verdict_path.read_text())["content"]
    content["decision"] = "PROMOTE"
    for result in content["results"]:
        result["outcome"], result["code"] = "PASS", "WITHIN_LIMIT"
    write_sealed("plumbline.verdict/3", content, desk.verdict_path)
    desk.refuses(address, "VERDICT_NOT_REPRODUCED")


def test_forged_record_is_refused(desk: Desk) -> None:
    """Figures made better and sealed afresh do not follow from the patients in the same record."""
    path = desk.folder / "record.json"
    write_record(desk.scored(noise=30.0), path)
    content = json.loads(path.read_text())["content"]
    content["statistics"]["cobb"]["figures"]["standard_error_of_estimate"]["value"] = 0.1
    write_sealed("plumbline.evaluation/3", content, path)
    with pytest.raises(EvidenceRejected, match=r"STATISTICS_INCONSISTENT.*cobb standard_error_of_estimate"):
        read_record(path)


def test_lost_alias_is_no_first_champion_and_can_be_restored(desk: Desk) -> None:
    """G8: with the alias gone, nothing counts as a first champion; one call sets it back."""
    address, _ = desk.register("model")
    desk.judge("model")
    champion = desk.promote(address).champion
    client = open_registry(desk.tracking_uri)
    client.delete_registered_model_alias(SERVED, "champion")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        current_champion(desk.tracking_uri, SERVED)
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        desk.promote(address)
    assert [f.code for f in audit(desk.tracking_uri, SERVED, desk.ledger)] == ["ALIAS_DISAGREES"]
    restored = repair(desk.tracking_uri, SERVED, ledger_path=desk.ledger, promoter="test", at=AT).champion
    assert restored == champion == current_champion(desk.tracking_uri, SERVED)
    assert read_history(desk.ledger)[-1].event == "restored"


@pytest.mark.parametrize(
    ("died_in", "after_it", "outcome"),
    [("change", False, "abandoned"), ("change", True, "promoted"), ("mirrored", False, "promoted")],
)
def test_interrupted_promotion_is_settled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, died_in: str, after_it: bool, outcome: str
) -> None:
    """A death before or after the seat changed leaves an intention; who comes next finds out what became of it."""
    address, _ = desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    living = getattr(Seat, died_in)

    def dies(*arguments: Any, **named: Any) -> Any:
        if after_it:
            living(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Seat, died_in, dies)
        desk.promote(address)
    assert [e.event for e in read_history(desk.ledger)] == ["intended"]
    if outcome == "abandoned":
        assert current_champion(desk.tracking_uri, SERVED) is None
        desk.promote(address)
    else:
        serving = current_champion(desk.tracking_uri, SERVED)
        assert serving is not None and serving.model_digest == model_digest(desk.folder / "first")
        better, _ = desk.register("second")
        desk.judge("second", champion="first", noise=0.5, seed=3)
        desk.promote(better)
    assert [e.event for e in read_history(desk.ledger)] == ["intended", outcome, "intended", "promoted"]
    assert audit(desk.tracking_uri, SERVED, desk.ledger) == ()


def test_history_chain_breaks_visibly(tmp_path: Path) -> None:
    ledger = tmp_path / "promotions.jsonl"
    for i in range(4):
        append_entry(ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, str(i), f"{i}" * 64, None))
    assert len(read_history(ledger)) == 4
    lines = ledger.read_text().splitlines()
    for damaged in (
        [lines[0], *lines[2:]],
        [lines[1], lines[0], *lines[2:]],
        [*lines[:2], lines[2].replace('"version": "2"', '"version": "9"'), lines[3]],
        [*lines[:3], lines[3][:40]],
    ):
        ledger.write_text("\n".join(damaged) + "\n")
        with pytest.raises(EvidenceRejected, match="HISTORY_BROKEN"):
            read_history(ledger)


def test_model_digest_covers_every_part(desk: Desk) -> None:
    model = desk.export("model")
    digest = model_digest(model)
    (model / "card.md").write_text("another card")
    assert model_digest(model) == digest
    (model / "model.onnx.data").write_bytes(b"weights")
    assert model_digest(model) != digest
    shutil.copytree(model, desk.folder / "tree" / "deep")
    assert find_model_folder(desk.folder / "tree") == desk.folder / "tree" / "deep"
    (model / "contract.json").write_bytes(b"")
    with pytest.raises(EvidenceRejected, match="MODEL_INCOMPLETE"):
        model_digest(model)
