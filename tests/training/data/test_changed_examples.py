"""Changed images keep their labels on the same anatomy, and their positions in the scanner."""

from dataclasses import replace

import numpy as np
import pytest

from inference.measure import parameters_of
from spine.dataset import Truth
from spine.prediction import Prediction
from training.data import changed_examples
from training.data.changed_examples import changed_example, changed_greys, unchanged_example


@pytest.fixture
def only(monkeypatch):
    """Draw one field of view and leave the grey values."""

    def choose(field: str) -> None:
        monkeypatch.setattr(changed_examples, "FIELDS", {field: 1.0})
        monkeypatch.setattr(changed_examples, "changed_greys", lambda image, random: image)

    return choose


@pytest.mark.parametrize("field", ["whole", "bordered", "thoracolumbar", "lumbar"])
def test_labels_and_geometry_follow_the_window(drawn, only, field):
    only(field)
    folder, manifest = drawn
    for example in tuple(manifest.examples())[:6]:
        plain, changed = unchanged_example(folder, example), changed_example(folder, example)
        for view, record in changed.example.views.items():
            image, before = changed.inputs[view].image, example.views[view]
            assert image.shape == record.shape == (record.geometry.shape if record.geometry else record.shape)
            assert record.points
            for name, point in record.points.items():
                old = before.points[name]
                column, row = np.rint(point).astype(int)
                right, down = np.rint(old - point).astype(int)
                assert old - point == pytest.approx([right, down], abs=1e-9)
                assert image[row, column] == plain.inputs[view].image[row + down, column + right]
                assert record.geometry and before.geometry
                there = before.geometry.plane_from_pixels(old)
                assert record.geometry.plane_from_pixels(point) == pytest.approx(there, abs=1e-9)
        if field == "lumbar" and changed.example.views["lateral"].shape != example.views["lateral"].shape:
            assert "L3_sup" in changed.example.views["lateral"].points
            assert "T4_sup" not in changed.example.views["lateral"].points


def test_a_cut_curve_is_that_of_the_vertebrae_found(drawn, only):
    only("thoracolumbar")
    folder, manifest = drawn
    known = {"cobb": Truth(99.0, "deg"), "sacral_slope": Truth(40.0, "deg")}
    changed = changed_example(folder, replace(next(manifest.examples()), truth=known))
    seen = {view: dict(record.points) for view, record in changed.example.views.items()}
    in_space = {n: p for n, p in changed.example.points_3d.items() if all(n in points for points in seen.values())}
    prediction = Prediction("one", seen, points_3d=in_space)
    truth = changed.reference(prediction).truth
    expected = parameters_of(seen, in_space, changed.example.views, {})
    assert truth["cobb"].value == expected["cobb"].value is not None
    assert truth["sacral_slope"] == known["sacral_slope"]
    whole = replace(changed, is_cut=False)
    assert whole.reference(prediction) == whole.example


def test_the_same_seed_gives_the_same_version(drawn):
    folder, manifest = drawn
    one, two, other = (changed_example(folder, tuple(manifest.examples())[1], seed) for seed in (0, 0, 1))
    assert (one.inputs["frontal"].image == two.inputs["frontal"].image).all()
    same_shape = one.inputs["frontal"].image.shape == other.inputs["frontal"].image.shape
    assert not same_shape or (one.inputs["frontal"].image != other.inputs["frontal"].image).any()


def test_every_change_of_grey_values_is_visible_and_stays_in_range():
    image = (np.random.default_rng(0).random((120, 60)) * 4095).astype(np.uint16)
    for seed in range(30):
        changed = changed_greys(image, np.random.default_rng(seed))
        assert changed.shape == image.shape and changed.dtype == np.uint16 and changed.max() <= 4095
        assert np.abs(changed.astype(float) - image).mean() > 20
