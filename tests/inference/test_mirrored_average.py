"""A frontal image is averaged with its mirror image if the contract says so; a lateral one never is."""

from dataclasses import replace

import numpy as np
import pytest

from inference.detection import detect_landmarks
from inference.model import INPUTS, Model
from spine.landmarks import mirrored_name
from tests.inference.fake_model import CONTRACT, KnowingSession
from tests.inference.test_measure_views import IMAGE, POINTS, SHAPE, _inputs

ASIDE = 3.0
"""Error of the fake network, pixels to the right of its input."""


class _Aside(KnowingSession):
    """Finds every landmark of an image, or of a mirror image, too far to the right; counts the images."""

    def __init__(self):
        moved = {view: {n: p + [ASIDE, 0] for n, p in points.items()} for view, points in POINTS.items()}
        mirrored = {
            mirrored_name(n): np.array([SHAPE[1] - 1 - x + ASIDE, y]) for n, (x, y) in POINTS["frontal"].items()
        }
        super().__init__(moved, SHAPE)
        self.plain, self.mirrored, self.images = moved, {"frontal": mirrored}, 0

    def run(self, outputs, inputs):
        results = []
        for pixels, view in zip(inputs[INPUTS[0]], inputs["view"], strict=True):
            turned = np.corrcoef(pixels[0].ravel(), IMAGE[:, ::-1].ravel())[0, 1] > 0.9
            self.points = self.mirrored if turned else self.plain
            maps, logits = super().run(outputs, {"view": [view]})
            results.append((maps[0], logits[0]))
        self.images += len(results)
        return [np.stack(parts) for parts in zip(*results, strict=True)]


@pytest.mark.parametrize(("asked", "clear", "images"), [(True, False, 3), (True, True, 2), (False, False, 2)])
def test_errors_to_one_side_cancel_in_unclear_frontal_images_only(monkeypatch, asked, clear, images):
    monkeypatch.setattr("inference.detection.is_clear", lambda detection: clear)
    session, averaged = _Aside(), asked and not clear
    model = Model(replace(CONTRACT, mirrored_average=asked), "0" * 64, session)
    found = detect_landmarks(model, _inputs("frontal", "lateral")).decoded
    for view, expected in (("frontal", 0.0 if averaged else ASIDE), ("lateral", ASIDE)):
        assert found[view].points.keys() == POINTS[view].keys()
        for name, point in POINTS[view].items():
            np.testing.assert_allclose(found[view].points[name] - point, [expected, 0], atol=1e-6)
    assert session.images == images
    widths = {view: np.mean(list(found[view].spread_cells.values())) for view in found}
    assert (widths["frontal"] > widths["lateral"] + 0.1) == averaged
