"""The figures of an evaluation record as MLflow metrics, and a check that nobody edited them.

Contract: no gate reads a metric. An edited metric would mislead people who compare runs, so a candidate with an edited
metric is not promoted.
"""

import math
from collections.abc import Mapping

from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from spine.measurement.registry import COMPARED_PARAMETERS
from validation.evaluation.agreement import Agreement
from validation.evaluation.record import read_record
from validation.registry.client import open_registry

_RELATIVE_TOLERANCE = 1e-9


Row = list[str | float | None]


def metrics_of_test(statistics: Mapping[str, Agreement]) -> dict[str, float]:
    """MLflow metrics of an evaluation: two errors of each of the paper's parameters, and the share answered."""
    metrics: dict[str, float] = {}
    shares = []
    for name in COMPARED_PARAMETERS:
        figures, unit = statistics[name].figures, statistics[name].unit
        shown = {"mae": f"test/{name}/mae", "standard_error_of_estimate": f"test/{name}/standard_error_{unit}"}
        for figure, metric in shown.items():
            if (value := figures[figure].value) is not None:
                metrics[metric] = value
        if (share := figures["coverage"].value) is not None:
            shares.append(share)
    return metrics | ({"test/answered": sum(shares) / len(shares)} if shares else {})


def statistics_table(statistics: Mapping[str, Agreement]) -> tuple[list[str], list[Row]]:
    """Columns and rows of a table with every figure of every parameter; the paper's parameters are first.

    MLflow's Evaluation view opens with the first column as the key of the rows, and compares the second one.
    """
    names = sorted({figure for agreement in statistics.values() for figure in agreement.figures} - {"mae"})
    others = [name for name in statistics if name not in COMPARED_PARAMETERS]
    rows: list[Row] = [
        [
            name,
            *(_value(statistics[name], f) for f in ("mae", *names)),
            float(statistics[name].n),
            statistics[name].unit,
        ]
        for name in (*COMPARED_PARAMETERS, *others)
        if name in statistics
    ]
    return ["parameter", "mae", *names, "n", "unit"], rows


def _value(agreement: Agreement, figure: str) -> float | None:
    return agreement.figures[figure].value if figure in agreement.figures else None


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
