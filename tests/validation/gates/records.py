"""Evaluation records of known quality, for tests and benchmarks."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from spine.dataset import Example, ExampleView, Manifest, Truth
from spine.measurement.registry import PARAMETERS, Measured, Unit
from spine.prediction import Prediction
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord, evaluate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PLATES = tuple(f"{level}_{side}" for level in ("T9", "T10", "T11", "T12", "L1", "L2", "L3") for side in ("sup", "inf"))


def build_record(
    role: str = "challenger",
    model: str = "a" * 64,
    *,
    noise: float = 1.0,
    scale: float = 1.0,
    bias: float = 0.0,
    abstain: int = 0,
    n: int = 50,
    simulated: bool = True,
    seed: int = 1,
    test_seed: int = 7,
    commit: str = "c" * 40,
) -> EvaluationRecord:
    truths = np.random.default_rng(test_seed).normal(35, 12, (n, len(PARAMETERS)))
    errors = np.random.default_rng(seed).normal(0, noise, (n, len(PARAMETERS))) * scale + bias
    examples, predictions = [], []
    for i in range(n):
        points = {name: np.array([40.0 + 4.0 * (j % 5), 20.0 * j]) for j, name in enumerate(PLATES)}
        view = ExampleView("frontal", f"{i}.npy", f"{i:064d}", (400, 100), (0.5, 0.5), "GEOMETRY", None, points)
        truth = {name: Truth(float(truths[i, j]), p.unit) for j, (name, p) in enumerate(PARAMETERS.items())}
        facts = {"simulated": simulated, "condition": "scoliosis" if i % 3 else "normal"}
        examples.append(Example(f"s{i:03d}", f"p{i:03d}", "test", "virtual", {"frontal": view}, {}, truth, facts))
        measured = {
            name: _measured(float(truths[i, j] + errors[i, j]), p.unit)
            if i >= abstain
            else Measured(None, p.unit, "not seen", absent_code="LANDMARKS_NOT_SEEN")
            for j, (name, p) in enumerate(PARAMETERS.items())
        }
        found = {name: xy + 0.5 for name, xy in points.items()} if i >= abstain else {}
        predictions.append(Prediction(f"s{i:03d}", {"frontal": found}, parameters=measured, seconds=0.2))
    record = evaluate(
        predictions,
        examples,
        model_digest=model,
        model_role=role,  # type: ignore[arg-type]
        landmark_set="galbusera39",
        test_digest=Manifest("galbusera39", 0, tuple(examples)).test_digest,
        dataset_digest="d" * 64,
        dvc_version="v1",
        code_commit=commit,
        code_dirty=False,
        evaluated_at=AT,
        model_bytes=8_000_000,
        resamples=200,
    )
    return replace(record, studies=tuple(_with_side(study) for study in record.studies))


def _measured(value: float, unit: Unit) -> Measured:
    return Measured(value, unit, interval=(value - 5, value + 5))


def _with_side(study: StudyOutcome) -> StudyOutcome:
    """The study with a true side, and the same predicted side if there is a prediction.

    The true values are drawn and not measured from the landmarks, so they have no side of their own.
    """
    return replace(study, true_side="left", found_side=None if study.parameter("cobb").predicted is None else "left")
