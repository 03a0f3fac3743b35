"""Seed evidence: which records are found, and which are left out for which reason; no error stops a verdict."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from orchestration.environment import quiet_environment
from orchestration.lifecycle.seed_evidence import gather_seed_evidence, seed_evidence_folder
from spine.dataset import read_manifest
from tests.judged_workspace import Judged, judged_workspace, track_run, write_scored_record
from validation.evaluation.record import EvaluationRecord, read_record, write_record
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.registry.client import open_registry

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        patch.delenv("PLUMBLINE_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("judged")
        yield judged_workspace(folder, with_champion=False, mlflow_database=empty_mlflow_database)


def add_fit(judged: Judged, tmp_path: Path, digest: str, seed: str, change: Any = None) -> str:
    """Another seed's run, with its evaluation record (changed) among its artefacts."""
    workspace = judged.workspace
    run = track_run(workspace, read_manifest(workspace.dataset), digest, seed)
    write_scored_record(read_manifest(workspace.dataset), "challenger", digest, tmp_path / seed, seed=int(seed))
    path = tmp_path / seed / "record.json"
    if change is not None:
        write_record(change(read_record(path)), path)
    open_registry(workspace.tracking_uri).log_artifact(run, str(path), "evaluation")
    return run


def challenger_of(judged: Judged) -> EvaluationRecord:
    return read_record(judged.workspace.evaluation / "record.json")


def test_only_valid_and_comparable_records_are_evidence(judged: Judged, tmp_path: Path) -> None:
    policy, challenger = read_policy(DEFAULT_POLICY), challenger_of(judged)
    assert challenger.model_digest == "a" * 64
    add_fit(judged, tmp_path, "3" * 64, "3")
    add_fit(judged, tmp_path, "4" * 64, "4")
    add_fit(judged, tmp_path, "5" * 64, "5", lambda r: replace(r, code=replace(r.code, commit="0" * 40)))
    add_fit(judged, tmp_path, "6" * 64, "6", lambda r: replace(r, environment={**r.environment, "numpy": "1.0"}))
    add_fit(judged, tmp_path, "7" * 64, "7", lambda r: replace(r, test_digest="0" * 64))
    altered = add_fit(judged, tmp_path, "8" * 64, "8")
    add_fit(judged, tmp_path, "9" * 64, "9", lambda r: replace(r, model_digest="3" * 64))
    add_fit(judged, tmp_path, "e" * 64, "2")  # the challenger's own seed
    (path,) = [p for p in judged.workspace.artifact_root.rglob("record.json") if altered in p.parts]
    path.write_text(path.read_text().replace('"virtual"', '"VIRTUAL"', 1))
    found = gather_seed_evidence(judged.workspace, policy, challenger)
    assert list(found.records) == ["3", "4"]
    reasons = {line.split(",")[0].removeprefix("seed "): line for line in found.left_out}
    expected = {"1": "EVIDENCE_MISSING", "5": "OTHER_CODE", "6": "OTHER_ENVIRONMENT", "7": "OTHER_TEST_SET"}
    expected |= {"8": "EVIDENCE_ALTERED", "9": "EVIDENCE_ALTERED"}
    assert reasons.keys() == expected.keys() and len(found.left_out) == 6
    assert all(code in reasons[seed] for seed, code in expected.items())
    kept = sorted(seed_evidence_folder(judged.workspace).iterdir())
    assert [read_record(p).digest for p in kept] == [r.digest for r in found.records.values()]


def test_an_unregistered_challenger_and_a_registry_that_fails_leave_all_out(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, challenger = read_policy(DEFAULT_POLICY), challenger_of(judged)
    unregistered = gather_seed_evidence(judged.workspace, policy, replace(challenger, model_digest="0" * 64))
    assert (dict(unregistered.records), len(unregistered.left_out)) == ({}, 1)
    assert not seed_evidence_folder(judged.workspace).exists(), "the records of an earlier verdict are deleted"

    def locked(uri: str) -> Any:
        raise MlflowException("database is locked")

    monkeypatch.setattr("orchestration.lifecycle.seed_evidence.open_registry", locked)
    dead = gather_seed_evidence(judged.workspace, policy, challenger)
    assert dict(dead.records) == {}
    assert "the registry does not list the fits" in dead.left_out[0]
