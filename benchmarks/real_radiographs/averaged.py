"""Several models asked as one, and a radiograph asked together with its mirror image: what remains is no model's
chance.

Contract: answers where ``inference.model.Model`` would; contract and calibration are the first model's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.model import INPUTS, Model
from spine.landmarks import mirrored_name

Output = list[NDArray[np.float32]]


@dataclass(frozen=True)
class _Sessions:
    """In the place of an onnxruntime session: mean heat maps and logits of several, with mirror images or without."""

    sessions: Sequence[Any]
    partner: Sequence[int]
    mirrored: bool

    def run(self, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Output:
        """As onnxruntime's."""
        asked = [self._once(s, outputs, inputs) for s in self.sessions]
        if self.mirrored:
            turned = {**inputs, INPUTS[0]: np.ascontiguousarray(inputs[INPUTS[0]][..., ::-1])}
            asked += [self._back(self._once(s, outputs, turned)) for s in self.sessions]
        maps, logits = (np.mean([answer[i] for answer in asked], axis=0, dtype=np.float32) for i in range(2))
        return [maps, logits]

    def _once(self, session: Any, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Output:
        answer: Output = session.run(list(outputs), inputs)
        return answer

    def _back(self, answer: Output) -> Output:
        maps, logits = answer
        return [maps[:, self.partner, :, ::-1], logits[:, self.partner]]


def together(models: Sequence[Model], mirrored: bool) -> Model:
    """One model that answers with the mean of ``models`` (frontal views alone may be mirrored)."""
    names = list(models[0].contract.names)
    partner = [names.index(mirrored_name(name)) for name in names]
    return replace(models[0], session=_Sessions([m.session for m in models], partner, mirrored))
