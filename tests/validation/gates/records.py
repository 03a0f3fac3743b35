"""Evaluation records of known quality, for tests and benchmarks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from spine.dataset import Example, ExampleView, Truth
from spine.dataset_writing import digest_of_test_split
from spine.landmarks import GALBUSERA39
from spine.measurement.registry import PARAMETERS, Measured, Unit
from spine.prediction import Prediction
from validation.evaluation.landmark_errors import LandmarkError, summarise
from validation.evaluation.model_facts import ModelFacts, TrainingFacts
from validation.evaluation.outcomes import ParameterOutcome, StudyOutcome
from validation.evaluation.record import EvaluationRecord, evaluate, statistics_of
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict, judge

Scored = Callable[..., EvaluationRecord]
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
B, C = "b" * 64, "c" * 64
PLATES = tuple(f"{level}_{side}" for level in ("T9", "T10", "T11", "T12", "L1", "L2", "L3") for side in ("sup", "inf"))
PLANNED = {"preset": "shared", "learning_rate": "0.001", "weight_decay": "0.01", "batch_size": "8", "width": "1.0"}
FACTS = ModelFacts("galbusera39", GALBUSERA39.names, (512, 256), TrainingFacts(("virtual",), ("q1", "q2"), PLANNED))
"""A model inside the plan of the default policy."""


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
        test_digest=digest_of_test_split("galbusera39", examples),
        dataset_digest="d" * 64,
        dvc_version="v1",
        code_commit="c" * 40,
        code_dirty=False,
        evaluated_at=AT,
        model_bytes=8_000_000,
        model_facts=FACTS,
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


def ruled(policy: Policy, ours: EvaluationRecord, theirs: EvaluationRecord | None = None, **more: Any) -> Verdict:
    """The verdict on ``ours`` compared with the champion ``theirs``; ``more`` has other fields of the evidence."""
    return judge(policy, Evidence(ours, theirs, **more), judged_at=AT)


def codes(verdict: Verdict) -> set[str]:
    return {r.code for r in verdict.refusals}


def with_studies(record: EvaluationRecord, change: Callable[[StudyOutcome, int], StudyOutcome]) -> EvaluationRecord:
    """The record with changed studies; ``change`` gets each study and its number. The statistics stay."""
    return replace(record, studies=tuple(change(s, i) for i, s in enumerate(record.studies)))


def with_outcomes(
    record: EvaluationRecord, change: Callable[[ParameterOutcome, int], ParameterOutcome]
) -> EvaluationRecord:
    """The record with changed outcomes; ``change`` gets each outcome and the number of its study."""
    return with_studies(record, lambda s, i: replace(s, parameters=tuple(change(o, i) for o in s.parameters)))


def with_landmarks(record: EvaluationRecord, change: Callable[[LandmarkError, int], LandmarkError]) -> EvaluationRecord:
    """The record with changed landmark errors; ``change`` gets each error and the number of its study."""
    return with_studies(record, lambda s, i: replace(s, landmarks=tuple(change(e, i) for e in s.landmarks)))


def summarised(record: EvaluationRecord) -> EvaluationRecord:
    """The record with its statistics and landmark summaries computed again."""
    landmarks = summarise([e for s in record.studies for e in s.landmarks])
    return replace(record, statistics=statistics_of(record.studies, 0, record.seed), landmarks=landmarks)


def missed(error: LandmarkError) -> LandmarkError:
    return replace(error, state="missed", error_px=None, error_mm=None)
