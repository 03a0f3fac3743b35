"""The work of every asset: it notifies the watcher, runs the step, shows its report, and turns refusals into failures.

Contract: a refusal (``PlumblineError``) becomes a ``dagster.Failure`` with code, found, expected and remedy, and is
never retried. Any other exception is a bug and keeps its traceback.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg

from orchestration.dagster.assets.launchpad import apply_launchpad
from orchestration.dagster.assets.metadata import metadata_of
from orchestration.dagster.resources import DataVersions, WritableWorkspace
from orchestration.dagster.run_progress import StepWatcher
from orchestration.links import TO_MLFLOW, run_page
from orchestration.pipeline.stages import stages_for
from orchestration.pipeline.step_report import StepReport, read_step_report, write_step_report
from spine.errors import ContractViolation, PlumblineError
from spine.types import Progress

Materialised = dg.MaterializeResult[None]
Work = Callable[[Progress], StepReport]

NO_CONFIG: dict[str, dg.Field] = {}
"""Config schema of an asset without config. Without a schema, Dagster would accept and ignore any config."""

VIOLATIONS = "violations"
"""Name of the figure that lists the failed expectations of a validation as text."""

EXPERIMENT_FIGURE = "mlflow experiment id"
RUN_FIGURE = "mlflow run id"
"""Names of the two figures that identify an MLflow run. Together these figures become a link."""


def materialised(
    step: str,
    watcher: StepWatcher,
    work: Work,
    *,
    version: Callable[[], str | None] = lambda: None,
    check: Callable[[StepReport], dg.AssetCheckResult] | None = None,
) -> Materialised:
    """Run ``work`` as the asset ``step``.

    Args:
        version: returns the data version, or None; called after the work.
        check: returns the result of the check that belongs to the asset's own materialisation.
    """
    started = time.perf_counter()
    with refusals_as_failures(), watcher.watch(step) as progress:
        report = work(progress)
    report = replace(report, step=step, seconds=report.seconds or round(time.perf_counter() - started, 3))
    watcher.ended(report)
    found = version()
    return dg.MaterializeResult(
        metadata=metadata_of(report) | _run_link(report),
        data_version=dg.DataVersion(found) if found else None,
        check_results=[check(report)] if check else [],
    )


def pipeline_step(
    step: str, workspace: WritableWorkspace, versions: DataVersions, watcher: StepWatcher
) -> Materialised:
    """Run a DVC-versioned step of the pipeline as the asset of the same name."""

    def work(progress: Progress) -> StepReport:
        params = workspace.params
        if step not in {stage.name for stage in stages_for(params)}:
            return StepReport(step, {"not needed": f"the source is {params.source.kind!r}"}, skipped=True)
        try:
            return versions.run(step, workspace.folders, progress)
        except ContractViolation as error:
            # A failed validation still shows its pages. The validation's blocking check stops the run.
            return _failed_validation(error, workspace)

    return materialised(step, watcher, work, version=lambda: versions.version(step, workspace.folders))


def configured_step(
    context: dg.AssetExecutionContext,
    step: str,
    section: str,
    workspace: WritableWorkspace,
    versions: DataVersions,
    watcher: StepWatcher,
) -> Materialised:
    """Write the launchpad's parameters of a section into params.yaml, then run the step."""
    with refusals_as_failures():
        apply_launchpad(context, workspace.folders, section)
    return pipeline_step(step, workspace, versions, watcher)


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """Turn a refusal in this block into a Dagster failure."""
    try:
        yield
    except PlumblineError as error:
        parts = {name: str(getattr(error, name)) for name in ("code", "found", "expected", "remedy")}
        raise dg.Failure(description=str(error), metadata=parts, allow_retries=False) from error


def _failed_validation(error: ContractViolation, workspace: WritableWorkspace) -> StepReport:
    report = read_step_report("validation", workspace.folders) if error.code == "DATASET_INVALID" else None
    if report is None:
        raise error
    explained = replace(report, figures={**report.figures, VIOLATIONS: error.found}, skipped=False)
    return write_step_report(explained, workspace.folders)


def _run_link(report: StepReport) -> dict[str, dg.MetadataValue]:
    experiment, run = report.figures.get(EXPERIMENT_FIGURE), report.figures.get(RUN_FIGURE)
    if experiment is None or run is None:
        return {}
    return {"MLflow run": dg.MetadataValue.url(f"{TO_MLFLOW}/{run_page(str(experiment), str(run))}")}
