"""Predictions are the same for any number of workers, and a worker checks the model that it opens."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundled import BUNDLED_NAME, open_bundled
from orchestration.pipeline.predicting import BATCH, ModelOfTask, predict_on_workers
from spine.dataset import Example, ExampleView
from spine.errors import EvidenceRejected
from spine.prediction import Prediction
from spine.storage import write_array_atomically
from spine.work import LocalWork
from tests.spine.intake.constructed_studies import image, places, points


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequence[Example]]:
    """A folder with the images of one study more than a worker gets at a time."""
    folder, examples = tmp_path_factory.mktemp("dataset"), []
    for seed in range(BATCH + 1):
        views = {}
        for name, place in places().items():
            file = f"{seed}-{name}.npy"
            write_array_atomically(folder / file, image(place, points(seed), seed))
            views[name] = ExampleView(name, file, "", place.shape, place.spacing_mm, "GEOMETRY", place, {})
        examples.append(Example(f"study-{seed}", f"p{seed}", "test", "folder", views))
    return folder, examples


def _without_time(predictions: Sequence[Prediction]) -> list[str]:
    with np.printoptions(floatmode="unique", threshold=100_000):
        return [repr(replace(prediction, seconds=0.0)) for prediction in predictions]


def test_two_workers_predict_what_one_process_predicts(dataset: tuple[Path, Sequence[Example]]) -> None:
    model, calls = ModelOfTask(BUNDLED_NAME, open_bundled().digest), []
    one = predict_on_workers(model, *dataset, LocalWork(1), lambda done, total: calls.append((done, total)))
    two = predict_on_workers(model, *dataset, LocalWork(2))
    assert [p.study_id for p in two] == [e.study_id for e in dataset[1]]
    assert any(p.spread_px for p in one)
    assert _without_time(one) == _without_time(two)
    assert calls == [(n + 1, BATCH + 1) for n in range(BATCH + 1)]


def test_a_model_that_was_replaced_is_refused(dataset: tuple[Path, Sequence[Example]]) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        predict_on_workers(ModelOfTask(BUNDLED_NAME, "0" * 64), *dataset, LocalWork(1))
    assert refused.value.code == "MODEL_ALTERED"
