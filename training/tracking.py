"""Logs a finished candidate to MLflow, exactly once, as a run and a registered model.

Contract: a second replay of the same candidate finds the first run and logs nothing. An incomplete run gets the status
FAILED. If a replay was killed, or the server failed, the next replay sets this status. The registered model consists of
the candidate's bytes, which MLflow loads by ``serving.mlflow_model``. It contains neither pickle files nor code.

A run has few metrics, so that a table of runs can show them all: ``train/loss``, ``validation/landmark_error_mm``,
``cost/seconds``, the energy and the best validation error. Every other figure of the journal is in the table
``tables/training.json``. Parameters have the names of ``TrainingConfig``, with dots between levels. The start and end
times of the run are those of the fit.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.contract import ModelContract, read_contract
from spine.errors import ContractViolation
from spine.mlmodel import mlflow_files
from spine.model_digest import CONTRACT_FILE, GRAPH_FILE, model_digest
from spine.storage import sha256_of_bytes, sha256_of_tree
from training.curves import draw_curves
from training.export.candidate import FitSummary, read_summary
from training.export.candidate_card import candidate_card
from training.journal import JOURNAL_FILE, JournalContent, read_journal
from validation.promotion.smoke_test import STUDY
from validation.registry.experiments import experiment_of
from validation.registry.new_database import make_database
from validation.review.card_text import card_markdown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

KEY_TAG = "plumbline.model_digest"
_EVIDENCE_TAG = "plumbline.evidence_logged"
_TABLES_TAG = "mlflow.loggedArtifacts"
"""MLflow's tag that lists the tables of a run."""

_TRAINING = "training"
"""The table with the figures of the fit."""

_BATCH = 500


@dataclass(frozen=True)
class DatasetReference:
    """The data set of a candidate: name, digests, DVC version (None if DVC is not used) and folder."""

    name: str
    digest: str
    test_digest: str
    dvc_version: str | None
    folder: Path


@dataclass(frozen=True)
class TrackedModel:
    """The run, the registered version and the URI ``models:/<name>/<version>`` of a candidate."""

    run_id: str
    model_version: str
    model_uri: str
    experiment_id: str


def replay_journal(
    candidate: Path,
    *,
    tracking_uri: str,
    experiment: str,
    registered_model: str,
    tags: Mapping[str, str],
    dataset: DatasetReference,
    run_name: str | None = None,
) -> TrackedModel:
    """Log journal, model and data set of a candidate as one run, and register the model, exactly once.

    Args:
        candidate: folder of a finished fit.
        experiment, registered_model: names of the experiment and the registered model, which are created if missing.
        tags: tags of run and version, such as git commit, dirty flag and Dagster run.
        dataset: data set of the fit, which must match the record of the candidate.
        run_name: name of the run; by default preset, seed and digest.

    Raises:
        ContractViolation: the candidate is unfinished, was altered, or was trained on another data set.
        ParametersRejected: ARTIFACTS_ON_ONE_MACHINE: a tracking server would not store the files.
    """
    from mlflow import MlflowClient

    summary, contract = _checked(candidate, dataset)
    make_database(tracking_uri)
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    experiment_id = experiment_of(client, experiment, tracking_uri)
    known = _finished(client, experiment_id, registered_model, str(summary.model_digest))
    if known is not None:
        return known
    journal = read_journal(candidate)
    end_ms = _milliseconds(journal.facts.get("finished_s")) or int(1000 * time.time())
    run = client.create_run(
        experiment_id,
        start_time=end_ms - int(1000 * summary.seconds),
        run_name=run_name or f"{summary.config.preset} seed {summary.config.seed} {str(summary.model_digest)[:8]}",
        tags={**_tags(summary, dataset), **tags, KEY_TAG: str(summary.model_digest)},
    )
    run_id = str(run.info.run_id)
    try:
        _log_figures(client, run_id, journal, summary)
        _log_training_table(client, run_id, journal, end_ms / 1000 - summary.seconds)
        _log_dataset(client, run_id, dataset)
        version = _register(client, run, candidate, registered_model, (summary, contract), tags)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED", end_time=end_ms)
    # If an answer of the server is lost, MLflow's client repeats the request, which may make a second run or version.
    tracked = _finished(client, experiment_id, registered_model, str(summary.model_digest))
    return tracked or TrackedModel(run_id, version, f"models:/{registered_model}/{version}", experiment_id)


