"""The comparisons of new studies with the training population, as one MLflow run whose metrics have one step each.

Contract: the charts of the run show the distance of each feature over time. A registry that is down is no failure of
the comparison, which is on disk.
"""

import logging
import re
import time
from typing import TYPE_CHECKING

from orchestration.pipeline.drift import latest_drift
from orchestration.pipeline.workspace import Workspace
from validation.registry.client import open_registry
from validation.registry.errors import errors_as_refusals
from validation.registry.experiments import experiment_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "plumbline-drift"
_RUN_NAME = "new studies and training population"
_log = logging.getLogger(__name__)


def log_drift(workspace: Workspace) -> bool:
    """Add the last comparison to the run; return whether this was possible."""
    report = latest_drift(workspace)
    if report is None or report.outcome == "too few studies":
        return False
    values = {"features drifted": float(len(report.drifted)), "new studies": float(report.new_studies)}
    values |= {f"distance/{metric_name(feature.name)}": feature.distance for feature in report.features}
    try:
        with errors_as_refusals():
            _log_metrics(open_registry(workspace.tracking_uri), workspace.tracking_uri, values)
    except Exception as error:  # whatever MLflow raises, the comparison itself is complete
        _log.warning("the drift is not in MLflow (%s); it is in state/drift", type(error).__name__)
        return False
    return True


def metric_name(feature: str) -> str:
    """The feature's name without the signs that MLflow refuses in a metric."""
    return " ".join(re.sub(r"[^A-Za-z0-9_. /:-]", " ", feature).split())


def _log_metrics(client: "MlflowClient", tracking_uri: str, values: dict[str, float]) -> None:
    from mlflow.entities import Metric

    experiment = experiment_of(client, EXPERIMENT, tracking_uri)
    runs = client.search_runs([experiment], max_results=1)
    run = runs[0] if runs else client.create_run(experiment, run_name=_RUN_NAME)
    step = int(run.data.metrics.get("comparisons", 0)) + 1
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value in (values | {"comparisons": float(step)}).items()]
    client.log_batch(run.info.run_id, metrics=metrics)
    client.set_terminated(run.info.run_id)
