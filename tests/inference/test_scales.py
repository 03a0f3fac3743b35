"""An image whose landmarks are unclear is run at the model's other scales; a clear one is run once."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from inference.detection import detect_landmarks
from inference.model import INPUTS, Model
from inference.preprocessing import letterbox
from tests.inference.fake_model import CONTRACT, KnowingSession
from tests.inference.test_measure_views import POINTS, SHAPE, _inputs

SCALES = (1.0, 0.7, 0.5)


class _SharpAt(KnowingSession):
    """Maps are narrow only for an image that fills this share of the input; they are where its landmarks are."""

    def __init__(self, sharp: float | None) -> None:
        super().__init__(POINTS, SHAPE)
        self.sharp, self.images = sharp, 0

    def run(self, outputs, inputs):
        results = []
        for pixels, view in zip(inputs[INPUTS[0]], inputs["view"], strict=True):
            rows = (pixels[0].max(axis=1) > -1).sum()
            scale = min(SCALES, key=lambda s: abs(_affine(s).matrix[1, 1] * SHAPE[0] - rows))
            self.affine = _affine(scale)
            maps, logits = super().run(outputs, {"view": [view]})
            results.append((maps[0] if scale == self.sharp else _blurred(maps[0]), logits[0]))
        self.images += len(results)
        return [np.stack(parts) for parts in zip(*results, strict=True)]


def _affine(scale):
    return letterbox(SHAPE, CONTRACT.input_shape, scale=scale)


def _blurred(maps):
    wide = gaussian_filter1d(gaussian_filter1d(maps, 2.0, axis=1, mode="reflect"), 2.0, axis=2, mode="reflect")
    return wide / wide.sum(axis=(1, 2), keepdims=True)


def found(sharp, scales=SCALES):
    session = _SharpAt(sharp)
    detection = detect_landmarks(
        Model(replace(CONTRACT, scales=scales), "0" * 64, session), _inputs("frontal", "lateral")
    )
    return detection.decoded, session.images


@pytest.mark.parametrize(("sharp", "images"), [(1.0, 2), (0.7, 6), (0.5, 6)])
def test_landmarks_come_from_the_scale_with_the_narrowest_maps(sharp, images):
    decoded, run = found(sharp)
    assert run == images
    for view, points in POINTS.items():
        assert decoded[view].cell_px == pytest.approx(decoded["frontal"].cell_px)
        for name, point in points.items():
            assert np.abs(decoded[view].points[name] - point).max() < 0.1
    assert decoded["frontal"].cell_px == pytest.approx(found(1.0)[0]["frontal"].cell_px / sharp)


def test_a_model_of_one_scale_runs_an_unclear_image_once():
    decoded, run = found(0.5, scales=(1.0,))
    assert run == 2
    assert np.mean(list(decoded["frontal"].spread_cells.values())) > 1.5


def test_the_first_scale_stays_where_no_other_is_clearer():
    decoded, run = found(None)
    assert run == 6
    assert decoded["frontal"].cell_px == pytest.approx(found(1.0)[0]["frontal"].cell_px)


def _half_size():
    """A whole image in which the spine has half its size, and the landmarks there."""
    return {v: {n: p / 2 + [64, 128] for n, p in points.items()} for v, points in POINTS.items()}


@pytest.mark.parametrize(("scales", "runs"), [(SCALES, 2), ((1.0,), 1)])
def test_a_small_spine_is_run_again_enlarged(scales, runs):
    session = KnowingSession(_half_size(), SHAPE)
    model = Model(replace(CONTRACT, scales=scales), "0" * 64, session)
    detect_landmarks(model, _inputs("lateral"))
    assert session.calls == runs


def test_a_spine_of_usual_size_is_run_once():
    session = KnowingSession(POINTS, SHAPE)
    detect_landmarks(Model(replace(CONTRACT, scales=SCALES), "0" * 64, session), _inputs("lateral"))
    assert session.calls == 1
