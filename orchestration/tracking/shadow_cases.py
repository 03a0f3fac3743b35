"""The cases of the shadow runs: their record for one challenger, and what MLflow shows about it.

Contract: the record follows from the workspace's file of cases. A line that is not complete, because the service was
killed while it wrote, is left out.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import candidate_of
from serving.service.shadow import ShadowCase, read_cases
from spine.measurement.registry import PARAMETERS
from validation.gates.shadow_record import ShadowParameter, ShadowRecord
from validation.registry.client import open_registry
from validation.registry.errors import errors_as_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient


def shadow_records(workspace: Workspace) -> list[ShadowRecord]:
    """One record for each pair of models, in the order of their first case."""
    cases = read_cases(workspace.shadow_cases)
    pairs = dict.fromkeys((case.champion, case.challenger) for case in cases)
    return [_record([case for case in cases if (case.champion, case.challenger) == pair]) for pair in pairs]


def shadow_record(workspace: Workspace, champion: str, challenger: str) -> ShadowRecord | None:
    """The record of these two models, by their digests; None without a case."""
    found = [r for r in shadow_records(workspace) if (r.champion, r.challenger) == (champion, challenger)]
    return found[0] if found else None


def _record(cases: Sequence[ShadowCase]) -> ShadowRecord:
    named = [name for name in PARAMETERS if any(name in case.difference or name in case.absent for case in cases)]
    first = cases[0]
    refused = sum(bool(case.refused) for case in cases)
    found = {name: _parameter(name, cases) for name in named}
    return ShadowRecord(first.champion, first.challenger, len(cases), refused, found)


def _parameter(name: str, cases: Sequence[ShadowCase]) -> ShadowParameter:
    sizes = [abs(case.difference[name]) for case in cases if name in case.difference]
    absent = [case.absent.get(name) for case in cases]
    return ShadowParameter(
        count=len(sizes),
        median=float(median(sizes)) if sizes else None,
        largest=max(sizes, default=None),
        only_champion=absent.count("challenger"),
        only_challenger=absent.count("champion"),
    )


def log_shadow_record(workspace: Workspace, record: ShadowRecord) -> str | None:
    """Write the record to the challenger's run in MLflow; its id, or None if the challenger is not registered.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        client = open_registry(workspace.tracking_uri)
        version = candidate_of(client, record.challenger)
        if version is None or not version.run_id:
            return None
        _log(client, str(version.run_id), shadow_metrics(record))
        return str(version.run_id)


def shadow_metrics(record: ShadowRecord) -> dict[str, float]:
    """Metric -> value: cases, refusals and, for each parameter, count, median, largest and absences."""
    metrics: dict[str, float] = {"shadow/cases": record.cases, "shadow/refused": record.refused}
    for name, found in record.parameters.items():
        metrics[f"shadow/{name}/count"] = found.count
        metrics[f"shadow/{name}/absent_in_one"] = found.only_champion + found.only_challenger
        if found.median is not None and found.largest is not None:
            metrics |= {f"shadow/{name}/median_abs": found.median, f"shadow/{name}/largest_abs": found.largest}
    return {name: float(value) for name, value in metrics.items()}


def _log(client: "MlflowClient", run_id: str, metrics: dict[str, float]) -> None:
    """Add the metrics that changed; the number of cases is the step, so MLflow draws how they develop."""
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    at, step = int(time.time() * 1000), int(metrics["shadow/cases"])
    new = [Metric(name, value, at, step) for name, value in metrics.items() if known.get(name) != value]
    if new:
        client.log_batch(run_id, metrics=new)
