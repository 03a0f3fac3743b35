"""The cleanup after a killed promotion: it ends runs that never ended, and deletes versions that were never in service.

Contract: the caller has locked the history, so every other promotion that wrote this history has ended. Promotions with
other histories may be in progress, and the cleanup does not change their runs and versions. It never deletes a version
that was in service, is denied, or has an alias.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from validation.promotion.champion import TAG, versions_of
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import SERVING_EVENTS, read_history
from validation.promotion.history_length import place_of
from validation.promotion.served_copy import HISTORY_TAG, NOT_PROMOTED, PREPARED, promotions_experiment, tag_run

if TYPE_CHECKING:
    from mlflow import MlflowClient


def clean_up(client: "MlflowClient", record: ChampionRecord, ledger: Path) -> tuple[str, ...]:
    """Mark the runs of killed promotions as KILLED, and delete their unused versions. Return one line per object."""
    model, place, cleaned = record.production_model, place_of(ledger), []
    for run in _dead_runs(client, model, place):
        client.set_terminated(run.info.run_id, "KILLED")
        tag_run(client, run.info.run_id, NOT_PROMOTED)
        cleaned.append(f"run {run.info.run_id} ({run.info.run_name}) was marked KILLED")
    for version in _unused_versions(client, record, ledger, place):
        client.delete_model_version(model, str(version.version))
        tag_run(client, version.run_id, NOT_PROMOTED)
        cleaned.append(f"version {version.version} of {model}, which was never in service, was deleted")
    return tuple(cleaned)


def _dead_runs(client: "MlflowClient", production_model: str, place: str) -> list[Any]:
    experiment = client.get_experiment_by_name(promotions_experiment(production_model))
    if experiment is None:
        return []
    running = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    return [run for run in running if run.data.tags.get(HISTORY_TAG) == place]


def _unused_versions(client: "MlflowClient", record: ChampionRecord, ledger: Path, place: str) -> list[Any]:
    known = versions_of(client, record.production_model)
    if not known:
        return []
    kept = record.versions_that_served() | {e.version for e in read_history(ledger) if e.event in SERVING_EVENTS}
    # MLflow's search does not return the aliases of a version.
    kept |= {str(number) for number in client.get_registered_model(record.production_model).aliases.values()}
    return [
        v
        for v in known
        if v.tags.get(TAG + "state") == PREPARED and v.tags.get(HISTORY_TAG) == place and str(v.version) not in kept
    ]
