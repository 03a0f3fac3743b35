"""The figures of a record as MLflow shows them, and whether it still shows them so.

Contract: nothing is decided by a metric; but one that somebody edited misleads whoever compares runs, so a candidate
with such a metric is not promoted.
"""

import math
from collections.abc import Mapping

from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from validation.evaluation.agreement import Agreement
from validation.evaluation.record import read_record
from validation.promotion.champion import open_registry

_SHOWN_DIGITS = 1e-9


def metrics_of_test(statistics: Mapping[str, Agreement]) -> dict[str, float]:
    """Readable MLflow metric names: ``test/<parameter>/<figure>``."""
    shown = {
        "standard_error_of_estimate": "standard_error",
        "mae": "mae",
        "median_ae": "median",
        "bias": "bias",
        "p95_ae": "p95",
        "icc_a1": "icc",
        "pearson_r": "r",
        "coverage": "answered",
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
    """Refuse a candidate whose run shows another figure than its sealed record; one that is not shown is no fault.

    Args:
        candidate_uri: ``models:/<name>/<version>``.

    Raises:
        GateRefused: METRIC_ALTERED. EvidenceRejected: what reading the record raises.
    """

    sealed = metrics_of_test(read_record(workspace.evaluation / "record.json").statistics)
    client = open_registry(workspace.tracking_uri)
    run_id = client.get_model_version(*candidate_uri.removeprefix("models:/").split("/")).run_id
    shown = client.get_run(run_id).data.metrics if run_id else {}
    other = [n for n in sealed if n in shown and not math.isclose(shown[n], sealed[n], rel_tol=_SHOWN_DIGITS)]
    if other:
        name = other[0]
        raise GateRefused(
            "METRIC_ALTERED",
            found=f"{len(other)} metric(s) of run {run_id} that were edited, first {name}: {shown[name]:.6g}",
            expected=f"{sealed[name]:.6g}, as in the sealed record",
            remedy="find out who wrote it; `plumbline run` writes the sealed figures again, then judge and promote",
        )
