"""The benchmark of fields of view: cuts, level shifts and the cells of its table."""

import numpy as np
import pytest

from benchmarks.fields_of_view import Radiograph, Result, _levels_off, row_of
from spine.landmarks import LEVELS, MARGINS175
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.prediction import Prediction

ROWS = {level: 40.0 + 24.0 * i for i, level in enumerate(LEVELS)}
POINTS = {
    name: np.array([100.0 + (9.0 if name.endswith("ant") else -9.0), ROWS[level] + (0.0 if "sup" in name else 18.0)])
    for level in LEVELS
    for name in MARGINS175.names
    if name.startswith(f"{level}_")
}
WHOLE = Radiograph("lateral", "whole", np.ones((520, 200), np.uint16), POINTS, 1.0)


@pytest.mark.parametrize(
    ("field", "shown", "hidden"),
    [("lumbar", ("L1", "S1"), ("T1", "T9")), ("thoracolumbar", ("T9", "S1"), ("T1", "T3"))],
)
def test_a_cut_shows_the_levels_of_its_field(field, shown, hidden):
    random = np.random.default_rng(3)
    for _ in range(20):
        part = WHOLE.cut(field, random)
        assert part is not None
        levels = {name.split("_")[0] for name in part.shown}
        assert levels.issuperset(shown)
        assert levels.isdisjoint(hidden)


def test_an_image_without_a_sacrum_is_not_cut():
    points = {name: point for name, point in POINTS.items() if not name.startswith("S1")}
    assert Radiograph("lateral", "whole", WHOLE.image, points, 1.0).cut("lumbar", np.random.default_rng(1)) is None


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_levels_that_are_named_too_high_or_too_low_are_counted(shift):
    found = {f"{LEVELS[i]}_sup": POINTS[f"{LEVELS[i + shift]}_sup"] for i in range(3, 15)}
    assert _levels_off(found, POINTS) == shift
    assert _levels_off({}, POINTS) is None


def test_a_row_counts_refusals_and_untold_errors():
    truth = measure(planes_from_view("lateral", POINTS, (1.0, 1.0), "GEOMETRY"))
    absent = measure(planes_from_view("lateral", {}, (1.0, 1.0), "GEOMETRY"))
    right = Result(Prediction("a", {"lateral": POINTS}, parameters=truth), truth, 0)
    refused = Result(Prediction("b", {}, parameters=absent, refused={"lateral": "none"}), truth, None)
    off = Result(Prediction("c", {"lateral": POINTS}, parameters=truth), truth, 1)
    cells = row_of([right, refused, off, off])
    assert cells[:5] == ("4", "25.0", "0.0", "50.0", "50.0")
    assert cells[-1] == "0.0"
