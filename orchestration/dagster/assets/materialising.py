"""What all assets do alike: notify the watcher, run the step, show its report, turn refusals into failures.

Contract: a deliberate refusal (``PlumblineError``) becomes a ``dagster.Failure`` with code, finding, expectation and
remedy, never retried; any other exception is a bug and keeps its traceback.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg

from orchestration.dagster.assets.metadata import metadata_of
from orchestration.dagster.resources import DataVersions, ModelTracking, WritableWorkspace
from orchestration.dagster.run_progress import StepWatcher
from orchestration.pipeline.stages import stages_for
from orchestration.pipeline.step_report import StepReport, read_step_report, write_step_report
from spine.errors import ContractViolation, PlumblineError
from spine.types import Progress

Materialised = dg.MaterializeResult[None]
Work = Callable[[Progress], StepReport]

NO_CONFIG: dict[str, dg.Field] = {}
"""Config schema of an asset that takes no config; without a schema, Dagster accepts and ignores any."""

VIOLATIONS = "violations"
"""Figure of a failed validation: what was broken, in words."""

EXPERIMENT_FIGURE = "mlflow experiment id"
RUN_FIGURE = "mlflow run id"
"""Figures of a report that name an MLflow run; both together become a link."""


def materialised(
    step: str,
    watcher: StepWatcher,
    work: Work,
    *,
    version: Callable[[], str | None] = lambda: None,
    tracking: ModelTracking | None = None,
) -> Materialised:
    """Run ``work`` as asset ``step``.

    Args:
        version: called after the work, gives the data version where there is one.
        tracking: links to the MLflow run that the report names.
    """
    started = time.perf_counter()
    with refusals_as_failures(), watcher.watch(step) as progress:
        report = work(progress)
    report = replace(report, step=step, seconds=report.seconds or round(time.perf_counter() - started, 3))
    watcher.ended(report)
    found = version()
    return dg.MaterializeResult(
        metadata=metadata_of(report) | _run_link(report, tracking),
        data_version=dg.DataVersion(found) if found else None,
    )


def pipeline_step(
    step: str, workspace: WritableWorkspace, versions: DataVersions, watcher: StepWatcher
) -> Materialised:
    """Run a DVC-versioned step of the chain as the asset of the same name."""

    def work(progress: Progress) -> StepReport:

        params = workspace.params
        if step not in {stage.name for stage in stages_for(params)}:
            return StepReport(step, {"not needed": f"the source is {params.source.kind!r}"}, skipped=True)
        try:
            return versions.run(step, workspace.folders, progress)
        except ContractViolation as error:
            # The pages of a failed validation are what a person needs; its blocking check stops the run.
            return _failed_validation(error, workspace)

    return materialised(step, watcher, work, version=lambda: versions.version(step, workspace.folders))


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """Within, a deliberate refusal ends the step as Dagster shows it."""
    try:
        yield
    except PlumblineError as error:
        raise failure_of(error) from error


def failure_of(error: PlumblineError) -> dg.Failure:
    """A deliberate refusal as Dagster shows it."""
    parts = {name: str(getattr(error, name)) for name in ("code", "found", "expected", "remedy")}
    return dg.Failure(description=str(error), metadata=parts, allow_retries=False)


def _failed_validation(error: ContractViolation, workspace: WritableWorkspace) -> StepReport:

    report = read_step_report("validation", workspace.folders) if error.code == "DATASET_INVALID" else None
    if report is None:
        raise error
    told = replace(report, figures={**report.figures, VIOLATIONS: error.found}, skipped=False)
    write_step_report(told, workspace.folders)
    return told


def _run_link(report: StepReport, tracking: ModelTracking | None) -> dict[str, dg.MetadataValue]:
    experiment, run = report.figures.get(EXPERIMENT_FIGURE), report.figures.get(RUN_FIGURE)
    if tracking is None or experiment is None or run is None:
        return {}
    return {"MLflow run": dg.MetadataValue.url(tracking.run_url(str(experiment), str(run)))}
