"""MLflow gets a candidate exactly once, complete, and no run stays RUNNING."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spine.errors import ContractViolation
from spine.mlmodel import mlmodel_text
from spine.model_digest import model_digest
from training.journal import Journal, read_journal
from training.tracking import DatasetReference, TrackedModel, log_evidence, replay_journal

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")

EXPERIMENT, MODEL = "plumbline", "plumbline-candidates"
TAGS = {"git.commit": "0" * 40, "git.dirty": "false"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, empty_mlflow_database) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(empty_mlflow_database, folder / "mlflow.db")
    return {
        "tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "experiment": EXPERIMENT,
        "registered_model": MODEL,
        "tags": TAGS,
    }


@pytest.fixture(scope="module")
def reference(drawn) -> DatasetReference:
    folder, manifest = drawn
    return DatasetReference("drawn", manifest.digest, manifest.test_digest, "d41d8cd9.dir", folder)


@pytest.fixture(scope="module")
def client(place) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=place["tracking_uri"], registry_uri=place["tracking_uri"])


@pytest.fixture(scope="module")
def tracked(place, candidate, reference, tmp_path_factory, client) -> TrackedModel:
    """Tracked at the third attempt, after one with an error and one that was killed."""
    import training.tracking as tracking

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_log_dataset", _fail)
        with pytest.raises(OSError, match="no space"):
            replay_journal(candidate[0], dataset=reference, **place)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    assert [r.info.status for r in client.search_runs([experiment])] == ["FAILED"]
    killed = client.create_run(experiment, tags={tracking.KEY_TAG: candidate[1].model_digest})
    assert client.get_run(killed.info.run_id).info.status == "RUNNING"
    found = replay_journal(candidate[0], dataset=reference, **place)
    assert client.get_run(killed.info.run_id).info.status == "FAILED"
    return found


def _fail(*arguments: object) -> None:
    raise OSError("no space left on device")


@pytest.mark.slow
def test_a_second_replay_finds_the_first(place, candidate, reference, tracked, client):
    assert replay_journal(candidate[0], dataset=reference, **place) == tracked
    runs = client.search_runs([tracked.experiment_id], filter_string="status = 'FINISHED'")
    assert [r.info.run_id for r in runs] == [tracked.run_id]
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 1


def test_figures_are_logged_once_under_readable_names(candidate, tracked, client, tmp_path):
    run = client.get_run(tracked.run_id)
    history = client.get_metric_history(tracked.run_id, "validation/landmark_error_mm")
    wanted = [(m.step, m.values["validation/landmark_error_mm"]) for m in read_journal(candidate[0]).measurements]
    assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == wanted
    best = "validation/best_landmark_error_mm"
    assert set(run.data.metrics) == {"train/loss", "cost/seconds", "validation/landmark_error_mm", best}
    table = json.loads(Path(client.download_artifacts(tracked.run_id, "tables/training.json", tmp_path)).read_text())
    assert {"step", "train/js", "train/euclidean"} <= set(table["columns"])
    assert table["columns"][-1] == "time_s"
    times = [row[-1] for row in table["data"]]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= candidate[1].seconds + 1
    assert len(table["data"]) == len(read_journal(candidate[0]).measurements)
    facts = read_journal(candidate[0]).facts
    assert run.info.end_time == int(1000 * facts["finished_s"])
    assert run.info.end_time - run.info.start_time == int(1000 * candidate[1].seconds)
    assert run.data.params["seed"] == "5"
    assert run.data.params["augmentation.rotation_deg"] == "4.0"
    assert run.data.tags["git.commit"] == TAGS["git.commit"]
    assert {f.path for f in client.list_artifacts(tracked.run_id, "curves")} == {
        "curves/train.svg",
        "curves/validation.svg",
    }


def test_the_data_set_is_an_input_with_its_digest_and_version(reference, tracked, client):
    run = client.get_run(tracked.run_id)
    inputs = {{t.key: t.value for t in i.tags}["mlflow.data.context"]: i for i in run.inputs.dataset_inputs}
    assert inputs.keys() == {"training", "testing"}
    frozen = inputs["testing"].dataset
    assert (frozen.name, frozen.digest) == ("drawn-test", reference.test_digest[:36])
    assert json.loads(frozen.profile)["test_digest"] == reference.test_digest
    given = inputs["training"]
    assert given.dataset.name == "drawn"
    assert json.loads(given.dataset.profile)["digest"] == reference.digest
    assert {t.key: t.value for t in given.tags}["dvc_version"] == "d41d8cd9.dir"
    assert run.data.tags["plumbline.dataset"] == reference.digest


def test_the_registered_model_is_the_candidates_own_bytes_without_pickle(place, candidate, tracked, tmp_path, client):
    import mlflow
    from mlflow.models import Model as MlflowModel

    assert tracked.model_uri == f"models:/{MODEL}/1"
    version = client.get_model_version(MODEL, tracked.model_version)
    assert version.run_id == tracked.run_id
    assert "Not for diagnosis" in version.description
    assert version.source.startswith("mlflow-artifacts:/"), "no folder and no host, so that the database can move"
    where = {"dst_path": str(tmp_path), "tracking_uri": place["tracking_uri"]}
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=version.source, **where))
    assert model_digest(folder) == candidate[1].model_digest
    assert not [p.name for p in folder.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".pth", ".py", ".joblib")]
    described = MlflowModel.load(str(folder))
    assert described.signature is not None
    assert described.signature.inputs.input_names() == ["frontal", "lateral"]
    assert described.saved_input_example_info is not None
    assert (folder / "MLmodel").read_text() == mlmodel_text(str(candidate[1].model_digest))


def test_evidence_is_added_once(place, tracked, tmp_path, client):
    (tmp_path / "record.json").write_text("{}")
    given = {"metrics": {"test/cobb_see_deg": 3.5}, "artifacts": tmp_path, "tags": {"plumbline.evidence": "abc"}}
    for _ in range(2):
        log_evidence(tracked.run_id, place["tracking_uri"], **given)
    assert len(client.get_metric_history(tracked.run_id, "test/cobb_see_deg")) == 1
    assert client.get_run(tracked.run_id).data.tags["plumbline.evidence"] == "abc"
    assert [f.path for f in client.list_artifacts(tracked.run_id, "evaluation")] == ["evaluation/record.json"]
    assert client.get_run(tracked.run_id).info.status == "FINISHED"


def test_another_data_set_an_altered_model_and_an_unfinished_fit_are_refused(place, candidate, reference, tmp_path):
    copy = shutil.copytree(candidate[0], tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoints"))
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes() + b"\0")
    Journal(tmp_path / "unfinished").write_facts(device="cpu")
    for folder, dataset, reason in (
        (candidate[0], replace(reference, digest="0" * 64), r"CANDIDATE_ALTERED.*data set"),
        (copy, reference, r"CANDIDATE_ALTERED.*model digest"),
        (tmp_path / "unfinished", reference, "FIT_UNFINISHED"),
    ):
        with pytest.raises(ContractViolation, match=reason):
            replay_journal(folder, dataset=dataset, **place)
