"""The versioned steps of the pipeline, with a plain function for each step.

Contract: the Dagster asset and the DVC stage of a step call the same function. ``run_step`` skips a step that DVC finds
unchanged. After any other step, ``run_step`` records the outputs in DVC.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestration.pipeline import versioning
from orchestration.pipeline.cache import separate_from_cache
from orchestration.pipeline.evaluate import evaluate_model
from orchestration.pipeline.intake import faults_without_names, ingest_everything
from orchestration.pipeline.lock import require_lock, while_locked
from orchestration.pipeline.multi_gpu import fit_in_process_group, leaves_this_process
from orchestration.pipeline.params import Params, change_params, read_params
from orchestration.pipeline.report import write_unjudged_report
from orchestration.pipeline.second_reading import points_of_reading, readings_of
from orchestration.pipeline.stages import OUTPUTS, STAGE_NAMES, WRITTEN_IN_PLACE
from orchestration.pipeline.step_report import (
    Figure,
    Row,
    StepReport,
    counted_by_reason,
    read_step_report,
    write_step_report,
)
from orchestration.pipeline.work import work_of
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import SPLITS, Manifest, read_manifest
from spine.errors import ContractViolation, ParametersRejected
from spine.landmarks import LANDMARK_SETS
from spine.projection import write_landmarks
from spine.scanner import NATIVE_SPACING_MM
from spine.types import Progress
from training.config import TrainingConfig, config_to_json
from training.export.candidate import FITTED_FILE, FitSummary, read_summary
from validation.dataset.build import DatasetConfig, build_dataset, read_build_record
from validation.dataset.contact_sheets import draw_examples, draw_findings
from validation.dataset.exclusion import exclude_studies, readmit
from validation.dataset.results import ValidationConfig, ValidationResult
from validation.dataset.second_reading import Reading
from validation.dataset.selection import LEFT_OUT_BECAUSE
from validation.dataset.validate import validate_dataset

Step = Callable[[Workspace, Params, Progress | None], StepReport]


def cohort(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Write the virtual cohort into the drop folder."""
    wanted = params.cohort
    config = CohortConfig(
        count=wanted.count,
        seed=wanted.seed,
        shape=(wanted.rows, wanted.columns),
        spacing_mm=NATIVE_SPACING_MM * wanted.downsample,
        appearance=wanted.appearance,
    )
    summary = write_cohort(workspace.drop, config, progress, work=work_of(workspace))
    figures: dict[str, Figure] = {"virtual patients": wanted.count, "seed": wanted.seed}
    rows: list[Row] = [
        {"condition": name.replace("_", " "), "patients": n} for name, n in sorted(summary.conditions.items())
    ]
    return StepReport("cohort", figures, {"conditions": rows})


