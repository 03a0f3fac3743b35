"""A fake model with a known answer: narrow heat maps at given points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inference.contract import ModelContract
from inference.decoding import cell_centres, normalised_from_pixels
from inference.model import Model
from inference.preprocessing import letterbox
from spine.landmarks import GALBUSERA39, VIEWS, ViewName

CONTRACT = ModelContract("galbusera39", GALBUSERA39.names, VIEWS, (512, 256), 4, simulated_training_data=True)


class KnowingSession:
    """Stands in for the session of onnxruntime; counts its calls."""

    def __init__(self, points: Mapping[ViewName, Mapping[str, np.ndarray]], shape: tuple[int, int]) -> None:
        self.points = points
        self.affine = letterbox(shape, CONTRACT.input_shape)
        self.calls = 0

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        self.calls += 1
        maps, logits = zip(*(self._image(VIEWS[int(v)]) for v in inputs["view"]), strict=True)
        return [np.stack(maps), np.stack(logits)]

    def _image(self, view: ViewName) -> tuple[np.ndarray, np.ndarray]:
        h, w = CONTRACT.heatmap_shape
        maps = np.full((len(CONTRACT.names), h, w), 1 / (h * w))
        logits = np.full(len(CONTRACT.names), -9.0)
        for k, name in enumerate(CONTRACT.names):
            if name in self.points[view]:
                x, y = normalised_from_pixels(self.affine.apply(self.points[view][name]), CONTRACT.input_shape)
                maps[k] = np.outer(_two_cells(y, h), _two_cells(x, w))
                logits[k] = 9.0
        return maps.astype(np.float64), logits.astype(np.float32)


def knowing_model(points: Mapping[ViewName, Mapping[str, np.ndarray]], shape: tuple[int, int]) -> Model:
    """A model whose expectation is exactly ``points``."""
    session: Any = KnowingSession(points, shape)
    return Model(CONTRACT, "0" * 64, session)


def _two_cells(value: float, count: int) -> np.ndarray:
    """A distribution over cells whose mean is ``value``."""
    centres = cell_centres(count)
    low = int(np.clip(np.searchsorted(centres, value) - 1, 0, count - 2))
    share = (value - centres[low]) / (centres[low + 1] - centres[low])
    weights = np.zeros(count)
    weights[low], weights[low + 1] = 1 - share, share
    return weights