def log_evidence(
    run_id: str, tracking_uri: str, *, metrics: Mapping[str, float], artifacts: Path, tags: Mapping[str, str]
) -> None:
    """Add an evaluation to a run: finite metrics, the folder ``artifacts``, tags. A second call adds nothing new."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    run = client.get_run(run_id)
    figures = json.dumps(sorted((n, float(v)) for n, v in metrics.items()))
    digest = sha256_of_bytes((figures + sha256_of_tree(artifacts)).encode())
    before, logged = run.data.tags.get(_EVIDENCE_TAG), run.data.metrics
    changed = {n: float(v) for n, v in metrics.items() if logged.get(n) != float(v)}
    if before == digest and not changed:
        return
    client.log_artifacts(run_id, str(artifacts), "evaluation")
    # MLflow shows the latest value of a metric, so the time of a new value must be later than all other times.
    now = int(run.info.end_time or run.info.start_time) if before is None else int(time.time() * 1000)
    _log_metrics(client, run_id, [Metric(n, value, now, 0) for n, value in changed.items()])
    for name, value in {**tags, _EVIDENCE_TAG: digest}.items():
        client.set_tag(run_id, name, value)


def _checked(candidate: Path, dataset: DatasetReference) -> tuple[FitSummary, ModelContract]:
    summary, contract = read_summary(candidate), read_contract(candidate)
    found = {
        "model digest": (model_digest(candidate), summary.model_digest),
        "data set": (dataset.digest, summary.dataset_digest),
        "test set": (dataset.test_digest, summary.test_digest),
    }
    violations = [f"{name} {str(a)[:12]}, recorded {str(b)[:12]}" for name, (a, b) in found.items() if a != b]
    if violations:
        raise ContractViolation.gathered(
            "CANDIDATE_ALTERED",
            violations,
            expected="the model and the data set of the candidate's record",
            remedy="train again on the current data set",
        )
    return summary, contract


def _finished(client: "MlflowClient", experiment_id: str, model: str, digest: str) -> TrackedModel | None:
    """The complete run of this candidate, or None. All its other runs get the status FAILED and lose their versions."""
    whole: TrackedModel | None = None
    for run in client.search_runs([experiment_id], filter_string=f"tags.`{KEY_TAG}` = '{digest}'"):
        run_id = str(run.info.run_id)
        surplus = list(client.search_model_versions(f"run_id = '{run_id}'"))
        if whole is None and run.info.status == "FINISHED" and surplus:
            newest = str(surplus.pop(0).version)
            whole = TrackedModel(run_id, newest, f"models:/{model}/{newest}", experiment_id)
        elif run.info.status != "FAILED":
            client.set_tag(run_id, "plumbline.failure", "a later replay ended this run, which was incomplete")
            client.set_terminated(run_id, "FAILED")
        for version in surplus:
            client.delete_model_version(version.name, version.version)
    return whole


def _tags(summary: FitSummary, dataset: DatasetReference) -> dict[str, str]:
    return {
        "plumbline.dataset": dataset.digest,
        "plumbline.test_set": dataset.test_digest,
        "plumbline.dvc_version": dataset.dvc_version or "none",
        "plumbline.preset": summary.config.preset,
        "plumbline.seed": str(summary.config.seed),
        "plumbline.device": summary.device,
        "plumbline.energy": summary.energy,
        "plumbline.epochs": str(summary.epochs),
        "plumbline.images_per_second": f"{summary.images_per_second:.1f}",
        **{f"plumbline.version.{name}": version for name, version in summary.versions.items()},
    }


def _log_figures(client: "MlflowClient", run_id: str, journal: JournalContent, summary: FitSummary) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(name, value[:5000]) for name, value in journal.parameters.items()]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    error = f"landmark_error_{summary.error_unit}"
    shown = ("train/loss", f"validation/{error}")
    metrics = [
        Metric(name, m.values[name], int(1000 * m.time_s), m.step)
        for m in journal.measurements
        for name in shown
        if name in m.values
    ]
    end = _milliseconds(journal.facts.get("finished_s")) or 1
    last = {"cost/seconds": summary.seconds, f"validation/best_{error}": summary.validation_error}
    last |= {f"cost/{name.lower()}_joules": joules for name, joules in summary.joules.items()}
    metrics += [Metric(name, value, end, summary.steps) for name, value in last.items()]
    _log_metrics(client, run_id, metrics)
    with tempfile.TemporaryDirectory() as scratch:
        for path in draw_curves(journal.measurements, Path(scratch)):
            client.log_artifact(run_id, str(path), "curves")


def _log_training_table(client: "MlflowClient", run_id: str, journal: JournalContent, start_s: float) -> None:
    """Log every figure of the journal as the table ``training``, a row for each validation.

    The last column ``time_s`` has the seconds since the start of the fit. A fit that was continued after a pause began
    before ``start_s``, so its first validation can be the start.
    """
    names = sorted({name for m in journal.measurements for name in m.values})
    begun = min((start_s, *(m.time_s for m in journal.measurements)))
    rows = [[m.step, *(m.values.get(name) for name in names), round(m.time_s - begun, 1)] for m in journal.measurements]
    log_table(client, run_id, _TRAINING, ["step", *names, "time_s"], rows)


def log_table(
    client: "MlflowClient", run_id: str, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Log a table as ``tables/<name>.json``, which MLflow's Evaluation view compares between runs; replace an old one.

    MLflow's own ``log_table`` appends to a table, so a second call would double its rows. Figures have six significant
    digits, because MLflow shows every digit; the sealed records and the metrics have all.
    """
    path = _path_of_table(name)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / Path(path).name
        file.write_text(json.dumps({"columns": list(columns), "data": [[_to_show(v) for v in row] for row in rows]}))
        client.log_artifact(run_id, str(file), "tables")
    known = json.loads(client.get_run(run_id).data.tags.get(_TABLES_TAG, "[]"))
    entry = {"path": path, "type": "table"}
    if entry not in known:
        # MLflow's Evaluation view opens the first table, which shall be about the evaluation.
        entries = sorted([*known, entry], key=lambda e: bool(e["path"] == _path_of_table(_TRAINING)))
        client.set_tag(run_id, _TABLES_TAG, json.dumps(entries))


