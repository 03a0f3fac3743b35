"""Promotion in a real MLflow registry: its refusals, its changes and its records."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import find_model_folder, model_digest
from tests.validation.promotion.registry import AT, SERVED, Registry, killed_in
from validation.evaluation import record
from validation.evaluation.record import read_record, write_record
from validation.evaluation.sealing import write_sealed
from validation.gates import verdict
from validation.gates.policy import DEFAULT_POLICY
from validation.promotion.champion import current_champion, download, fetch_champion, open_registry, versions_of
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import HistoryEntry, append_entry, read_history


def test_first_then_better_champion(registry: Registry) -> None:
    address = registry.register("first")
    assert current_champion(registry.tracking_uri, SERVED) is None
    registry.judge("first", noise=2.0, seed=2)
    promotion = registry.promote(address)
    assert promotion.previous_digest is None
    assert promotion.champion.model_digest == model_digest(registry.folder / "first")
    assert promotion.champion.simulated

    better = registry.register("second")
    assert registry.judge("second", champion="first", noise=0.5, seed=3).decision == "PROMOTE"
    second = registry.promote(better)
    assert second.previous_digest == promotion.champion.model_digest
    assert current_champion(registry.tracking_uri, SERVED) == second.champion
    client = open_registry(registry.tracking_uri)
    assert str(client.get_model_version_by_alias(SERVED, "previous_champion").version) == promotion.champion.version
    assert client.get_model_version(SERVED, promotion.champion.version).tags["plumbline.state"] == "previous_champion"
    assert run_states(registry) == {"1": "previous_champion", "2": "champion"}, "not `prepared`, as before they ended"
    assert client.get_model_version(SERVED, second.champion.version).tags["plumbline.verdict"] == second.verdict
    history = read_history(registry.ledger)
    assert [e.event for e in history] == ["intended", "promoted"] * 2
    assert history[-1].digest == second.history_entry
    into = registry.folder / "served"
    assert fetch_champion(registry.tracking_uri, SERVED, into=into) == second.champion
    assert model_digest(into) == second.champion.model_digest


def run_states(registry: Registry) -> dict[str, str]:
    """Version -> the state that the run of its promotion shows."""
    client = open_registry(registry.tracking_uri)
    runs = {str(v.version): client.get_run(v.run_id) for v in versions_of(client, SERVED)}
    return {version: run.data.tags["plumbline.state"] for version, run in runs.items()}


def test_promotion_alone_without_a_verdict_is_refused(registry: Registry) -> None:
    """G4: the promotion is launched without a verdict."""
    address = registry.register("model")
    registry.refuses(address, "EVIDENCE_MISSING")
    assert not registry.ledger.exists()


@pytest.mark.parametrize(
    ("quality", "code"),
    [
        ({"noise": 30.0}, "VERDICT_REJECT"),
        ({"abstain": 25}, "VERDICT_REJECT"),
        ({"n": 10}, "VERDICT_INSUFFICIENT"),
    ],
)
def test_failed_verdict_is_refused(registry: Registry, quality: dict[str, Any], code: str) -> None:
    address = registry.candidate("model", **quality)
    registry.refuses(address, code)


def test_equal_and_worse_challengers_do_not_replace(registry: Registry) -> None:
    address = registry.candidate("first", noise=2.0, seed=2)
    registry.promote(address)
    again = registry.register("equal")
    assert registry.judge("equal", champion="first", noise=2.0, seed=2).decision == "HOLD"
    registry.refuses(again, "VERDICT_HOLD")
    worse = registry.register("worse")
    assert registry.judge("worse", champion="first", noise=2.6, seed=2, bias=1.9).decision == "REJECT"
    registry.refuses(worse, "VERDICT_REJECT")


def test_stale_champion_is_refused(registry: Registry) -> None:
    """G7: two challengers were judged without a champion, and the first one was promoted."""
    first = registry.register("first")
    late = registry.candidate("late", noise=1.0)
    kept = registry.verdict_path.read_bytes()
    registry.judge("first", noise=2.0)
    registry.promote(first)
    registry.verdict_path.write_bytes(kept)
    stale = registry.refuses(late, "STALE_CHAMPION")
    assert all(step in stale.remedy for step in ("plumbline run -w", "champion_evaluation", "verdict", "promotion"))


def test_altered_bytes_are_refused_and_never_served(registry: Registry) -> None:
    """V2: the candidate's files change after they were judged, or the served files change after the promotion."""
    address = registry.candidate("model")
    stored = registry.stored(address)
    graph = stored / "artifacts" / "model" / "model.onnx"
    judged = graph.read_bytes()
    graph.write_bytes(b"evil")
    registry.refuses(address, "MODEL_ALTERED")
    graph.write_bytes(judged)
    registry.promote(address)

    graph.write_bytes(b"evil")  # This is the trainer's copy. The served copy does not change.
    champion = fetch_champion(registry.tracking_uri, SERVED, into=registry.folder / "served")
    assert model_digest(registry.folder / "served") == champion.model_digest
    for copy in (registry.folder / "artifacts" / f"{SERVED}-promotions").rglob("model.onnx"):
        copy.write_bytes(b"evil")
    with pytest.raises(GateRefused, match="MODEL_ALTERED"):
        fetch_champion(registry.tracking_uri, SERVED, into=registry.folder / "elsewhere")
    assert not (registry.folder / "elsewhere").exists()
    # An intact local copy needs no download.
    assert fetch_champion(registry.tracking_uri, SERVED, into=registry.folder / "served") == champion


