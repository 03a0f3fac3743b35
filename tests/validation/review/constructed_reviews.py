"""Virtual patients with known predictions. One has no prediction, one changes most, and a condition is HTML code."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from spine.dataset import Example, ExampleView, Truth
from spine.dataset_writing import digest_of_test_split
from spine.landmarks import GALBUSERA39, VIEWS
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from tests.validation.gates.records import FACTS
from validation.evaluation.record import EvaluationRecord, evaluate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
N, SHAPE = 50, (400, 100)
UNANSWERED, CHANGED = "s007", "s013"
HTML_NAME = "<script>alert('x')</script>"


def predicted_points(i: int, shift: float) -> dict[str, Any]:
    return {name: np.array([40.0 + 3 * (j % 4) + shift, 10.0 + 9.5 * j]) for j, name in enumerate(GALBUSERA39)}


def example(i: int) -> Example:
    rng = np.random.default_rng(i)
    points = predicted_points(i, 0.0)
    views = {
        view: ExampleView(
            view, f"{i}{view}.npy", f"{i}{view}".ljust(64, "0"), SHAPE, (0.5, 0.5), "GEOMETRY", None, points
        )
        for view in VIEWS
    }
    truth = {name: Truth(float(rng.normal(35, 12)), p.unit) for name, p in PARAMETERS.items()}
    facts = {"simulated": True, "condition": HTML_NAME if i % 2 else "normal", "sex": "FM"[i % 2], "age_years": 12 + i}
    return Example(f"s{i:03d}", f"p{i:03d}", "test", "virtual", views, {}, truth, facts)


def prediction(given: Example, role: str, rng: np.random.Generator) -> Prediction:
    if role == "challenger" and given.study_id == UNANSWERED:
        absent = {
            n: Measured(None, p.unit, "not seen", absent_code="LANDMARKS_NOT_SEEN") for n, p in PARAMETERS.items()
        }
        return Prediction(given.study_id, {}, parameters=absent)
    extra = 12.0 if role == "challenger" and given.study_id == CHANGED else 0.0
    measured = {}
    for name, parameter in PARAMETERS.items():
        value = float(given.truth[name].value or 0.0) + float(rng.normal(0, 1)) + extra
        measured[name] = Measured(value, parameter.unit, interval=(value - 2, value + 2))
    points = {view: predicted_points(0, 1.5) for view in given.views}
    return Prediction(given.study_id, points, parameters=measured, seconds=0.1)


def record(role: Any, digest: str, seed: int, n: int = N) -> tuple[EvaluationRecord, list[Prediction]]:
    examples, rng = [example(i) for i in range(n)], np.random.default_rng(seed)
    predictions = [prediction(e, role, rng) for e in examples]
    test_digest = digest_of_test_split("galbusera39", examples)
    scored = evaluate(
        predictions, examples, model_digest=digest, model_role=role, landmark_set="galbusera39",
        test_digest=test_digest, dataset_digest="d" * 64, dvc_version="v1", code_commit="c" * 40, code_dirty=False,
        evaluated_at=AT, model_facts=FACTS, model_bytes=8_400_000, resamples=200,
    )  # fmt: skip
    return scored, predictions
