"""Promotion in a real MLflow registry: its refusals, its changes and its records."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, REVIEWER, SERVED, Registry, correct_result
from validation.evaluation.sealing import write_sealed
from validation.gates import verdict
from validation.gates.policy import DEFAULT_POLICY
from validation.gates.verdict import read_verdict
from validation.promotion.decisions import rejected
from validation.promotion.smoke_test import VirtualStudyResult
from validation.registry.client import aliases_of, fetch_version, open_registry, versions_of


def fetch(registry: Registry, into: Path) -> None:
    """Fetch the champion's verified files."""
    champion = registry.champion
    assert champion is not None
    fetch_version(registry.tracking_uri, SERVED, champion.version, champion.digest, into=into)


def test_first_then_better_champion(registry: Registry) -> None:
    address = registry.register("first")
    assert not registry.state.champion
    registry.judge("first", noise=2.0, seed=2)
    first = registry.promote(address)
    assert (first.version, first.digest, first.previous) == ("1", registry.digest("first"), "")
    assert registry.champion == first
    better = registry.register("second")
    assert registry.judge("second", champion="first", noise=0.5, seed=3).decision == "PROMOTE"
    second = registry.promote(better)
    assert (second.version, second.digest, second.previous) == ("2", registry.digest("second"), first.digest)
    assert registry.champion == second and registry.kinds == ["promoted"] * 2
    client = open_registry(registry.tracking_uri)
    assert aliases_of(client, SERVED) == {"champion": "2", "previous_champion": "1"}
    versions = {str(v.version): v for v in versions_of(client, SERVED)}
    shown = {number: v.tags["plumbline.state"] for number, v in versions.items()}
    assert shown == {"1": "served", "2": "served"}
    tags = versions["2"].tags
    assert (tags["plumbline.verdict"], tags["plumbline.simulated"]) == (second.verdict, "true")
    fetch(registry, registry.folder / "served")
    assert model_digest(registry.folder / "served") == second.digest
    assert registry.faults() == []


def test_promotion_alone_without_a_verdict_is_refused(registry: Registry) -> None:
    """G4: the promotion is launched without a verdict."""
    address = registry.register("model")
    registry.refuses(address, "EVIDENCE_MISSING")
    assert not registry.copy.exists() and registry.state.events == ()


@pytest.mark.parametrize(
    ("champion", "quality", "code"),
    [
        (None, {"noise": 30.0}, "VERDICT_REJECT"),
        (None, {"abstain": 25}, "VERDICT_REJECT"),
        (None, {"n": 10}, "VERDICT_INSUFFICIENT"),
        ("first", {"noise": 2.0, "seed": 2}, "VERDICT_HOLD"),
        ("first", {"noise": 2.6, "bias": 1.9, "seed": 2}, "VERDICT_REJECT"),
    ],
)
def test_failed_verdict_is_refused(serving: Registry, champion: str | None, quality: dict[str, Any], code: str) -> None:
    """The last two challengers are equal to the champion and worse than it."""
    serving.refuses(serving.candidate("model", champion, **quality), code)


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


def test_a_rejection_during_the_promotion_refuses_it_and_nothing_is_left_over(serving: Registry) -> None:
    """A person decides while the copy is tested."""
    verdict = read_verdict(serving.verdict_path)

    def measure(folder: Path) -> VirtualStudyResult:
        serving.history.append(lambda _: rejected(verdict, REVIEWER, AT))
        return correct_result(folder)

    serving.refuses("models:/candidates/2", "APPROVAL_REJECTED", measure_virtual_study=measure)
    assert serving.leftovers() == []


def test_a_copy_that_differs_from_the_judged_files_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a file that is no part of the model's digest."""
    complete = MlflowClient.log_artifacts

    def lossy(client: MlflowClient, run: str, folder: str, path: str) -> None:
        other = shutil.copytree(folder, registry.folder / "lossy", dirs_exist_ok=True)
        (other / "card.md").write_text("")
        complete(client, run, str(other), path)

    address = registry.candidate("model")
    monkeypatch.setattr(MlflowClient, "log_artifacts", lossy)
    assert "the promoter's copy" in registry.refuses(address, "MODEL_ALTERED").found


def test_altered_bytes_are_refused_and_never_served(registry: Registry) -> None:
    """V2: the candidate's files change after they were judged, or the served files change after the promotion."""
    address = registry.candidate("model")
    graph = registry.stored(address) / "artifacts" / "model" / "model.onnx"
    judged = graph.read_bytes()
    graph.write_bytes(b"evil")
    registry.refuses(address, "MODEL_ALTERED")
    graph.write_bytes(judged)
    registry.promote(address)

    graph.write_bytes(b"evil")  # This is the trainer's copy. The served copy does not change.
    fetch(registry, registry.folder / "served")
    assert model_digest(registry.folder / "served") == registry.digest("model")
    for copy in (registry.folder / "artifacts" / f"{SERVED}-promotions").rglob("model.onnx"):
        copy.write_bytes(b"evil")
    with pytest.raises(GateRefused, match="MODEL_ALTERED"):
        fetch(registry, registry.folder / "elsewhere")
    assert not (registry.folder / "elsewhere").exists()
    fetch(registry, registry.folder / "served")  # An intact local copy needs no download.


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
        history = replace(registry.history, model=name, copy=registry.folder / name / "history.jsonl")
        event = registry.promote(address, where=history)
        assert event.digest == registry.digest("model")
    version = client.get_model_version(SERVED, event.version)
    kept = {p.name for p in (registry.folder / "artifacts" / f"{SERVED}-promotions" / version.run_id).rglob("*.*")}
    assert {"verdict.json", "record-model.json", "default.yaml", "card.md"} <= kept
    assert "PROMOTE" in version.description and len(version.description) < 5000


def test_pickles_are_refused(registry: Registry) -> None:
    """V1: a file that runs code when it is loaded is never registered as the served model."""
    address = registry.candidate("model")
    (registry.stored(address) / "artifacts" / "model" / "python_model.pkl").write_bytes(b"cos\nsystem\n")
    assert "python_model.pkl" in registry.refuses(address, "UNSAFE_FILES").found


def test_altered_evidence_is_refused(registry: Registry) -> None:
    """G3, G1: an edited or truncated verdict, an edited or missing record, a changed or invalid policy."""
    address = registry.candidate("model", noise=1.0)
    judged, record = registry.verdict_path, registry.folder / "evidence" / "record-model.json"
    for path, edit, code in (
        (judged, lambda text: text.replace('"policy_version": ', '"policy_version": 9'), "EVIDENCE_ALTERED"),
        (judged, lambda text: text[: len(text) // 2], "EVIDENCE_UNREADABLE"),
        (record, lambda text: text.replace('"n_truth": 50', '"n_truth": 51', 1), "EVIDENCE_ALTERED"),
        (record, None, "EVIDENCE_MISSING"),
    ):
        whole = path.read_text()
        path.write_text(edit(whole)) if edit else path.unlink()
        registry.refuses(address, code)
        path.write_text(whole)
    policy, default = registry.folder / "policy.yaml", DEFAULT_POLICY.read_text()
    registry.refuses(address, "POLICY_MISSING", policy)
    policy.write_text(default.replace("at_most: {cobb: 3.7,", "at_most: {cobb: 37.0,"))
    registry.refuses(address, "POLICY_CHANGED", policy)
    policy.write_text(default.replace("at_most:", "at_mots:"))
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
