"""A frontal image is averaged with its mirror image if the contract says so; a lateral one never is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference.model import Model
from tests.inference.fake_model import CONTRACT

TWO = replace(CONTRACT, names=("HIP_L", "HIP_R"), input_shape=(8, 16))


class _Fixed:
    """Finds the left hip left of the middle, a cell below the right hip, whatever the image shows."""

    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}

    def run(self, outputs: object, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.inputs = inputs
        maps = np.zeros((len(inputs["view"]), 2, 2, 4), np.float32)
        maps[:, 0, 1, 0] = maps[:, 1, 0, 2] = 1.0
        return [maps, np.tile(np.float32([3.0, -1.0]), (len(maps), 1))]


def _run(mirrored: bool, *views: Any) -> tuple[Any, dict[str, np.ndarray]]:
    session = _Fixed()
    model = Model(replace(TWO, mirrored_average=mirrored), "0" * 64, session)
    pixels = np.arange(len(views) * 8 * 16, dtype=np.float32).reshape(len(views), 1, 8, 16)
    return model.run(pixels, views), session.inputs


def test_a_frontal_image_gets_the_mean_with_its_mirror_image() -> None:
    output, inputs = _run(True, "lateral", "frontal")
    assert inputs["view"].tolist() == [1, 0, 0]
    assert (inputs["picture"][2] == inputs["picture"][1][..., ::-1]).all()
    lateral, frontal = output.heatmaps
    assert np.argwhere(lateral).tolist() == [[0, 1, 0], [1, 0, 2]]
    # The right hip, found in column 2 of the mirror image, is the left hip in column 1.
    assert np.argwhere(frontal == 0.5).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 2], [1, 1, 3]]
    assert output.visibility.tolist() == [[3, -1], [1, 1]]


@pytest.mark.parametrize(("mirrored", "views"), [(False, ("frontal", "lateral")), (True, ("lateral",))])
def test_nothing_else_is_run_twice(mirrored: bool, views: tuple[str, ...]) -> None:
    output, inputs = _run(mirrored, *views)
    assert len(inputs["view"]) == len(views)
    assert np.isin(output.heatmaps, (0, 1)).all()
