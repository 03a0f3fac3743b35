"""Assets of the gate: the champion's evaluation, the verdict, and the champion itself.

Contract: ``champion`` does not rely on the assets before it. A blocking check stops its own run, but not a run that
launches ``champion`` alone. The function that ``champion`` calls therefore verifies policy, evidence and verdict again.
A run that judges the candidate succeeds whatever the verdict is: if the model may not be promoted, ``champion`` is not
materialised, and an observation says why. A run of ``champion`` alone asks for a promotion, so there a refusal is a
failure. A person approves on the command line only: Dagster does not know who launched a run.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
from pydantic import Field

from orchestration.alerts import alert
from orchestration.dagster.assets.data import Watcher
from orchestration.dagster.assets.launchpad import apply_launchpad, configured_asset
from orchestration.dagster.assets.materialising import NO_CONFIG, Materialised, materialised, refusals_as_failures
from orchestration.dagster.assets.model import evaluation, registered_candidate
from orchestration.dagster.resources import ModelTracking, WritableWorkspace
from orchestration.lifecycle.judging import judge_candidate, rescore_champion
from orchestration.lifecycle.promotion import is_ordinary_refusal, promote_champion
from orchestration.pipeline.workspace import Workspace
from validation.gates.verdict import read_verdict

_configured = partial(configured_asset, group_name="gate", owners=["team:gate"], code_version="1")
_plain = partial(dg.asset, group_name="gate", owners=["team:gate"], code_version="1")
_asset = partial(_plain, config_schema=NO_CONFIG)


# After the candidate's evaluation, so that a run whose fit fails does not score the champion for nothing.
@_asset(kinds={"onnx", "python"}, deps=["dataset", "validation", evaluation])
def champion_evaluation(workspace: WritableWorkspace, tracking: ModelTracking, watcher: Watcher) -> Materialised:
    """The champion's errors on the same frozen test set, computed by the same code as the candidate's errors."""
    tracked = tracking.applied_to(workspace.folders)
    return materialised("champion_evaluation", watcher, lambda p: rescore_champion(tracked, workspace.params, p))


@_configured("gate", kinds={"python", "yaml"}, deps=[evaluation, champion_evaluation, registered_candidate])
def verdict(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    tracking: ModelTracking,
    watcher: Watcher,
) -> Materialised:
    """PROMOTE, HOLD, REJECT or INSUFFICIENT: the policy applied to the evidence, with a reason for each rule."""
    with refusals_as_failures():
        apply_launchpad(context, workspace.folders, "gate")
    tracked = tracking.applied_to(workspace.folders)
    return materialised("verdict", watcher, lambda _: judge_candidate(tracked, workspace.params))


class ApprovalConfig(dg.Config):
    """The approval that the job ``promotion`` uses. No run config grants one: anyone could type any person's name."""

    approval: str = Field("", description="digest of an approval by `plumbline approve`  [latest usable one]")


@_plain(kinds={"mlflow"}, deps=["verdict", registered_candidate], output_required=False)
def champion(
    context: dg.AssetExecutionContext,
    config: ApprovalConfig,
    workspace: WritableWorkspace,
    tracking: ModelTracking,
    watcher: Watcher,
) -> Iterator[Materialised | dg.AssetObservation]:
    """The model in service. Every promotion verifies policy, evidence and verdict, however it was launched."""
    tracked, params = tracking.applied_to(workspace.folders), workspace.params
    promoter = f"dagster run {context.run.run_id}"
    work = lambda _: promote_champion(tracked, params, promoter, config.approval)  # noqa: E731
    try:
        yield materialised("champion", watcher, work)
    except dg.Failure as failure:
        if not (_judged_here(context) and is_ordinary_refusal(failure.__cause__)):
            raise
        context.log.warning(f"champion is skipped: {failure.description}")
        alert(tracked, "gate_refused", refusal_text(tracked, failure.metadata["code"].value))
        yield dg.AssetObservation("champion", description=f"skipped: {failure.description}", metadata=failure.metadata)


def refusal_text(workspace: Workspace, code: object) -> str:
    """The refusal without the sentences of people, which could name a patient."""
    judged = read_verdict(workspace.verdict_file)
    return f"{code}: verdict {judged.digest[:12]} on model {judged.challenger_model[:12]} is {judged.decision}"


def _judged_here(context: dg.AssetExecutionContext) -> bool:
    """Whether the asset ``verdict`` is a part of this run."""
    return context.job_def.has_node_named("verdict")
