"""A small frozen test set, and the predictions of a model with known errors."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from spine.dataset import Example, ExampleView, Truth
from spine.dataset_writing import digest_of_test_split
from spine.landmarks import GALBUSERA39, VIEWS
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from validation.evaluation.record import EvaluationRecord, evaluate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Trial:
    """Examples and their predictions; change either, then call ``score``."""

    examples: list[Example]
    predictions: list[Prediction]

    @property
    def test_digest(self):
        return digest_of_test_split("galbusera39", self.examples)

    def score(self, **changes: Any) -> EvaluationRecord:
        terms: dict[str, Any] = {
            "model_digest": "a" * 64,
            "model_role": "challenger",
            "landmark_set": "galbusera39",
            "test_digest": self.test_digest,
            "dataset_digest": "d" * 64,
            "dvc_version": "v1",
            "code_commit": "c" * 40,
            "code_dirty": False,
            "evaluated_at": AT,
            "resamples": 100,
        }
        return evaluate(self.predictions, self.examples, **{**terms, **changes})


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    def make(n: int = 5, off_px: tuple[float, float] = (3.0, 4.0), off_deg: float = 2.0, **facts: Any) -> Trial:
        facts = facts or {"simulated": True, "condition": "normal", "note": "does not travel"}
        examples, predictions = [], []
        for i in range(n):
            points = {name: np.array([100.0 + j % 3, 20.0 + 10 * j]) for j, name in enumerate(GALBUSERA39)}
            views = {
                v: ExampleView(v, f"{i}{v}.npy", f"{i:064d}", (500, 300), (0.2, 0.4), "GEOMETRY", None, points)
                for v in VIEWS
            }
            truth = {n: Truth(20.0 + 7 * i + k, p.unit) for k, (n, p) in enumerate(PARAMETERS.items())}
            cloud = {name: np.array([float(j), 0.0, 10.0 * j]) for j, name in enumerate(GALBUSERA39)}
            example = Example(f"s{i}", f"p{i // 2}", "test", "virtual", views, cloud, truth, facts)
            examples.append(example)
            found = {name: xy + np.array(off_px) for name, xy in points.items()}
            measured = {n: Measured(float(t.value or 0) + off_deg, PARAMETERS[n].unit) for n, t in truth.items()}
            moved = {name: xyz + np.array([1.0, 2.0, 2.0]) for name, xyz in cloud.items()}
            predictions.append(Prediction(f"s{i}", dict.fromkeys(VIEWS, found), {}, moved, measured, seconds=0.5))
        return Trial(examples, predictions)

    return make
