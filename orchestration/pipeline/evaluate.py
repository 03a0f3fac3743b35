"""The evaluation of a model on the frozen test set: predictions from ``inference``, statistics from ``validation``.

Contract: challenger and champion are evaluated by the same function. Each call adds one read to the test-set ledger.
"""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from inference.inputs import ImageInput
from inference.model import load_model
from inference.overlay import draw_overlay, interval_lines
from orchestration.pipeline import versioning
from orchestration.pipeline.model_facts import facts_of_model, facts_of_training
from orchestration.pipeline.predicting import ModelOfTask, predict_on_workers
from orchestration.pipeline.step_report import Figure, Row, StepReport
from orchestration.pipeline.work import work_of
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, load_example_image, read_manifest
from spine.errors import EvidenceRejected
from spine.measurement.registry import COMPARED_PARAMETERS, PARAMETERS
from spine.model_digest import model_size
from spine.prediction import Prediction
from spine.types import Progress
from validation.evaluation.code_environment import evaluating_environment
from validation.evaluation.model_facts import TrainingFacts
from validation.evaluation.predicted_points import FILE, write_predicted_points
from validation.evaluation.record import EvaluationRecord, evaluate, rank_patients, read_record, write_record
from validation.evaluation.test_set_check import verify_images
from validation.evaluation.test_set_ledger import record_read


def is_evaluated(workspace: Workspace, digest: str, record_file: Path) -> bool:
    """Whether a record file has this model's errors on the present dataset and test set, by the same code."""
    if not record_file.is_file():
        return False
    try:
        record, manifest = read_record(record_file), read_manifest(workspace.dataset)
    except EvidenceRejected:
        return False  # a record of an earlier schema, or a damaged one, is made anew
    ours = (digest, manifest.test_digest, manifest.digest)
    same_code = evaluating_environment().items() <= record.environment.items()
    return same_code and ours == (record.model_digest, record.test_digest, record.dataset_digest)


def evaluate_model(
    workspace: Workspace,
    model_folder: Path,
    out: Path,
    *,
    role: Literal["challenger", "champion", "baseline"],
    step: str,
    progress: Progress | None = None,
    training: TrainingFacts | None = None,
) -> StepReport:
    """Run the model in ``model_folder`` on the frozen test set; write record, landmarks and overlays to ``out``.

    The record and the test-set ledger contain the model's role. The report contains the name of the step. ``training``
    has the facts of the training, if ``model_folder`` does not contain the record of the fit.
    """
    manifest = read_manifest(workspace.dataset)
    examples = manifest.in_split("test")
    verify_images(workspace.dataset, examples)
    model = load_model(model_folder, threads=1)
    record_read(workspace.test_set_ledger, manifest.test_digest, model.digest, role, datetime.now(UTC))
    pinned = ModelOfTask(str(model_folder), model.digest)
    predictions = predict_on_workers(pinned, workspace.dataset, examples, work_of(workspace), progress)
    commit, dirty = code_version()
    record = evaluate(
        predictions,
        examples,
        model_digest=model.digest,
        model_role=role,
        landmark_set=manifest.landmark_set,
        test_digest=manifest.test_digest,
        dataset_digest=manifest.digest,
        dvc_version=versioning.data_version(workspace),
        code_commit=commit,
        code_dirty=dirty,
        evaluated_at=datetime.now(UTC),
        model_bytes=model_size(model_folder),
        model_facts=facts_of_model(model, training or facts_of_training(model_folder, model.digest, manifest)),
        preprocessing=model.contract.preprocessing_version,
    )
    calibration = model.contract.calibration
    remark = calibration.remark if calibration else None
    example_of, found = {e.study_id: e for e in examples}, {p.study_id: p for p in predictions}
    overlays = {
        title: _draw_overlay(workspace, out, title, example_of[study], found[study], remark)
        for title, study in rank_patients(record).items()
    }
    write_record(record, out / "record.json")
    write_predicted_points(predictions, record, out / FILE)
    return StepReport(step, _figures(record), {"errors": _errors(record)}, overlays)


def _figures(record: EvaluationRecord) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"test patients": record.n_patients, "patients": record.patients_are}
    return figures | {"model": record.model_digest[:12], "record": record.digest[:12]}


def _errors(record: EvaluationRecord) -> list[Row]:
    """A row for each parameter of the paper: numbers of true and of measured values, and the errors."""
    rows: list[Row] = []
    for name in COMPARED_PARAMETERS:
        found = record.statistics[name]
        errors = {title: found.figures[figure].value for title, figure in _ERRORS.items()}
        counts: dict[str, Figure] = {"true values": found.n_truth, "measured": found.n}
        figures = {title: "absent" if e is None else f"{e:.2f} {found.unit}" for title, e in errors.items()}
        rows.append({"parameter": PARAMETERS[name].label, **counts, **figures})
    return rows


_ERRORS = {"mean absolute error": "mae", "standard error": "standard_error_of_estimate", "bias": "bias"}


def _draw_overlay(
    workspace: Workspace, out: Path, title: str, example: Example, prediction: Prediction, rough_intervals: str | None
) -> str:
    """Draw truth and prediction of one patient; return the path of the PNG."""
    image = draw_overlay(
        {
            name: ImageInput(load_example_image(workspace.dataset, view), view.spacing_mm, view.calibration)
            for name, view in example.views.items()
        },
        prediction.points,
        prediction.parameters,
        truth_points={name: view.points for name, view in example.views.items()},
        title=f"{title} patient of the test set",
        provenance="simulated data" if example.facts.get("simulated") else None,
        rough_intervals=rough_intervals,
        intervals=interval_lines(prediction),
        unscaled=prediction.lengths_withheld,
    )
    path = out / f"overlay_{title.replace(' ', '_')}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return str(path)


def code_version() -> tuple[str | None, bool]:
    """(git commit, dirty) of the running code; (None, True) outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit, bool(_git(here, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, True


def _git(folder: Path, *arguments: str) -> str:
    # The code of a service belongs to another account, and git reads such a folder only if it is named as safe.
    command = ["git", "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