def test_another_model_than_the_judged_one_is_refused(registry: Registry) -> None:
    registry.register("judged")
    other = registry.register("other")
    registry.judge("judged")
    registry.refuses(other, "MODEL_ALTERED")
    registry.refuses("file:///etc", "CANDIDATE_ADDRESS")
    registry.refuses("http://169.254.169.254/latest", "CANDIDATE_ADDRESS")


def test_candidates_that_are_missing_or_were_killed_are_refused(registry: Registry) -> None:
    """A version that does not exist, files that were deleted, a run that registered a model and was killed."""
    address = registry.candidate("model")
    stored = registry.stored(address)
    registry.refuses("models:/candidates/99", "CANDIDATE_MISSING")
    registry.refuses("models:/strangers/1", "CANDIDATE_MISSING")
    client = open_registry(registry.tracking_uri)
    client.set_terminated(stored.name, "KILLED")
    registry.refuses(address, "CANDIDATE_RUN_DEAD")
    client.set_terminated(stored.name, "FINISHED")
    (stored / "artifacts" / "model" / "model.onnx").unlink()
    registry.refuses(address, "MODEL_NOT_FOUND")
    shutil.rmtree(stored)
    registry.refuses(address, "CANDIDATE_MISSING")


def test_a_logged_model_is_promoted_and_carries_its_evidence(registry: Registry) -> None:
    """Training registers a logged model and a version that refers to it."""
    client = open_registry(registry.tracking_uri)
    experiment = client.create_experiment("logged", artifact_location=(registry.folder / "logged").as_uri())
    run = client.create_run(experiment)
    logged = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
    client.log_model_artifacts(logged.model_id, str(registry.export("model")))
    client.finalize_logged_model(logged.model_id, "READY")
    client.create_registered_model("candidates")
    where = logged.artifact_location  # For models:/m-... MLflow would use its global registry.
    client.create_model_version("candidates", where, run_id=run.info.run_id, model_id=logged.model_id)
    client.set_registered_model_alias("candidates", "challenger", "1")
    registry.judge("model", noise=2.0, seed=2)
    addresses = ("models:/candidates/1", f"models:/{logged.model_id}", "models:/candidates@challenger")
    for name, address in zip(("one", "two", SERVED), addresses, strict=True):
        champion = registry.promote(address, production_model=name).champion
        assert champion.model_digest == model_digest(registry.folder / "model")
    kept = {p.name for p in (registry.folder / "artifacts" / f"{SERVED}-promotions" / champion.run_id).rglob("*.*")}
    assert {"verdict.json", "record-model.json", "default.yaml", "card.md"} <= kept
    description = client.get_model_version(SERVED, champion.version).description
    assert "PROMOTE" in description and len(description) < 5000