def _to_show(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _path_of_table(name: str) -> str:
    return f"tables/{name}.json"


def _milliseconds(seconds: Any) -> int:
    return int(1000 * float(seconds or 0.0))


def _log_metrics(client: "MlflowClient", run_id: str, metrics: Sequence["Metric"]) -> None:
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def _log_dataset(client: "MlflowClient", run_id: str, dataset: DatasetReference) -> None:
    """Log two inputs: the training data, and the frozen test set, which has its own digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # MLflow keeps 36 characters of a digest. The profile and the tags of the run contain the full digest.
    profile = {"digest": dataset.digest, "test_digest": dataset.test_digest, "dvc_version": dataset.dvc_version}
    known = (("training", dataset.name, dataset.digest), ("testing", f"{dataset.name}-test", dataset.test_digest))
    source, inputs = json.dumps({"uri": dataset.folder.resolve().as_uri()}), []
    for context, name, digest in known:
        entity = Dataset(name, digest[:36], source_type="local", source=source, profile=json.dumps(profile))
        tags = [InputTag("mlflow.data.context", context), InputTag("dvc_version", dataset.dvc_version or "none")]
        inputs.append(DatasetInput(entity, tags))
    client.log_inputs(run_id, inputs)


def _register(
    client: "MlflowClient",
    run: "Run",
    candidate: Path,
    registered_model: str,
    records: tuple[FitSummary, ModelContract],
    tags: Mapping[str, str],
) -> str:
    """Log the model with signature, example and card, and register the model as a version of ``registered_model``."""
    from mlflow.entities import LoggedModelOutput

    (summary, contract), run_id = records, str(run.info.run_id)
    card = card_markdown(candidate_card(summary, contract))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        _write_model_folder(candidate, folder, records, card)
        logged = client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run_id)
        try:
            client.log_model_artifacts(logged.model_id, str(folder))
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, summary.steps)])
    if not client.search_registered_models(f"name = '{registered_model}'"):
        description = "Candidates as trained. No model here is in service."
        client.create_registered_model(registered_model, description=description)
    version = client.create_model_version(
        registered_model,
        logged.artifact_location,
        run_id=run_id,
        # MLflow's own tags describe the run, not the model version.
        tags={**{n: v for n, v in tags.items() if not n.startswith("mlflow.")}, KEY_TAG: str(summary.model_digest)},
        description=card,
        model_id=logged.model_id,
    )
    return str(version.version)


def _write_model_folder(candidate: Path, folder: Path, records: tuple[FitSummary, ModelContract], card: str) -> None:
    """Write a model folder of MLflow (``spine.mlmodel``) with the bytes of the candidate.

    The input example is the bundled virtual study, because no patient's image may be logged.
    """
    folder.mkdir()
    summary, contract = records
    example = {view: (STUDY / f"{view}.png").read_bytes() for view in contract.views}
    for name, text in mlflow_files(str(summary.model_digest), example).items():
        (folder / name).write_text(text)
    for name in (GRAPH_FILE, CONTRACT_FILE, JOURNAL_FILE):
        shutil.copyfile(candidate / name, folder / name)
    (folder / "README.md").write_text(card)
