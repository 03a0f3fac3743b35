"""Several models as one, with or without mirrored radiographs.

Contract: the ensemble has the contract and the calibration of the first model.
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
    """An onnxruntime session that returns the mean heat maps and logits of several sessions."""

    sessions: Sequence[Any]
    partner: Sequence[int]
    mirrored: bool

    def run(self, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Output:
        """Run all sessions."""
        results: list[Output] = [s.run(list(outputs), inputs) for s in self.sessions]
        if self.mirrored:
            mirrored = {**inputs, INPUTS[0]: np.ascontiguousarray(inputs[INPUTS[0]][..., ::-1])}
            results += [self._mirror_back(s.run(list(outputs), mirrored)) for s in self.sessions]
        return [np.asarray(np.mean([r[i] for r in results], axis=0, dtype=np.float32)) for i in range(2)]

    def _mirror_back(self, result: Output) -> Output:
        maps, logits = result
        return [maps[:, self.partner, :, ::-1], logits[:, self.partner]]


def ensemble(models: Sequence[Model], mirrored: bool) -> Model:
    """One model whose heat maps and logits are the means of those of ``models``; only frontal views may be mirrored."""
    names = list(models[0].contract.names)
    partner = [names.index(mirrored_name(name)) for name in names]
    return replace(models[0], session=_Sessions([m.session for m in models], partner, mirrored))
