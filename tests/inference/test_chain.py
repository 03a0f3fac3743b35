"""Vertebrae outside the chain are dropped and listed, and every vertebra of a possible spine is kept."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.real_radiographs.figures import radiograph_figures
from benchmarks.real_radiographs.predictions import frontal_plane
from inference.calibration import Calibration, SpreadLaw
from inference.chain import longest_chain, out_of_chain
from inference.measure import measure_views
from inference.measurement_json import report_json
from inference.overlay import warnings_of
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.landmarks import MARGINS175, VERTEBRAE, VIEWS, level_of
from spine.measurement.tilts import plate_tilts, vertebra_tilts
from tests.inference.fake_model import CONTRACT, knowing_model
from tests.inference.test_measure_views import POINTS, SHAPE, _inputs

FRONTAL = POINTS["frontal"]
PITCH = 20.0


def _moved(level: str, by: tuple[float, float]) -> dict[str, np.ndarray]:
    return {n: p + np.array(by) if level_of(n) == level else p for n, p in FRONTAL.items()}


def _levels(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(v for v in VERTEBRAE if v in {level_of(n) for n in names})


def _corners(degrees: np.ndarray, half_width: float = 15.0) -> dict[str, np.ndarray]:
    """Four corners of each vertebra of a spine whose line of centres and vertebrae have these tilts, (17,)."""
    points, centre = {}, np.array([100.0, 20.0])
    for level, tilt in zip(VERTEBRAE, np.radians(degrees), strict=True):
        down, across = np.array([np.sin(tilt), np.cos(tilt)]), np.array([np.cos(tilt), -np.sin(tilt)])
        for side, along in (("sup", -7.0), ("inf", 7.0)):
            points[f"{level}_{side}_left"] = centre + along * down + half_width * across
            points[f"{level}_{side}_right"] = centre + along * down - half_width * across
        centre = centre + PITCH * down
    return points


@pytest.mark.parametrize(
    ("level", "by"), [("T6", (60.0, 0.0)), ("T1", (0.0, 90.0)), ("L5", (-70.0, -30.0)), ("T9", (0.0, -24.0))]
)
def test_a_stray_vertebra_is_dropped_listed_and_named_and_makes_no_angle(level, by):
    true = measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal")).parameters["cobb"].value
    model = knowing_model({**POINTS, "frontal": _moved(level, by)}, SHAPE)
    found = measure_views(model, _inputs("frontal"))
    lost = {n for n in FRONTAL if level_of(n) == level}
    assert found.dropped["frontal"] == dict.fromkeys(lost, "LANDMARKS_OUT_OF_CHAIN")
    assert not lost & set(found.points["frontal"])
    assert report_json(found, model, _inputs("frontal"))["views"]["frontal"]["dropped"].keys() == lost
    assert any(f"{level} left out" in warning for warning in warnings_of(found))
    assert found.parameters["cobb"].value == pytest.approx(true, abs=4.0)


def test_a_parameter_of_a_dropped_vertebra_says_so_and_two_in_a_row_take_the_curve():
    found = measure_views(knowing_model({**POINTS, "frontal": _moved("T1", (0.0, 90.0))}, SHAPE), _inputs("frontal"))
    assert found.parameters["coronal_balance_t1"].absent_code == "LANDMARKS_OUT_OF_CHAIN"
    strays = {**_moved("T7", (70.0, 0.0)), **{n: p for n, p in _moved("T8", (-70.0, 0.0)).items() if n[:2] == "T8"}}
    found = measure_views(knowing_model({**POINTS, "frontal": strays}, SHAPE), _inputs("frontal"))
    assert found.parameters["cobb"].absent_code == "LANDMARKS_OUT_OF_CHAIN"
    assert "out of line with the other vertebrae: T7, T8" in found.parameters["cobb"].absent_reason


@pytest.mark.parametrize("bend", [0.0, 25.0, 50.0, 65.0])
def test_every_vertebra_of_a_severe_curve_is_kept(bend):
    assert out_of_chain(_corners(bend * np.sin(np.linspace(0, 2 * np.pi, 17)))) == ()


def test_every_vertebra_of_virtual_patients_is_kept_in_both_planes():
    for seed in range(7000, 7040):
        points = build_patient(sample_patient(seed), seed).reconstruction.points
        for axis, view in enumerate(VIEWS):
            seen = {n: np.array([points[n][axis], -points[n][2]]) for n in MARGINS175.names_in(view) if n in points}
            assert out_of_chain(seen) == (), seed


def test_plates_of_impossible_length_and_ends_across_the_chain_are_dropped():
    straight = _corners(np.zeros(17))
    middle = straight["T6_sup_left"] - [15.0, 0.0]
    long = {**straight, "T6_sup_left": middle + [40.0, 0.0], "T6_sup_right": middle - [40.0, 0.0]}
    assert _levels(out_of_chain(long)) == ("T6",)
    upright = {f"L5_{s}_{e}": straight[f"L5_{s}_{e}"][::-1] for s in ("sup", "inf") for e in ("left", "right")}
    turned = {n: straight[n] + p - straight[n[:7] + "right"][::-1] for n, p in upright.items()}
    assert _levels(out_of_chain({**straight, **turned})) == ("L5",)


def test_the_longest_chain_wins_and_a_gap_of_three_ends_it():
    column = {v: np.array([0.0, PITCH * i]) for i, v in enumerate(VERTEBRAE)}
    kept = {v: c for v, c in column.items() if v not in ("T4", "T5", "T6")}
    assert longest_chain(kept) == VERTEBRAE[6:]
    assert longest_chain({v: c for v, c in column.items() if v not in ("T4", "T5")}) == (*VERTEBRAE[:3], *VERTEBRAE[5:])
    assert longest_chain({"T1": np.zeros(2), "T9": np.ones(2)}) == ("T1", "T9")  # no neighbours: nothing to compare
    assert longest_chain({}) == ()
    assert longest_chain({"T1": np.zeros(2), "T2": np.zeros(2)}) == ("T1", "T2")


def test_the_benchmark_scores_the_number_that_is_reported():
    laws = {"frontal": {"centres": SpreadLaw(floor=1.0, error=0.1, gain=0.5, radius=2.0)}}
    calibration = Calibration(60, "test", laws, {"cobb_midline": 2.0})
    model = knowing_model({**POINTS, "frontal": _moved("T6", (60.0, 0.0))}, SHAPE)
    model = replace(model, contract=replace(CONTRACT, calibration=calibration))
    given = _inputs("frontal", calibrated=False)
    found = measure_views(model, given)
    plane = frontal_plane(found, given, calibration)
    corners, seen = np.zeros((17, 4, 2)), np.zeros((17, 4), dtype=bool)
    scored = radiograph_figures(found, plane, corners, seen, np.zeros(3), float(SHAPE[0])).found
    assert scored[0] == found.parameters["cobb_midline"].value
    assert scored[0] == np.ptp(list(vertebra_tilts(plane, plate_tilts(plane)).values()))  # the others have these tilts
    assert "T6" not in vertebra_tilts(plane, plate_tilts(plane)) and np.isfinite(scored).all()
    absent = replace(found, parameters=found.parameters | {"cobb_midline": found.parameters["pelvic_tilt"]})
    assert np.isnan(radiograph_figures(absent, plane, corners, seen, np.zeros(3), float(SHAPE[0])).found).all()
