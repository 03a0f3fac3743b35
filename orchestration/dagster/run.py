"""Runs the ``retrain`` job in this process, for the command line.

Contract: Dagster's log goes to ``state/dagster/events.log``, and only the caller writes to the terminal. A failure has
a reason and a code, never a traceback. Dagster's web page shows the run afterwards.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import fail_abandoned_runs, open_instance
from orchestration.dagster.jobs import RETRAIN
from orchestration.dagster.resources import resources_for
from orchestration.dagster.run_log import EVENTS_FILE
from orchestration.dagster.run_progress import OnStep, OpenProgress, RecordingWatcher, no_progress
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, GateRefused, PlumblineError


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        run_id: Dagster's.
        reports: step -> report of each finished step, in order.
        promoted: whether there is a new champion.
        refused: whether the gate refused, or evidence failed its verification.
        failed_step: the step where the run stopped; None if it promoted.
        code: stable reason code; the exception's name for a bug; None if it promoted.
        reason: the first problem, as text; empty if it promoted.
        exit_code: exit code of the error that stopped the run; 1 for a bug or a failed check.
        seconds: wall time of the run.
    """

    run_id: str
    reports: dict[str, StepReport]
    promoted: bool
    refused: bool
    failed_step: str | None
    code: str | None
    reason: str
    seconds: float
    exit_code: int = 1

    @property
    def verdict_reached(self) -> bool:
        """Whether the run reached a verdict."""
        return "verdict" in self.reports

    @property
    def overhead_seconds(self) -> float:
        """Wall time outside the steps: Dagster, DVC, imports."""
        return self.seconds - sum(report.seconds for report in self.reports.values() if not report.skipped)


def run_retrain(workspace: Workspace, on_step: OnStep, progress: OpenProgress = no_progress) -> RunOutcome:
    """Run the whole pipeline once in this process.

    Args:
        on_step: called with the report of each finished step.
        progress: opens the progress display of a step.

    Raises:
        WorkspaceBusy: another run is writing in the workspace.
        KeyboardInterrupt: the user stopped the run; finished steps are kept.
    """
    watcher = RecordingWatcher(on_step, progress)
    definitions = definitions_with(resources_for(str(workspace.root), watcher=watcher))
    with open_instance(workspace, in_process=True) as instance:
        fail_abandoned_runs(instance, workspace)
        with workspace_lock(workspace):
            pass
        started = time.perf_counter()
        result = _execute(definitions, instance, workspace.dagster_home / "events.log")
        _raise_interrupt(watcher)
        return _outcome(result, watcher, time.perf_counter() - started)


def _execute(definitions: dg.Definitions, instance: dg.DagsterInstance, log: Path) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def(RETRAIN)
    config = {"loggers": {EVENTS_FILE: {"config": {"path": str(log)}}}}
    return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)


def _raise_interrupt(watcher: RecordingWatcher) -> None:
    """Raise ``KeyboardInterrupt`` where Dagster recorded an interrupt as a failed step."""
    error = watcher.error[1] if watcher.error else None
    if isinstance(error, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
        raise KeyboardInterrupt from error


def _outcome(result: dg.ExecuteInProcessResult, watcher: RecordingWatcher, seconds: float) -> RunOutcome:
    common: dict[str, Any] = {"run_id": result.run_id, "reports": watcher.reports, "seconds": round(seconds, 3)}
    if result.success and "champion" in watcher.reports:
        return RunOutcome(promoted=True, refused=False, failed_step=None, code=None, reason="", **common)
    if watcher.error is not None:
        step, error = watcher.error
        refused = isinstance(error, GateRefused | EvidenceRejected)
        code = error.code if isinstance(error, PlumblineError) else type(error).__name__
        reason = str(error) if isinstance(error, PlumblineError) else f"{code}: {error}"
        exit_code = error.exit_code if isinstance(error, PlumblineError) else 1
        common |= {"failed_step": step, "code": code, "reason": reason, "exit_code": exit_code}
        return RunOutcome(promoted=False, refused=refused, **common)
    step, check, reason = _failed_check(result)
    refused = step == "verdict"
    code = str(watcher.reports["verdict"].figures.get("decision")) if refused else check.upper()
    return RunOutcome(promoted=False, refused=refused, failed_step=step, code=code, reason=reason, **common)


def _failed_check(result: dg.ExecuteInProcessResult) -> tuple[str, str, str]:
    """Asset, name and description of the blocking check that stopped the run, else Dagster's own error."""
    for check in result.get_asset_check_evaluations():
        if check.blocking and not check.passed:
            return check.asset_key.to_user_string(), check.check_name, check.description or "check failed"
    for event in result.all_events:
        data = event.event_specific_data
        error = getattr(data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return event.step_key or "run", "run_failed", error.message.strip()
    return "run", "run_failed", "the run ended without a result; see state/dagster/events.log"
