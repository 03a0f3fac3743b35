"""The figures of an evaluation record as MLflow metrics, and a check that nobody edited them.

Contract: no gate reads a metric. An edited metric would mislead people who compare runs, so a candidate with an edited
metric is not promoted.
"""

import math
from collections.abc import Mapping

from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from validation.evaluation.agreement import Agreement
from validation.evaluation.record import read_record
from validation.promotion.champion import open_registry

_RELATIVE_TOLERANCE = 1e-9


def metrics_of_test(statistics: Mapping[str, Agreement]) -> dict[str, float]:
    """MLflow metrics ``test/<parameter>/<figure>`` of an evaluation."""
    shown = {
        "standard_error_of_estimate": "standard_error",
        "mae": "mae",
        "median_ae": "median",
        "bias": "bias",
        "p95_ae": "p95",
        "icc_a1": "icc",
        "pearson_r": "r",
        "coverage": "coverage",
        "interval_coverage": "interval_coverage",
        "interval_width": "interval_width",
    }
    metrics: dict[str, float] = {}
    for name, agreement in statistics.items():
        metrics[f"test/{name}/n"] = float(agreement.n)
        for figure, label in shown.items():
            value = agreement.figures[figure].value if figure in agreement.figures else None
            if value is not None:
                unit = f"_{agreement.unit}" if label == "standard_error" else ""
                metrics[f"test/{name}/{label}{unit}"] = value
    return metrics


def require_unaltered_metrics(workspace: Workspace, candidate_uri: str) -> None:
    """Refuse a candidate (``models:/<name>/<version>``) if a metric of its run differs from its sealed record.

    A missing metric is accepted.

    Raises:
        GateRefused: METRIC_ALTERED.
        EvidenceRejected: the record is missing or altered.
    """
    sealed = metrics_of_test(read_record(workspace.evaluation / "record.json").statistics)
    client = open_registry(workspace.tracking_uri)
    run_id = client.get_model_version(*candidate_uri.removeprefix("models:/").split("/")).run_id
    shown = client.get_run(run_id).data.metrics if run_id else {}
    other = [n for n in sealed if n in shown and not math.isclose(shown[n], sealed[n], rel_tol=_RELATIVE_TOLERANCE)]
    if other:
        name = other[0]
        raise GateRefused(
            "METRIC_ALTERED",
            found=f"{len(other)} edited metric(s) in MLflow run {run_id}; the first is {name} = {shown[name]:.6g}",
            expected=f"{sealed[name]:.6g}, as in the sealed record",
            remedy="find out who edited the metrics, write the sealed values to MLflow again with `plumbline run`, and "
            "then promote",
        )
