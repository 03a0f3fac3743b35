"""Measuring one view and two with a fake model of known answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image

from inference.drawing import FOUND, LEGEND, TRUTH
from inference.inputs import ImageInput
from inference.measure import measure_views, predict_examples
from inference.measurement_json import report_json
from inference.overlay import draw_overlay
from spine.dataset import Example, ExampleView
from spine.errors import ContractViolation
from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.measurement.registry import PARAMETERS
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry
from spine.storage import write_array_atomically
from tests.inference.fake_model import knowing_model

SHAPE, PX_MM = (512, 256), 1.43


def _spine() -> dict[str, np.ndarray]:
    """39 points of one bent spine, LPS mm."""
    points = {}
    for i, level in enumerate(reversed(VERTEBRAE)):
        for part, t in (("inf", (i + 0.1) / 17), ("sup", (i + 0.9) / 17)):
            points[f"{level}_{part}"] = np.array([22 * np.sin(5 * t), -30 * np.sin(6 * t), -200 + 440 * t])
    points |= {"S1_sup": np.array([0.0, 2.0, -206.0]), "S1_ant": np.array([0.0, -11.0, -216.0])}
    points |= {"S1_post": np.array([0.0, 15.0, -196.0])}
    return points | {"HIP_L": np.array([88.0, -28.0, -300.0]), "HIP_R": np.array([-86.0, -25.0, -298.0])}


GEOMETRY = {v: ViewGeometry(v, SHAPE, (PX_MM, PX_MM), SOURCE_TO_ISOCENTRE_MM[v]) for v in VIEWS}
SPINE = _spine()
POINTS: dict[ViewName, dict[str, np.ndarray]] = {
    v: {n: GEOMETRY[v].project(p) for n, p in SPINE.items()} for v in VIEWS
}
IMAGE = np.random.default_rng(0).integers(0, 4096, SHAPE).astype(np.uint16)


def _inputs(*views: ViewName, calibrated: bool = True) -> dict[ViewName, ImageInput]:
    if not calibrated:
        return {v: ImageInput(IMAGE) for v in views}
    return {v: ImageInput(IMAGE, (PX_MM, PX_MM), "GEOMETRY", GEOMETRY[v]) for v in views}


def test_two_calibrated_views_are_measured_in_3d_with_one_call() -> None:
    model = knowing_model(POINTS, SHAPE)
    found = measure_views(model, _inputs("frontal", "lateral"), "study")
    assert model.session.calls == 1
    assert found.study_id == "study"
    for name, point in SPINE.items():
        np.testing.assert_allclose(found.points_3d[name], point, atol=1e-9)
    assert set(found.parameters) == set(PARAMETERS)
    wanted = measure(planes_from_points_3d(SPINE))
    for name, measured in found.parameters.items():
        # The stiffness of the centre line is chosen from a grid, so even 1e-13 mm can move an angle a little.
        assert measured.value == pytest.approx(wanted[name].value, abs=1.0), name
    assert found.parameters["pelvic_incidence"].value == pytest.approx(wanted["pelvic_incidence"].value, abs=1e-6)
    assert all(m.value is not None for m in found.parameters.values())


ONE_VIEW = [("frontal", "cobb", "pelvic_incidence"), ("lateral", "pelvic_incidence", "cobb")]


@pytest.mark.parametrize(("view", "present", "absent"), ONE_VIEW)
def test_one_view_yields_its_own_plane_and_reasons_for_the_rest(view: ViewName, present: str, absent: str) -> None:
    found = measure_views(knowing_model(POINTS, SHAPE), _inputs(view))
    assert found.points_3d == {}
    assert set(found.points) == {view}
    assert found.parameters[present].value is not None
    assert found.parameters[absent].value is None
    assert "view" in str(found.parameters[absent].absent_reason)


def test_without_calibration_both_views_yield_angles_but_no_lengths() -> None:
    found = measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral", calibrated=False))
    assert found.points_3d == {}
    assert found.parameters["cobb"].value is not None
    assert found.parameters["pelvic_tilt"].value is not None
    assert found.parameters["coronal_balance_t1"].value is None
    assert "spacing" in str(found.parameters["coronal_balance_t1"].absent_reason)


def test_a_landmark_at_two_heights_is_dropped_and_named() -> None:
    shifted = {**POINTS["lateral"]}
    for name in ("HIP_L", "HIP_R"):
        shifted[name] = shifted[name] + [0.0, 30 / PX_MM]
    model = knowing_model({"frontal": POINTS["frontal"], "lateral": shifted}, SHAPE)
    found = measure_views(model, _inputs("frontal", "lateral"))
    assert "HIP_L" not in found.points_3d
    assert found.parameters["pelvic_tilt"].value is None
    assert "different heights" in str(found.parameters["pelvic_tilt"].absent_reason)
    assert found.parameters["sacral_slope"].value is not None


def test_a_lateral_that_measures_as_a_mirrored_one_gets_a_note() -> None:
    mirrored = {name: np.array([SHAPE[1] - 1 - x, y]) for name, (x, y) in POINTS["lateral"].items()}
    for lateral, noted in ((POINTS["lateral"], False), (mirrored, True)):
        found = measure_views(knowing_model({"lateral": lateral}, SHAPE), _inputs("lateral"))
        assert any("may be mirrored" in note for note in found.notes) == noted, found.notes


def test_an_image_with_few_rows_gets_a_note() -> None:
    for rows, noted in ((SHAPE[0], False), (200, True)):
        views: dict[ViewName, ImageInput] = {"lateral": ImageInput(IMAGE[:rows])}
        found = measure_views(knowing_model(POINTS, (rows, SHAPE[1])), views)
        assert any("has only 200 rows" in note for note in found.notes) == noted


def test_no_view_and_unknown_views_are_refused() -> None:
    with pytest.raises(ContractViolation, match="VIEW_UNKNOWN"):
        measure_views(knowing_model(POINTS, SHAPE), {})


def test_examples_are_predicted_in_order_with_progress(tmp_path: Path) -> None:
    write_array_atomically(tmp_path / "p.npy", IMAGE)
    views = {v: ExampleView(v, "p.npy", "p", SHAPE, (PX_MM, PX_MM), "GEOMETRY", GEOMETRY[v], POINTS[v]) for v in VIEWS}
    examples = [Example(f"s{i}", f"s{i}", "test", "drawn", views) for i in range(3)]
    ticks: list[tuple[int, int]] = []
    found = predict_examples(knowing_model(POINTS, SHAPE), tmp_path, examples, lambda d, t: ticks.append((d, t)))
    assert [p.study_id for p in found] == ["s0", "s1", "s2"]
    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_the_overlay_draws_the_landmarks_and_the_banner() -> None:
    found = measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral"))
    given = {v: ImageInput(np.full(SHAPE, 100, np.uint16)) for v in VIEWS}
    plain = draw_overlay(given, {}, {})
    drawn = draw_overlay(given, found.points, found.parameters, truth_points=POINTS, provenance="simulated data")
    assert drawn.size == plain.size
    assert drawn.size[1] > 1000
    difference = np.abs(np.asarray(drawn, dtype=int) - np.asarray(plain, dtype=int)).sum(axis=2)
    assert (difference[74 : 74 + 1150] > 60).sum() > 5000
    banner = np.asarray(drawn)[-46:]
    assert (banner[2, 2] == (255, 196, 64)).all()
    one = draw_overlay({"lateral": ImageInput(IMAGE)}, {"lateral": found.points["lateral"]}, found.parameters)
    assert one.size[0] < drawn.size[0]


def _changed(first: Image, second: Image) -> np.ndarray:
    """(H, W) flags of the pixels that differ."""
    return np.asarray((np.asarray(first, dtype=int) != np.asarray(second, dtype=int)).any(axis=2))


def test_the_overlay_has_a_scale_bar_where_lengths_are_allowed_and_the_identification_if_asked() -> None:
    image, low = np.full(SHAPE, 100, np.uint16), (slice(1150, 74 + 1150), slice(14, 240))
    calibrated: dict[ViewName, ImageInput] = {"frontal": ImageInput(image, (PX_MM, PX_MM), "GEOMETRY")}
    only_frontal: tuple[ViewName, ...] = ("frontal",)
    plain = draw_overlay({"frontal": ImageInput(image, (PX_MM, PX_MM), "UNKNOWN")}, {}, {})
    bar = _changed(plain, draw_overlay(calibrated, {}, {}))
    assert bar[low].any() and not np.delete(bar, np.arange(1100, 1240), axis=0).any()
    columns = np.flatnonzero(bar.any(axis=0))
    drawn_mm = (columns[-1] - columns[0]) / (1150 / SHAPE[0]) * PX_MM
    assert drawn_mm == pytest.approx(100, abs=5)  # the lines are a few mm wide
    assert not _changed(plain, draw_overlay(calibrated, {}, {}, unscaled=only_frontal)).any()
    named = _changed(plain, draw_overlay(calibrated, {}, {}, identification="study 2024-05-03", unscaled=only_frontal))
    assert named[:74].any() and not named[74:].any()
    signed = _changed(plain, draw_overlay(calibrated, {}, {}, footer="model 0123", unscaled=only_frontal))
    assert signed[74 + 1150 : -46].any() and not signed[: 74 + 1150].any() and not signed[-46:].any()


def test_the_legend_names_every_colour_of_the_spine_and_the_reference_only_with_one() -> None:
    given: dict[ViewName, ImageInput] = {"frontal": ImageInput(np.full(SHAPE, 100, np.uint16))}
    plain = draw_overlay(given, {}, {})
    table = np.asarray(plain)[74 : 74 + 1150, -540:].reshape(-1, 3)
    for colour in (FOUND, *LEGEND.values()):
        assert (table == colour).all(axis=1).any()
    assert not (table == TRUTH).all(axis=1).any()
    truth = np.asarray(draw_overlay(given, {}, {}, truth_points={"frontal": POINTS["frontal"]}))
    assert (truth[74 : 74 + 1150, -540:].reshape(-1, 3) == TRUTH).all(axis=1).any()


def test_the_overlay_draws_the_construction_of_a_measured_angle_alone() -> None:
    found = measure_views(knowing_model(POINTS, SHAPE), _inputs("lateral"))
    given: dict[ViewName, ImageInput] = {"lateral": ImageInput(np.full(SHAPE, 100, np.uint16))}
    slope = {"sacral_slope": found.parameters["sacral_slope"]}
    without = {"sacral_slope": replace(slope["sacral_slope"], construction=())}
    changed = _changed(draw_overlay(given, {}, without), draw_overlay(given, found.points, without))
    lines = _changed(draw_overlay(given, found.points, without), draw_overlay(given, found.points, slope))
    assert changed[74:1224].any()
    rows = np.flatnonzero(lines[74:1224, :590].any(axis=1)) / (1150 / SHAPE[0])
    s1 = POINTS["lateral"]["S1_sup"][1]
    assert len(rows) and np.all(np.abs(rows - s1) < 60), "near S1"


@pytest.mark.parametrize("calibrated", [True, False])
def test_an_impossible_length_of_the_spine_withholds_lengths_and_not_angles(calibrated: bool) -> None:
    """T1 to S1 measures 446 mm here. With twice the spacing, it would measure 892 mm."""
    double = {v: replace(GEOMETRY[v], spacing_mm=(2 * PX_MM, 2 * PX_MM)) for v in VIEWS}
    geometry = double if calibrated else dict.fromkeys(VIEWS)
    inputs = {v: ImageInput(IMAGE, (2 * PX_MM, 2 * PX_MM), "GEOMETRY", geometry[v]) for v in VIEWS}
    found = measure_views(knowing_model(POINTS, SHAPE), inputs)
    assert bool(found.points_3d) is calibrated
    balance = found.parameters["coronal_balance_t1"]
    assert (balance.value, balance.absent_code) == (None, "LENGTHS_UNCALIBRATED")
    assert "T1 to S1 would be" in str(balance.absent_reason)
    assert found.parameters["cobb"].value is not None and found.parameters["pelvic_tilt"].value is not None
    assert set(found.lengths_withheld) == set(VIEWS)
    assert sum(note.startswith("no lengths from the") for note in found.notes) == 2
    right = measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral"))
    assert not right.lengths_withheld and not right.notes
    bare = measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", calibrated=False))
    assert set(bare.lengths_withheld) == {"frontal"} and not bare.notes, "no spacing is no contradiction"


def test_images_that_do_not_belong_together_are_reported() -> None:
    """A lateral image 60 mm lower than the frontal one: no landmark is at the same height in both."""
    lowered = {n: p + np.array([0.0, 60.0 / PX_MM]) for n, p in POINTS["lateral"].items()}
    found = measure_views(knowing_model({**POINTS, "lateral": lowered}, SHAPE), _inputs("frontal", "lateral"))
    assert found.views_disagree and len(found.height_mismatches) > 30
    reason = found.parameters["pelvic_tilt"].absent_reason or ""
    assert reason.startswith("not visible: S1_sup") and "at different heights: HIP_L, HIP_R, S1_sup" in reason
    report = report_json(found, knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral"))
    assert report["views_disagree"] is True
    assert not measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral")).views_disagree
