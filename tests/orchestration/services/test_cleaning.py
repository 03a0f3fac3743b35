"""Cleaning removes old runs, failed fits and unused data, and nothing that a model or a record needs."""

import json
import shutil
from hashlib import md5
from pathlib import Path

import dagster as dg
import pytest
import yaml
from mlflow import MlflowClient

from orchestration.dagster.instance import open_instance
from orchestration.dagster.sensors import BATCH_TAG
from orchestration.lifecycle.backup import restore_backup, write_backup
from orchestration.pipeline.cache import CACHE
from orchestration.pipeline.intake import finished_batches
from orchestration.pipeline.lock import services_lock
from orchestration.pipeline.names import CANDIDATES_MODEL, EXPERIMENT
from orchestration.pipeline.workspace import Workspace
from orchestration.services.cleaning import clean
from spine.errors import GateRefused
from tests.served_workspace import done, served_workspace, typed
from validation.registry.client import open_registry, versions_of
from validation.registry.local_artifacts import experiment_location

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    return served_workspace(tmp_path / "ws", monkeypatch, empty_mlflow_database)


def cached(workspace: Workspace, payload: bytes, suffix: str = "") -> str:
    """Put content into DVC's cache; its digest, as DVC writes it."""
    digest = md5(payload).hexdigest() + suffix
    path = workspace.root / CACHE / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)
    return digest


def version(workspace: Workspace, *contents: str) -> str:
    """A version of a folder with one file for each content."""
    files = [{"md5": cached(workspace, text.encode()), "relpath": text} for text in contents]
    return cached(workspace, json.dumps(files).encode(), ".dir")


def contents(workspace: Workspace) -> set[str]:
    files = (p for p in (workspace.root / CACHE).rglob("*") if p.is_file() and p.suffix != ".dir")
    return {p.read_text() for p in files}


def test_data_of_the_models_in_use_stay_in_the_cache(served: Workspace) -> None:
    current = {"path": "data/dataset", "md5": version(served, "kept", "new")}
    (served.root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"dataset": {"outs": [current]}}}))
    trained = [version(served, "kept", "previous champion"), version(served, "champion")]
    version(served, "kept", "of no model")
    client = open_registry(served.tracking_uri)
    for digest, candidate in zip(trained, reversed(versions_of(client, CANDIDATES_MODEL)), strict=True):
        client.set_tag(candidate.run_id, "plumbline.dvc_version", f"md5:{digest}")
    assert "files in DVC" in done(served, "clean", "--dry-run")
    assert "of no model" in contents(served), "a dry run removes nothing"
    assert "history verified" in done(served, "clean")
    assert contents(served) == {"kept", "new", "champion", "previous champion"}
    assert clean(served, 0, dry_run=True) == []


@pytest.mark.parametrize("empty", [False, True], ids=["no database", "the empty database of a new server"])
def test_without_the_registry_nothing_is_removed_and_everything_is_saved(
    served: Workspace, tmp_path: Path, empty_mlflow_database: Path, empty: bool
) -> None:
    cached(served, b"perhaps the champion's")
    database = served.state / "mlflow" / "mlflow.db"
    database.unlink()
    if empty:
        shutil.copy(empty_mlflow_database, database)
    for options in ([], ["--dry-run"]):
        assert "restore it from a backup" in str(typed(served, "clean", *options).exception)
    assert contents(served) == {"perhaps the champion's"}
    write_backup(served, tmp_path / "all.tar")
    restore_backup(tmp_path / "all.tar", Workspace(tmp_path / "there"))
    assert contents(Workspace(tmp_path / "there")) == {"perhaps the champion's"}


def test_services_make_no_new_registry_in_the_place_of_a_lost_one(served: Workspace) -> None:
    (served.state / "mlflow" / "mlflow.db").unlink()
    with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE.*restore it from a backup"), services_lock(served):
        pass
    served.history_copy.rename(served.state / "earlier.jsonl")
    with services_lock(served):
        pass


def materialise(instance: dg.DagsterInstance, **tags: str) -> str:
    @dg.asset
    def dataset() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"image": dg.MetadataValue.md("x" * 90_000)})

    return dg.materialize([dataset], instance=instance, tags=tags).run_id


def test_old_dagster_runs_go_with_their_images(served: Workspace) -> None:
    batch = served.inbox / "monday"
    batch.mkdir(parents=True)
    (batch / "COMPLETE").touch()
    with open_instance(served) as instance:
        first, second = materialise(instance), materialise(instance)
        ingest = materialise(instance, **{BATCH_TAG: finished_batches(served)[0].key})
        latest = materialise(instance)
        home = served.dagster_home
        before = sum(p.stat().st_size for p in home.rglob("*") if p.is_file())
        assert [item.name for item in clean(served, 1, dry_run=True)] == [], "they are not old"
        found = clean(served, 0, dry_run=False)
        assert {item.name for item in found} == {first, second}
        assert {run.run_id for run in instance.get_runs()} == {ingest, latest}
    freed = before - sum(p.stat().st_size for p in home.rglob("*") if p.is_file())
    assert freed > 4 * 90_000, "each image was in the log of its run and in the index"
    assert 0.5 < sum(item.size_bytes for item in found) / freed < 2
    assert not list(home.rglob(f"{first}*"))


def test_failed_fits_go_and_registered_models_stay(served: Workspace, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=served.tracking_uri, registry_uri=served.tracking_uri)
    experiment = client.create_experiment(EXPERIMENT, experiment_location(served.tracking_uri, EXPERIMENT))
    (tmp_path / "curve.png").write_bytes(b"x" * 5000)
    runs = [client.create_run(experiment).info for _ in range(3)]
    for run, status in zip(runs, ("FAILED", "FAILED", "FINISHED"), strict=True):
        client.log_artifact(run.run_id, str(tmp_path / "curve.png"))
        client.set_terminated(run.run_id, status)
    model = client.create_logged_model(experiment, name="model", source_run_id=runs[0].run_id)
    client.log_model_artifacts(model.model_id, str(served.champion))
    client.create_model_version(CANDIDATES_MODEL, f"{runs[1].artifact_uri}/model", run_id=runs[1].run_id)
    (served.state / "seeds" / "1" / "candidate").mkdir(parents=True)
    (served.state / "seeds" / "1" / "candidate" / "fit.json").write_text("{}")
    (served.state / "seeds" / "2" / "candidate").mkdir(parents=True)
    (served.state / "seeds" / "2" / "candidate" / "candidate.json").write_text("{}")
    found = clean(served, 0, dry_run=False)
    assert [(item.kind, item.name) for item in found] == [
        ("unfinished fits of seeds", "1"),
        ("failed runs in MLflow", runs[0].run_id),
    ]
    assert found[1].size_bytes >= 5000
    kept = [path.relative_to(served.artifact_root) for path in (served.artifact_root / EXPERIMENT).rglob("*.*")]
    assert sorted(path.parts[1] for path in kept) == sorted([runs[1].run_id, runs[2].run_id])
    assert [p.name for p in (served.state / "seeds").iterdir()] == ["2"]
    done(served, "history", "--verify")
    done(served, "rollback", "--reason", "the previous champion is still there")


def test_nothing_is_removed_while_the_services_run(served: Workspace) -> None:
    with services_lock(served):
        assert "SERVICES_RUNNING" in str(typed(served, "clean").exception)
        done(served, "clean", "--dry-run")
