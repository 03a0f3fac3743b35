"""Fits that failed or were abandoned: runs in MLflow without a registered model, and unfinished fits of seeds.

Contract: a run that has a registered model is never listed, whatever its status is. The runs of promotions are not
listed either.
"""

import shutil
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestration.pipeline.leftover import Leftover, bytes_below
from orchestration.pipeline.names import EXPERIMENT
from orchestration.pipeline.workspace import Workspace
from training.export.candidate import CANDIDATE_FILE
from validation.registry.client import open_registry
from validation.registry.database import database_exists
from validation.registry.errors import errors_as_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUNS, SEEDS = "failed runs in MLflow", "unfinished fits of seeds"


def failed_fits(workspace: Workspace, before: datetime) -> list[Leftover]:
    """The failed and abandoned fits that ended before ``before``.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
    """
    found = list(_unfinished_seeds(workspace, before))
    if database_exists(workspace.tracking_uri):
        with errors_as_refusals():
            found += _failed_runs(open_registry(workspace.tracking_uri), before)
    return found


def _unfinished_seeds(workspace: Workspace, before: datetime) -> Iterator[Leftover]:
    for folder in sorted((workspace.state / "seeds").glob("*")):
        files = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
        if files and max(files) < before.timestamp() and not (folder / "candidate" / CANDIDATE_FILE).exists():
            yield Leftover(SEEDS, folder.name, bytes_below(folder), partial(shutil.rmtree, folder))


def _failed_runs(client: "MlflowClient", before: datetime) -> Iterator[Leftover]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return
    for status in ("FAILED", "KILLED"):
        for run in client.search_runs([experiment.experiment_id], filter_string=f"attributes.status = '{status}'"):
            ended = (run.info.end_time or run.info.start_time) / 1000
            run_id = str(run.info.run_id)
            if ended < before.timestamp() and not client.search_model_versions(f"run_id = '{run_id}'"):
                yield Leftover(RUNS, run_id, _size(client, run_id), partial(_remove_run, client, run))


def _size(client: "MlflowClient", run_id: str, path: str | None = None) -> int:
    listed = client.list_artifacts(run_id, path)
    return sum(_size(client, run_id, item.path) if item.is_dir else int(item.file_size or 0) for item in listed)


def _remove_run(client: "MlflowClient", run: Any) -> None:
    """Delete the run, the models that it logged, and the files of both."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    wanted = f"source_run_id = '{run.info.run_id}'"
    models = client.search_logged_models([run.info.experiment_id], filter_string=wanted)
    addresses = [run.info.artifact_uri, *(model.artifact_location for model in models)]
    for model in models:
        client.delete_logged_model(model.model_id)
    client.delete_run(run.info.run_id)
    for address in addresses:
        files: Any = get_artifact_repository(address, tracking_uri=client.tracking_uri)
        files.delete_artifacts()
