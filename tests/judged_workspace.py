"""A workspace in which a challenger was judged against a champion, both in MLflow; built in seconds, without training.

Contract: images, points and errors are drawn from a fixed seed. The challenger is about as good as the champion. It
does not answer study ``UNANSWERED``, and differs most from the champion in study ``MOST_CHANGED``.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import log_data
from spine.dataset import Example, ExampleView, Manifest, Truth
from spine.dataset_writing import write_manifest
from spine.landmarks import GALBUSERA39, VIEWS
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from tests.validation.gates.records import FACTS
from validation.evaluation.predicted_points import FILE, write_predicted_points
from validation.evaluation.record import evaluate, read_record, write_record
from validation.gates.evidence import Evidence
from validation.gates.verdict import judge, write_verdict
from validation.registry.local_artifacts import experiment_location

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CHALLENGER, CHAMPION = "a" * 64, "b" * 64
UNANSWERED, MOST_CHANGED = "study007", "study013"
CONDITIONS = ("healthy_adult", "adolescent_scoliosis", "adult_deformity")
SHAPE = (512, 256)


@dataclass(frozen=True)
class Judged:
    """The workspace, and the ids of the two runs in MLflow."""

    workspace: Workspace
    params: Params
    challenger_run: str
    champion_run: str


def judged_workspace(
    root: Path, *, n: int = 50, with_champion: bool = True, mlflow_database: Path | None = None
) -> Judged:
    """Build it, with MLflow on a copy of ``mlflow_database``. MLflow does not describe the written verdict yet."""
    workspace, params = Workspace(root), Params()
    workspace.prepare()
    if mlflow_database is not None:
        shutil.copy(mlflow_database, workspace.state / "mlflow" / "mlflow.db")
    write_params(params, workspace.params_file)
    manifest = write_dataset(workspace.dataset, n)
    write_scored_record(manifest, "challenger", CHALLENGER, workspace.evaluation, seed=1)
    if with_champion:
        write_scored_record(manifest, "champion", CHAMPION, workspace.champion_evaluation, seed=2)
    _judge(workspace, params, with_champion=with_champion)
    runs = [track_run(workspace, manifest, digest, seed) for digest, seed in ((CHAMPION, "1"), (CHALLENGER, "2"))]
    return Judged(workspace, params, runs[1], runs[0])


def write_dataset(folder: Path, n: int) -> Manifest:
    """Write a data set of ``n`` test patients and 12 to train on."""
    (folder / "images").mkdir(parents=True)
    examples = [_example(folder, i, "test" if i < n else "train") for i in range(n + 12)]
    return write_manifest(folder, "galbusera39", 0, examples)


def _example(folder: Path, i: int, split: Any) -> Example:
    rng = np.random.default_rng(i)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    views = {}
    for view in VIEWS:
        middle = SHAPE[1] / 2 + 18 * np.sin(rows / 70 + i)
        image = 9000 * np.exp(-(((columns - middle) / 22) ** 2)) + 500 + rng.normal(0, 150, SHAPE)
        name = f"images/{i:03d}{view}.npy"
        np.save(folder / name, image.clip(0, 65535).astype(np.uint16))
        points = {
            landmark: np.array([SHAPE[1] / 2 + 18 * np.sin(y / 70 + i), y])
            for landmark, y in zip(GALBUSERA39, np.linspace(40, 470, len(GALBUSERA39)), strict=True)
        }
        views[view] = ExampleView(
            view, name, f"{i:03d}{view}".ljust(64, "0"), SHAPE, (0.9, 0.9), "GEOMETRY", None, points
        )
    truth = {name: Truth(float(rng.normal(35, 12)), p.unit) for name, p in PARAMETERS.items()}
    facts = {"simulated": True, "condition": CONDITIONS[i % 3], "sex": "FM"[i % 2], "age_years": 10 + i}
    return Example(f"study{i:03d}", f"p{i:03d}", split, "virtual", views, {}, truth, facts)


def write_scored_record(manifest: Manifest, role: Any, digest: str, out: Path, *, seed: int) -> None:
    """Write the evaluation record and the found points of a model with this digest, as good as its seed makes it."""
    examples = manifest.in_split("test")
    rng = np.random.default_rng(seed)
    predictions = [_prediction(e, rng, role) for e in examples]
    record = evaluate(
        predictions,
        examples,
        model_digest=digest,
        model_role=role,
        landmark_set=manifest.landmark_set,
        test_digest=manifest.test_digest,
        dataset_digest=manifest.digest,
        dvc_version="v1",
        code_commit="c" * 40,
        code_dirty=False,
        evaluated_at=AT,
        model_facts=FACTS,
        resamples=200,
    )
    write_record(record, out / "record.json")
    write_predicted_points(predictions, record, out / FILE)


def _prediction(example: Example, rng: np.random.Generator, role: str) -> Prediction:
    errors = rng.normal(0, 1.2, len(PARAMETERS))
    if role == "challenger" and example.study_id == UNANSWERED:
        reason = "landmarks were not seen"
        absent = {n: Measured(None, p.unit, reason, absent_code="LANDMARKS_NOT_SEEN") for n, p in PARAMETERS.items()}
        return Prediction(example.study_id, {}, parameters=absent)
    if role == "challenger" and example.study_id == MOST_CHANGED:
        errors = errors + 12.0
    found = {v: {n: xy + rng.normal(0, 1.5, 2) for n, xy in view.points.items()} for v, view in example.views.items()}
    truths: Mapping[str, Truth] = example.truth
    measured = {}
    for (name, parameter), error in zip(PARAMETERS.items(), errors, strict=True):
        value = float(truths[name].value or 0.0) + float(error)
        measured[name] = Measured(value, parameter.unit, sigma=1.2, interval=(value - 2.0, value + 2.0))
    return Prediction(example.study_id, found, parameters=measured, seconds=0.1)


def _judge(workspace: Workspace, params: Params, *, with_champion: bool) -> None:
    challenger = read_record(workspace.evaluation / "record.json")
    champion = read_record(workspace.champion_evaluation / "record.json") if with_champion else None
    verdict = judge(workspace_policy(params, workspace), Evidence(challenger, champion), judged_at=AT)
    for path in (workspace.verdict_file, workspace.verdict_file.with_name(f"{verdict.digest}.json")):
        write_verdict(verdict, path)


def track_run(workspace: Workspace, manifest: Manifest, digest: str, seed: str) -> str:
    """A run and a registered candidate, as a reviewer sees those that ``training.tracking`` writes."""
    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    known = client.get_experiment_by_name("plumbline")
    place = experiment_location(workspace.tracking_uri, "plumbline")
    experiment = known.experiment_id if known else client.create_experiment("plumbline", artifact_location=place)
    tags = {
        "plumbline.model_digest": digest,
        "plumbline.preset": "shared",
        "plumbline.seed": seed,
        "plumbline.device": "x86_64 CPU",
        "plumbline.dataset": manifest.digest,
        "plumbline.version.torch": f"2.13.{seed}",
        "git.commit": seed * 40,
        "git.dirty": "false",
        "dagster.run_id": f"0000000{seed}-dagster",
    }
    run = client.create_run(experiment, run_name=f"shared seed {seed} {digest[:8]}", tags=tags)
    client.log_batch(
        run.info.run_id,
        params=[Param("seed", seed), Param("preset", "shared"), Param("devices", "1")],
        metrics=[Metric("cost/seconds", 120.0, 1, 0), Metric("test/cobb/mae", 1.0 + int(seed), 1, 0)],
    )
    drawn = Dataset("drawn", manifest.digest[:36], "local", '{"uri": "drawn"}')
    client.log_inputs(run.info.run_id, [DatasetInput(drawn, [InputTag("mlflow.data.context", "training")])])
    log_data(client, run.info.run_id, manifest)
    client.set_terminated(run.info.run_id, "FINISHED")
    if not client.search_registered_models(f"name = '{CANDIDATES_MODEL}'"):
        client.create_registered_model(CANDIDATES_MODEL)
    source = f"{run.info.artifact_uri}/model"
    client.create_model_version(
        CANDIDATES_MODEL, source, run_id=run.info.run_id, tags={"plumbline.model_digest": digest}
    )
    return str(run.info.run_id)
