"""Materialises an asset that fits on the cluster, and prints what the run says, for ``test_fit_on_nodes``.

In a process of its own, because dagster-ray leaves an event loop open, which the tests would report.

    python -m tests.orchestration.cluster.fit_as_asset DATASET OUT GROUP
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg

from orchestration.dagster.pipes import workers_under_pipes
from orchestration.pipeline.multi_gpu import fit_in_process_group, leaves_this_process
from training.config import TrainingConfig

CONFIG = TrainingConfig(
    epochs=12, input_shape=(128, 64), batch_size=4, width=0.25, precision="32", device="cpu", seed=5, devices=2
)


def main(dataset: str, out: str, group: str) -> None:
    reported: list[tuple[int, int]] = []
    stages: list[tuple[int, int]] = []

    @dg.asset
    def fitted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with workers_under_pipes(context):
            assert leaves_this_process(replace(CONFIG, devices=1))
            fit = fit_in_process_group(
                Path(dataset), Path(out), CONFIG, Path(group), lambda *done: reported.append(done)
            )
        stages.extend((stage.devices, stage.epochs) for stage in fit.stages)
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([fitted], instance=instance)
        messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    found = {"success": result.success, "stages": stages, "last": reported[-1], "messages": messages}
    Path(group, "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
