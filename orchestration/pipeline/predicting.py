"""Predictions of many studies by one model, on every worker.

Contract: the network has one thread in each process. The last bits of its sums depend on the number of threads, so the
predictions are the same for any number of workers and cores. A process opens a model once.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from inference.bundled import find_model_folder
from inference.measure import predict_example
from inference.model import Model, load_model
from spine.dataset import Example
from spine.prediction import Prediction
from spine.types import Progress
from spine.work import Work

BATCH = 4
"""Studies that a worker gets at a time: about a second."""


@dataclass(frozen=True)
class ModelOfTask:
    """A model that workers open.

    Attributes:
        name: path of the model's folder, or ``bundled``, because machines may have the bundled model elsewhere.
        digest: the digest that the model must have.
    """

    name: str
    digest: str

    def open(self) -> Model:
        """The model, from this process's memory after the first call.

        Raises:
            EvidenceRejected: ``MODEL_ALTERED``, and as ``load_model``.
        """
        return _opened(self.name, self.digest)


@lru_cache(maxsize=1)
def _opened(name: str, digest: str) -> Model:
    return load_model(find_model_folder(name), expected_digest=digest, threads=1)


def predict_on_workers(
    model: ModelOfTask, dataset: Path, examples: Sequence[Example], work: Work, progress: Progress | None = None
) -> list[Prediction]:
    """Measure examples of a dataset, in their order, in the views that the model was trained for."""
    predictions: list[Prediction] = []
    with closing(work.run(partial(_predicted, model, dataset), examples, batch=BATCH)) as found:
        for prediction in found:
            predictions.append(prediction)
            if progress is not None:
                progress(len(predictions), len(examples))
    return predictions


def _predicted(model: ModelOfTask, dataset: Path, example: Example) -> Prediction:
    return predict_example(model.open(), dataset, example)