def test_pickles_are_refused(registry: Registry) -> None:
    """V1: a file that runs code when it is loaded is never registered as the served model."""
    address = registry.candidate("model")
    stored = registry.stored(address)
    (stored / "artifacts" / "model" / "python_model.pkl").write_bytes(b"cos\nsystem\n")
    assert "python_model.pkl" in registry.refuses(address, "UNSAFE_FILES").found


@pytest.fixture
def other_host() -> Iterator[tuple[str, list[str]]]:
    """A web server of the same network, and the requests that reach it."""
    requests: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", requests
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "mlflow-artifacts", "ftp"])
def test_a_version_whose_files_are_on_another_host_is_refused_without_a_request(
    registry: Registry, other_host: tuple[str, list[str]], scheme: str
) -> None:
    """V1: whoever writes into the registry must not choose what this machine requests."""
    address, (host, requests) = registry.candidate("model"), other_host
    evil = f"'{scheme}://{host}/latest/meta-data'"
    registry.execute(f"UPDATE model_versions SET source = {evil}, storage_location = {evil}")
    assert host in registry.refuses(address, "ADDRESS_ELSEWHERE").found
    registry.execute(f"UPDATE runs SET artifact_uri = '{scheme}://{host}/run'")
    with pytest.raises(GateRefused, match="ADDRESS_ELSEWHERE"):
        download(registry.tracking_uri, f"runs:/{registry.stored(address).name}/model", registry.folder / "x")
    assert requests == []


