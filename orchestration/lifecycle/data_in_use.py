"""The versions of the data that a model or an evaluation record of a workspace names.

Contract: the challenger, the champion, the previous champion and the last approved model count, and every evaluation
record on disk. Beside the current version, only these versions must stay in DVC's cache. A registry that has lost the
champion of the history is refused, because it does not say what the champion needs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.pipeline.cache import current_versions
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.report import RECORD
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import read_run_facts
from validation.evaluation.record import read_record
from validation.promotion.approved_baseline import last_approved
from validation.promotion.champion import TAG, open_registry, require_none_lost, version_numbered
from validation.promotion.champion_record import ServingVersion, open_champion_record
from validation.promotion.database import database_exists
from validation.promotion.history import read_history
from validation.promotion.registry_errors import errors_as_refusals
from validation.review.changes import RunFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient


def data_versions_in_use(workspace: Workspace) -> frozenset[str]:
    """The current versions, and those that the models and records name."""
    named = [facts.dvc_version for facts in runs_in_use(workspace)]
    named += [read_record(path).dvc_version for path in _records(workspace)]
    return current_versions(workspace) | {version for version in named if version}


def runs_in_use(workspace: Workspace) -> list[RunFacts]:
    """The training runs of the champion, the previous champion and the last approved model.

    Raises:
        GateRefused: CHAMPION_LOST: the history lists a champion, but the registry has none; REGISTRY_UNAVAILABLE ...
        ParametersRejected: NO_CHAMPIONS_DB.
    """
    serving = _serving(workspace)
    if serving is None:
        return []
    with errors_as_refusals():
        client = open_registry(workspace.tracking_uri)
        return [read_run_facts(client, digest) for digest in sorted(_models(workspace, client, serving))]


def _serving(workspace: Workspace) -> ServingVersion | None:
    exists = database_exists(workspace.tracking_uri)
    serving = open_champion_record(workspace.tracking_uri, PRODUCTION_MODEL).serving() if exists else None
    if serving is None:
        require_none_lost(workspace.promotion_ledger, PRODUCTION_MODEL)
    return serving


def _models(workspace: Workspace, client: "MlflowClient", serving: ServingVersion) -> set[str]:
    """The digests of these models."""
    denied = open_champion_record(workspace.tracking_uri, PRODUCTION_MODEL).denials()
    approved = last_approved(read_history(workspace.promotion_ledger), PRODUCTION_MODEL, denied)
    previous = version_numbered(client, PRODUCTION_MODEL, serving.previous) if serving.previous else None
    digests = {serving.digest, approved.model_digest if approved is not None else ""}
    return {d for d in digests | {previous.tags.get(TAG + "model_digest", "") if previous is not None else ""} if d}


def _records(workspace: Workspace) -> Iterator[Path]:
    folders = (workspace.evaluation, workspace.champion_evaluation, workspace.baseline_evaluation)
    yield from (folder / RECORD for folder in folders if (folder / RECORD).exists())
    yield from (workspace.state / "seeds").glob(f"*/evaluation/{RECORD}")
