"""What a killed promotion leaves in the registry: a run that never ended, a version that never served.

Contract: the caller holds the history's lock, so a promotion that wrote into this history and is not the caller's own
is dead; those of other histories may be under way and are left alone. A version that served, is denied, or that an
alias names is never deleted.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from validation.promotion.champion import TAG, versions_of
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import SERVING_EVENTS, read_history
from validation.promotion.history_length import place_of
from validation.promotion.served_copy import HISTORY_TAG, PREPARED, promotions_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient


def clean_up(client: "MlflowClient", seat: ChampionRecord, ledger: Path) -> tuple[str, ...]:
    """Mark the dead promotions' runs as KILLED and delete their unused versions; what was cleared, in words."""
    place, told = place_of(ledger), []
    for run in _dead_runs(client, seat.production_model, place):
        client.set_terminated(run.info.run_id, "KILLED")
        told.append(f"run {run.info.run_id} ({run.info.run_name}), marked KILLED")
    for version in _unused_versions(client, seat, ledger, place):
        client.delete_model_version(seat.production_model, str(version.version))
        told.append(f"version {version.version} of {seat.production_model}, prepared and never served, deleted")
    return tuple(told)


def _dead_runs(client: "MlflowClient", production_model: str, place: str) -> list[Any]:
    experiment = client.get_experiment_by_name(promotions_experiment(production_model))
    if experiment is None:
        return []
    running = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    return [run for run in running if run.data.tags.get(HISTORY_TAG) == place]


def _unused_versions(client: "MlflowClient", seat: ChampionRecord, ledger: Path, place: str) -> list[Any]:
    known = versions_of(client, seat.production_model)
    if not known:
        return []
    kept = seat.sat() | {e.version for e in read_history(ledger) if e.event in SERVING_EVENTS}
    # Of the versions themselves MLflow's search does not tell the aliases.
    kept |= {str(number) for number in client.get_registered_model(seat.production_model).aliases.values()}
    return [
        v
        for v in known
        if v.tags.get(TAG + "state") == PREPARED and v.tags.get(HISTORY_TAG) == place and str(v.version) not in kept
    ]
