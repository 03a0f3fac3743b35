"""Runs the ``retrain`` job in this process, for the command line.

Contract: Dagster's log goes to ``state/dagster/events.log``, and only the caller writes to the terminal. A failure has
a reason and a code, never a traceback. Dagster's web page shows the run afterwards.
"""

import os
from dataclasses import dataclass
from functools import partial

import dagster as dg

from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import fail_abandoned_runs, open_instance
from orchestration.dagster.jobs import RETRAIN
from orchestration.dagster.resources import resources_for
from orchestration.dagster.run_log import EVENTS_FILE
from orchestration.dagster.run_progress import OnStep, OpenProgress, RecordingWatcher, no_progress
from orchestration.environment import DAGSTER_DB_VARIABLE
from orchestration.lifecycle.promotion import is_ordinary_refusal
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, GateRefused, PlumblineError
from validation.registry.database import CONNECT_SECONDS, registry_unavailable

VERDICT = dg.AssetKey("verdict")


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        run_id: Dagster's id of the run.
        reports: step -> report of each finished step, in order.
        failed_step: the step that failed or refused; None if the model was promoted.
        code: stable reason code, or the exception's name for a bug; None if the model was promoted.
        reason: the first problem, as text; empty if the model was promoted.
        refused: whether the gate refused, or evidence failed its verification.
        exit_code: exit code of the error that stopped the run; 1 for a bug or a failed check.
    """

    run_id: str
    reports: dict[str, StepReport]
    failed_step: str | None = None
    code: str | None = None
    reason: str = ""
    refused: bool = False
    exit_code: int = 1

    @property
    def promoted(self) -> bool:
        """Whether the run promoted a model."""
        return self.failed_step is None

    @property
    def verdict_reached(self) -> bool:
        """Whether the run reached a verdict."""
        return "verdict" in self.reports


def run_retrain(workspace: Workspace, on_step: OnStep, progress: OpenProgress = no_progress) -> RunOutcome:
    """Run the whole pipeline once in this process.

    Raises:
        WorkspaceBusy: another run is writing in the workspace.
        GateRefused: REGISTRY_UNAVAILABLE: the tracking server does not answer.
        KeyboardInterrupt: the user stopped the run; finished steps are kept.
    """
    watcher = RecordingWatcher(on_step, progress)
    definitions = definitions_with(resources_for(str(workspace.root), watcher=watcher))
    with open_instance(workspace, in_process=True) as instance:
        _require_answer(workspace.tracking_uri)
        if not os.environ.get(DAGSTER_DB_VARIABLE):  # or other machines have runs, and clocks of their own
            fail_abandoned_runs(instance, workspace)
        with workspace_lock(workspace):
            pass
        job = definitions.resolve_job_def(RETRAIN)
        config = {"loggers": {EVENTS_FILE: {"config": {"path": str(workspace.dagster_home / "events.log")}}}}
        result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
        return _outcome(result, watcher)


def _require_answer(tracking_uri: str) -> None:
    """Refuse a tracking server that does not answer, before hours of work that need it at their end."""
    import requests

    if tracking_uri.startswith("http"):
        try:
            requests.get(tracking_uri, timeout=CONNECT_SECONDS)
        except requests.RequestException as error:
            raise registry_unavailable(f"MLflow's server does not answer ({type(error).__name__})") from error


def _outcome(result: dg.ExecuteInProcessResult, watcher: RecordingWatcher) -> RunOutcome:
    outcome = partial(RunOutcome, result.run_id, watcher.reports)
    if result.success and "champion" in watcher.reports:
        return outcome()
    failed, error = _failed_check(result), watcher.error[1] if watcher.error else None
    if failed is not None and failed.asset_key == VERDICT and (error is None or is_ordinary_refusal(error)):
        decision = str(watcher.reports["verdict"].figures.get("decision"))
        return outcome("verdict", decision, failed.description or decision, refused=True)
    if watcher.error is not None:
        step, error = watcher.error
        if isinstance(error, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
            raise KeyboardInterrupt from error  # Dagster recorded the interrupt as a failed step
        if isinstance(error, PlumblineError):
            refused = isinstance(error, GateRefused | EvidenceRejected)
            return outcome(step, error.code, str(error), refused, error.exit_code)
        return outcome(step, type(error).__name__, f"{type(error).__name__}: {error}")
    if failed is not None:
        return outcome(
            failed.asset_key.to_user_string(), failed.check_name.upper(), failed.description or "check failed"
        )
    step, reason = _dagster_error(result)
    return outcome(step, "RUN_FAILED", reason)


def _failed_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation | None:
    """The first blocking check that did not pass."""
    return next((c for c in result.get_asset_check_evaluations() if c.blocking and not c.passed), None)


def _dagster_error(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """The step of Dagster's first error, and its message."""
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return event.step_key or "run", error.message.strip()
    return "run", "the run ended without a result; see state/dagster/events.log"
