"""Several models as one.

Contract: the ensemble has the contract and the calibration of the first model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.model import Model

Output = list[NDArray[np.float32]]


@dataclass(frozen=True)
class _Sessions:
    """An onnxruntime session that returns the mean heat maps and logits of several sessions."""

    sessions: Sequence[Any]

    def run(self, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Output:
        """Run all sessions."""
        results: list[Output] = [s.run(list(outputs), inputs) for s in self.sessions]
        return [np.asarray(np.mean([r[i] for r in results], axis=0, dtype=np.float32)) for i in range(2)]


def ensemble(models: Sequence[Model]) -> Model:
    """One model whose heat maps and logits are the means of those of ``models``."""
    return models[0] if len(models) == 1 else replace(models[0], session=_Sessions([m.session for m in models]))


def with_mirrored_average(model: Model) -> Model:
    """The model, made to average each frontal image with its mirror image; its calibration stays."""
    return replace(model, contract=replace(model.contract, mirrored_average=True))