def test_altered_evidence_is_refused(registry: Registry) -> None:
    """G3, G1: an edited or truncated verdict, an edited or missing record, a changed or invalid policy."""
    address = registry.candidate("model", noise=1.0)
    record_path = registry.folder / "evidence" / "record-model.json"
    verdict_text, record_text = registry.verdict_path.read_text(), record_path.read_text()

    registry.verdict_path.write_text(verdict_text.replace('"policy_version": ', '"policy_version": 9'))
    registry.refuses(address, "EVIDENCE_ALTERED")
    registry.verdict_path.write_text(verdict_text[: len(verdict_text) // 2])
    registry.refuses(address, "EVIDENCE_UNREADABLE")
    registry.verdict_path.write_text(verdict_text)

    record_path.write_text(record_text.replace('"n_truth": 50', '"n_truth": 51', 1))
    registry.refuses(address, "EVIDENCE_ALTERED")
    record_path.unlink()
    registry.refuses(address, "EVIDENCE_MISSING")
    record_path.write_text(record_text)

    policy = registry.folder / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace("at_most: {cobb: 3.7,", "at_most: {cobb: 37.0,"))
    registry.refuses(address, "POLICY_CHANGED", policy)
    registry.refuses(address, "POLICY_MISSING", registry.folder / "none.yaml")
    policy.write_text(DEFAULT_POLICY.read_text().replace("at_most:", "at_mots:"))
    registry.refuses(address, "POLICY_INVALID", policy)
    registry.promote(address)


def test_forged_verdict_is_refused(registry: Registry) -> None:
    """A verdict that was edited to PROMOTE and sealed again does not follow from the evidence."""
    address = registry.candidate("model", noise=30.0)
    content = json.loads(registry.verdict_path.read_text())["content"]
    content["decision"] = "PROMOTE"
    for result in content["results"]:
        result["outcome"], result["code"] = "PASS", "WITHIN_LIMIT"
    write_sealed(verdict.SCHEMA, content, registry.verdict_path)
    registry.refuses(address, "VERDICT_NOT_REPRODUCED")


def test_forged_record_is_refused(registry: Registry) -> None:
    """Figures that were edited and sealed again do not follow from the patients in the record."""
    path = registry.folder / "record.json"
    write_record(registry.scored(noise=30.0), path)
    content = json.loads(path.read_text())["content"]
    content["statistics"]["cobb"]["figures"]["standard_error_of_estimate"]["value"] = 0.1
    write_sealed(record.SCHEMA, content, path)
    with pytest.raises(EvidenceRejected, match=r"STATISTICS_INCONSISTENT.*cobb standard_error_of_estimate"):
        read_record(path)


def test_lost_alias_is_no_first_champion_and_can_be_restored(registry: Registry) -> None:
    """G8: without the alias no model is a first champion. The repair sets it back."""
    address = registry.candidate("model")
    champion = registry.promote(address).champion
    client = open_registry(registry.tracking_uri)
    client.delete_registered_model_alias(SERVED, "champion")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        current_champion(registry.tracking_uri, SERVED)
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        registry.promote(address)
    assert registry.faults() == ["ALIAS_DISAGREES"]
    restored = registry.repair().champion
    assert restored == champion == current_champion(registry.tracking_uri, SERVED)
    assert read_history(registry.ledger)[-1].event == "restored"


@pytest.mark.parametrize(
    ("died_in", "after_it", "outcome"),
    [("change", False, "abandoned"), ("change", True, "promoted"), ("mark_synced", False, "promoted")],
)
def test_interrupted_promotion_is_completed_or_abandoned(
    registry: Registry, died_in: str, after_it: bool, outcome: str
) -> None:
    """A kill before or after the change of the record leaves an announcement. The next promotion writes the outcome."""
    address = registry.candidate("first", noise=2.0, seed=2)
    with killed_in(ChampionRecord, died_in, after=after_it):
        registry.promote(address)
    assert [e.event for e in read_history(registry.ledger)] == ["intended"]
    if outcome == "abandoned":
        assert current_champion(registry.tracking_uri, SERVED) is None
        registry.promote(address)
    else:
        serving = current_champion(registry.tracking_uri, SERVED)
        assert serving is not None and serving.model_digest == model_digest(registry.folder / "first")
        better = registry.candidate("second", champion="first", noise=0.5, seed=3)
        registry.promote(better)
    assert [e.event for e in read_history(registry.ledger)] == ["intended", outcome, "intended", "promoted"]
    assert registry.faults() == []


def test_a_broken_history_chain_is_detected(tmp_path: Path) -> None:
    ledger = tmp_path / "promotions.jsonl"
    for i in range(4):
        append_entry(ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, str(i), f"{i}" * 64, None))
    assert len(read_history(ledger)) == 4
    lines = ledger.read_text().splitlines()
    for damaged in (
        [lines[0], *lines[2:]],
        [lines[1], lines[0], *lines[2:]],
        [*lines[:2], lines[2].replace('"version": "2"', '"version": "9"'), lines[3]],
        [*lines[:3], lines[3].replace('"approval": null', '"approval": "x"')],
        [*lines[:3], lines[3][:40]],
    ):
        ledger.write_text("\n".join(damaged) + "\n")
        with pytest.raises(EvidenceRejected, match="HISTORY_BROKEN"):
            read_history(ledger)


def test_model_digest_covers_every_part(registry: Registry) -> None:
    model = registry.export("model")
    digest = model_digest(model)
    (model / "card.md").write_text("another card")
    assert model_digest(model) == digest
    (model / "model.onnx.data").write_bytes(b"weights")
    assert model_digest(model) != digest
    shutil.copytree(model, registry.folder / "tree" / "deep")
    assert find_model_folder(registry.folder / "tree") == registry.folder / "tree" / "deep"
    (model / "contract.json").write_bytes(b"")
    with pytest.raises(EvidenceRejected, match="MODEL_INCOMPLETE"):
        model_digest(model)