def studies(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Take in the studies of the source and of finished batches in the inbox."""
    return ingest_everything(workspace, params, progress)


def landmarks(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Project 3D points into each view, with visibility."""
    landmark_set = LANDMARK_SETS[params.dataset.landmark_set]
    index = write_landmarks(workspace.studies, workspace.landmarks, landmark_set, progress, work_of(workspace))
    figures: dict[str, Figure] = {
        "landmark set": landmark_set.name,
        "studies": len(index.points),
        "added now": index.added,
        "left out": counted_by_reason({"no image in a view of the landmark set": index.without}),
    }
    return StepReport("landmarks", figures)


def dataset(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Split the studies by patient, freeze the test set, and write the manifest."""
    config = DatasetConfig(**params.dataset.model_dump())
    readmit(workspace.dataset, ValidationConfig(**params.validation.model_dump()).accepted_studies)
    folders = (workspace.studies, workspace.landmarks, workspace.dataset)
    manifest = build_dataset(*folders, config, progress, work_of(workspace))
    figures: dict[str, Figure] = {}
    pages: dict[str, str] = {}
    if params.validation.on_bad_study == "exclude":
        manifest, figures = _screened(workspace, params, progress)
        pages = {"screening": str(workspace.screening / "report.html")}
    figures |= {f"{split} studies": manifest.count(split) for split in SPLITS}
    left_out = Counter(LEFT_OUT_BECAUSE[code] for code in read_build_record(workspace.dataset).left_out.values())
    figures |= {
        "left out": counted_by_reason(left_out),
        "truths from plate centres": sum(e.from_centres for e in manifest.index()),
    }
    figures |= {"digest": manifest.digest[:12], "frozen test set": manifest.test_digest[:12]}
    sheet = draw_examples(workspace.dataset, workspace.state / "dataset.png")
    return StepReport(
        "dataset", figures, images={"studies with their labels": str(sheet)} if sheet else {}, pages=pages
    )


def _screened(workspace: Workspace, params: Params, progress: Progress | None) -> tuple[Manifest, dict[str, Figure]]:
    """Exclude studies that fail an expectation from the new dataset, and count and list these studies in the report."""
    config = ValidationConfig(**params.validation.model_dump())
    readings = readings_of(workspace, config, progress)
    result = validate_dataset(workspace.dataset, workspace.screening, config, progress, readings, work_of(workspace))
    _draw_worst(result, workspace, workspace.screening, readings)
    if not result.success:
        raise _invalid(result, workspace.screening)
    require_lock(workspace)
    manifest = exclude_studies(workspace.dataset, result.findings)
    return manifest, {"screened": result.counts["studies"], "excluded": len(result.to_exclude)}


def validation(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Check the dataset against its expectations; a failure stops the pipeline and names the studies."""
    config = ValidationConfig(**params.validation.model_dump())
    readings = readings_of(workspace, config, progress)
    result = validate_dataset(workspace.dataset, workspace.validation, config, progress, readings, work_of(workspace))
    report = StepReport(
        "validation",
        {
            "outcome": "passed" if result.success else "FAILED",
            "expectations": result.counts["rules"],
            "failed": result.counts["rules_broken"],
            "studies": result.counts["studies"],
            "studies with errors": result.counts["bad_studies"],
            "studies with warnings": result.counts["warned_studies"],
            "images read by the second reader": len(readings),
            "studies with truths from plate centres": result.counts["studies_from_centres"],
        },
        images=_draw_worst(result, workspace, workspace.validation, readings),
        pages={"report": str(workspace.validation / "report.html")},
    )
    if not result.success:
        write_step_report(report, workspace)
        raise _invalid(result, workspace.validation)
    return report


def _draw_worst(
    result: ValidationResult, workspace: Workspace, out: Path, readings: Sequence[Reading]
) -> dict[str, str]:
    """Draw a contact sheet of the studies that fail most expectations, with labels; no sheet if no study fails."""
    sheet = out / "worst.png"
    sheet.unlink(missing_ok=True)
    if result.findings:
        draw_findings(
            workspace.dataset,
            result.findings,
            sheet,
            limit=16,
            readings=readings,
            points_of=partial(points_of_reading, workspace),
        )
    return {"worst studies": str(sheet)} if sheet.exists() else {}


def _invalid(result: ValidationResult, out: Path) -> ContractViolation:
    return ContractViolation.gathered(
        "DATASET_INVALID",
        [f"{failure.code} {failure.rule}: {failure.message}" for failure in result.failures],
        expected="a dataset that meets every expectation",
        remedy=f"open {out / 'report.html'}, which lists each study with its reasons",
    )


def candidate(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Train a candidate on a validated dataset."""
    require_valid_dataset(workspace.dataset, workspace.validation)
    wanted = params.training
    summary = _fit_or_replace(workspace, params.training_config, progress)
    figures: dict[str, Figure] = {
        "preset": wanted.preset,
        "epochs": summary.epochs or _share_of_an_epoch(summary),
        "steps": summary.steps,
        "training (min)": round(summary.seconds / 60, 2),
        f"validation landmark error ({summary.error_unit})": round(summary.validation_error, 2),
    }
    return StepReport("candidate", figures)


def _share_of_an_epoch(summary: FitSummary) -> float:
    """The share of the first epoch that a fit completed, if the fit ended within that epoch."""
    seen = summary.steps * summary.config.batch_size * summary.config.devices
    return round(seen / max(summary.images, 1), 2)


def require_valid_dataset(dataset: Path, validation: Path) -> None:
    """Refuse a dataset that failed the validation with results in a folder, or changed after it.

    Raises:
        ContractViolation: DATASET_NOT_VALIDATED.
    """
    path = validation / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    digest = read_manifest(dataset).digest
    if not result.get("success") or result.get("digest") != digest:
        state = "no" if not result else "a failed" if not result["success"] else "an outdated"
        raise ContractViolation(
            "DATASET_NOT_VALIDATED",
            found=f"{state} validation of dataset {digest[:12]}",
            expected="a dataset that passed validation",
            remedy="run the step `validation`, and correct what its report lists",
        )


def _fit_or_replace(workspace: Workspace, config: TrainingConfig, progress: Progress | None) -> FitSummary:
    """Fit a candidate. Continue an unfinished fit of the same configuration and data; replace any other fit.

    A replaced fit remains in DVC's cache, and in MLflow if it was registered.
    """
    try:
        return _fit(workspace, config, progress)
    except ParametersRejected as rejected:
        if rejected.code != "FIT_MIXED":
            raise
    shutil.rmtree(workspace.candidate)
    return _fit(workspace, config, progress)


def _fit(workspace: Workspace, config: TrainingConfig, progress: Progress | None) -> FitSummary:
    """Fit in this process, or in a process group if several GPUs are configured or the fit is done elsewhere."""
    if leaves_this_process(config):
        folder, check = workspace.state / "process_group", partial(require_lock, workspace)
        return fit_in_process_group(workspace.dataset, workspace.candidate, config, folder, progress, check)
    from training.fitting.fit import fit

    return fit(workspace.dataset, workspace.candidate, config, progress)


def adopt_candidate(workspace: Workspace, folder: Path) -> StepReport:
    """Copy a candidate that was trained elsewhere into this workspace, as if it had been trained here.

    The parameters of the candidate's fit are written into params.yaml, so that DVC records them.

    Raises:
        ContractViolation: the candidate's fit is unfinished, or used another dataset (DATASET_DIFFERS).
    """
    from training.export.onnx_export import finish_export

    summary, digest = read_summary(folder, FITTED_FILE), read_manifest(workspace.dataset).digest
    if summary.dataset_digest != digest:
        raise ContractViolation(
            "DATASET_DIFFERS",
            found=f"a candidate trained on dataset {summary.dataset_digest[:12]}",
            expected=f"a candidate trained on this workspace's dataset {digest[:12]}",
            remedy="train the candidate on a copy of this workspace's data/dataset",
        )
    used = {name: value for name, value in config_to_json(summary.config).items() if name != "landmark_set"}
    change_params(workspace.params_file, {"training": used}, "the candidate's fit.json")
    shutil.rmtree(workspace.candidate, ignore_errors=True)
    shutil.copytree(folder, workspace.candidate)
    summary = finish_export(workspace.candidate, workspace.dataset)
    report = StepReport("candidate", {"adopted": (summary.model_digest or "")[:12], "device": summary.device})
    write_step_report(report, workspace)
    versioning.record_stage(workspace, "candidate")
    return report


def evaluation(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Measure the candidate's errors on the frozen test set, and write its report without a verdict."""
    report = evaluate_model(
        workspace, workspace.candidate, workspace.evaluation, role="challenger", step="evaluation", progress=progress
    )
    return replace(report, pages={"report": str(write_unjudged_report(workspace, params))})


STEPS: Mapping[str, Step] = {
    step.__name__: step for step in (cohort, studies, landmarks, dataset, validation, candidate, evaluation)
}
if tuple(STEPS) != STAGE_NAMES:
    raise RuntimeError("orchestration.pipeline.steps and .stages name different stages")


def compute_step(name: str, workspace: Workspace, progress: Progress | None = None) -> StepReport:
    """Run a step unconditionally. DVC calls this function through ``plumbline stage``."""
    params = read_params(workspace.params_file)
    workspace.prepare()
    started = time.perf_counter()
    require_lock(workspace)
    for out in OUTPUTS[name] if name in WRITTEN_IN_PLACE else ():
        separate_from_cache(workspace.root / out)
    report = STEPS[name](workspace, params, while_locked(workspace, progress))
    require_lock(workspace)
    for out in OUTPUTS[name]:  # DVC requires even empty outputs to exist
        (workspace.root / out).mkdir(parents=True, exist_ok=True)
    return write_step_report(replace(report, seconds=round(time.perf_counter() - started, 3)), workspace)


def run_step(name: str, workspace: Workspace, progress: Progress | None = None) -> StepReport:
    """Run a step and record its outputs in DVC; skip the step if DVC finds it up to date."""
    workspace.prepare()
    started = time.perf_counter()
    before = read_step_report(name, workspace)
    if before is not None and _is_up_to_date(workspace, name):
        return replace(before, overhead_seconds=round(time.perf_counter() - started, 3))
    status_seconds = time.perf_counter() - started
    report = compute_step(name, workspace, progress)
    computed = time.perf_counter()
    with faults_without_names() if name == "studies" else nullcontext():
        versioning.record_stage(workspace, name)
    overhead = round(status_seconds + time.perf_counter() - computed, 3)
    return write_step_report(replace(report, overhead_seconds=overhead), workspace)


def _is_up_to_date(workspace: Workspace, name: str) -> bool:
    # For the studies, DVC reads the files of the source and of the inbox.
    with faults_without_names() if name == "studies" else nullcontext():
        return versioning.is_up_to_date(workspace, name)
