"""Groups of shifts hold their share of new images, and images beyond them get no interval."""

from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import Calibration, SpreadLaw
from spine.dataset import Example, ExampleView, Truth
from spine.landmarks import ViewName
from spine.measurement.registry import Measured
from spine.prediction import Prediction
from training.export.interval_widths import LEAST_PATIENTS, scores_of, with_shifted_groups

LAW = SpreadLaw(1.0, 0.2, 0.0, 2.0)
CALIBRATION = Calibration(200, "drawn", {"frontal": {"centres": LAW}}, {"cobb": 1.7})


def images(count: int, seed: int, low: float, high: float) -> list[tuple[Prediction, Example]]:
    """Images with shifts between ``low`` and ``high``; errors are 1 + 10 shift sigmas and more than the law states."""
    random = np.random.default_rng(seed)
    known = []
    for i in range(count):
        shift = random.uniform(low, high)
        excess = 1.0 + 10.0 * max(shift, 0.0)
        truth = {"cobb": Truth(40.0, "deg")}
        labels = {f"T{k}_sup": np.array([10.0, 30.0 * k]) for k in range(2, 11)}
        points = {n: p + random.normal(0, 0.2 * excess, 2) for n, p in labels.items()}
        view = ExampleView("frontal", "", "0" * 64, (400, 200), None, "NONE", None, labels)
        example = Example(str(i), str(i), "validation", "drawn", {"frontal": view}, truth=truth)
        value = Measured(40.0 + random.normal(0, excess), "deg", sigma=1.0)
        spread: dict[ViewName, dict[str, float]] = {"frontal": dict.fromkeys(points, float(np.exp(shift)))}
        prediction = Prediction(str(i), {"frontal": points}, spread, cell_px={"frontal": 1.0})
        known.append((replace(prediction, parameters={"cobb": value}), example))
    return known


def calibrated(seed: int = 0) -> Calibration:
    return with_shifted_groups(CALIBRATION, images(400, seed, -0.02, 0.02), images(800, seed + 1, -0.02, 0.5))


def covered(calibration: Calibration, known: list[tuple[Prediction, Example]]) -> float:
    found = [calibration.with_intervals(p.parameters, {"frontal": s.shift})["cobb"] for (p, _), s in
             zip(known, scores_of(known), strict=True)]  # fmt: skip
    return float(np.mean([m.interval is not None and m.interval[0] <= 40.0 <= m.interval[1] for m in found]))


@pytest.mark.parametrize(("low", "high"), [(-0.02, 0.018), (0.03, 0.16), (0.18, 0.3), (0.35, 0.48)])
def test_every_group_holds_its_share_of_new_images(low, high):
    assert covered(calibrated(), images(2000, 7, low, high)) == pytest.approx(0.9, abs=0.04)


def test_clear_images_alone_would_not_hold_their_share_of_shifted_ones():
    unlimited = replace(calibrated(), clear={}, shifted=())
    assert covered(unlimited, images(2000, 7, 0.35, 0.48)) < 0.6


def test_regions_of_landmarks_grow_with_the_shift():
    done = calibrated()
    radii = [group.radius for group in done.groups]
    assert radii == sorted(radii) and radii[-1] > 2.0
    assert done.group("frontal", 0.55) is None
    assert [group.patients for group in done.shifted] == pytest.approx([250] * 3, abs=60)


def test_with_few_shifted_images_no_limit_is_set():
    few = with_shifted_groups(CALIBRATION, images(40, 0, -0.02, 0.02), images(LEAST_PATIENTS - 20, 1, 0.1, 0.5))
    assert few == CALIBRATION


def test_intervals_of_unlike_images_hold_in_each_field_of_view():
    plain, whole = images(400, 0, -0.02, 0.02), images(600, 1, -0.02, 0.5)
    cut = [
        (replace(p, parameters={"cobb": replace(p.parameters["cobb"], sigma=0.4)}), e)
        for p, e in images(300, 2, -0.02, 0.5)
    ]
    done = with_shifted_groups(CALIBRATION, plain, whole, cut)
    new = images(2000, 7, 0.05, 0.48)
    assert covered(done, new) > 0.97  # an error of a cut image has more sigmas
    harder = [(replace(p, parameters={"cobb": replace(p.parameters["cobb"], sigma=0.4)}), e) for p, e in new]
    assert covered(done, harder) == pytest.approx(0.9, abs=0.04)
    assert done.widths["cobb"] == pytest.approx(with_shifted_groups(CALIBRATION, plain, whole).widths["cobb"], rel=0.15)
