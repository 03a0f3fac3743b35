"""An image of no whole spine is refused with a reason, and a whole spine passes."""

from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import Calibration
from inference.input_check import InputFeatures, InputLimits, covers_every_vertebra, features_of, limits_from
from inference.measure import REFUSED, measure_views
from inference.measurement_json import report_json
from spine.landmarks import CORNERS68, GALBUSERA39, MARGINS175, PLATES, VERTEBRAE, VIEWS
from tests.inference.fake_model import CONTRACT, knowing_model
from tests.inference.test_measure_views import POINTS, SHAPE, SPINE, _inputs

NARROW = dict.fromkeys(SPINE, 1.0)
FRONTAL = POINTS["frontal"]


def _between(top: str, bottom: str) -> dict[str, np.ndarray]:
    kept = VERTEBRAE[VERTEBRAE.index(top) : VERTEBRAE.index(bottom) + 1]
    return {n: p for n, p in FRONTAL.items() if n.split("_")[0] in kept}


def test_a_whole_a_thoracolumbar_and_a_lumbar_spine_pass():
    lumbar = {**_between("L1", "L5"), "S1_sup": FRONTAL["S1_sup"]}
    for points in (FRONTAL, _between("T9", "L5"), lumbar):
        assert InputLimits().violations(features_of(points, NARROW)) == []


@pytest.mark.parametrize(
    ("points", "spread", "word"),
    [
        (_between("T1", "T12"), 1.0, "no lumbar spine: the lowest vertebra seen is T12"),
        (_between("L1", "L5"), 1.0, "5 vertebrae seen, at least 7 expected"),
        ({**_between("L4", "L5"), "S1_sup": FRONTAL["S1_sup"]}, 1.0, "2 vertebrae seen, at least 3 expected"),
        (FRONTAL, 4.0, "no vertebra is clearly visible"),
        ({n: np.array([p[0], -p[1]]) for n, p in FRONTAL.items()}, 1.0, "order from head to foot"),
        ({}, 1.0, "no spine is found"),
    ],
)
def test_other_images_are_refused(points, spread, word):
    broken = InputLimits().violations(features_of(points, dict.fromkeys(SPINE, spread)))
    assert any(word in reason for reason in broken)


def test_a_long_column_has_wider_limits_than_a_short_one():
    doubtful = InputFeatures(vertebrae=17, lowest=16, downwards=0.85, width_cells=2.5)
    assert InputLimits().violations(doubtful) == []
    assert len(InputLimits().violations(replace(doubtful, vertebrae=11))) == 2
    assert InputLimits().violations(replace(doubtful, lowest=12))  # a chest is still refused


def test_margins_stand_for_centres():
    points = {f"{p}_{s}": FRONTAL[p] + [d, 0.0] for p in PLATES for s, d in (("left", 9.0), ("right", -9.0))}
    features = features_of(points, dict.fromkeys(points, 1.1))
    assert features == InputFeatures(17, 16, 1.0, pytest.approx(1.1))
    assert covers_every_vertebra(CORNERS68.names) and covers_every_vertebra(MARGINS175.names)
    assert not covers_every_vertebra([n for n in GALBUSERA39 if not n.startswith("T3")])


def test_limits_widen_for_a_poor_model_and_never_narrow():
    good, poor = InputFeatures(17, 16, 1.0, 1.0), InputFeatures(3, 9, 0.6, 4.0)
    assert limits_from([good] * 100) == InputLimits()
    assert limits_from([good] * 99 + [poor]) == InputLimits()  # one in a hundred may be refused
    assert limits_from([poor] * 10).violations(poor) == []
    assert limits_from([]) == InputLimits()


def _model(limits: InputLimits | None):
    model = knowing_model({**POINTS, "frontal": _between("T1", "T11")}, SHAPE)
    return replace(model, contract=replace(CONTRACT, calibration=Calibration(1, "none", limits=limits)))


def test_a_refused_view_leaves_the_other_measured():
    found = measure_views(_model(InputLimits()), _inputs("frontal", "lateral"))
    assert set(found.refused) == {"frontal"} and found.points["frontal"] == {}
    assert not found.points_3d
    assert found.parameters["pelvic_tilt"].value is not None  # of the lateral view, in its own plane
    assert found.parameters["cobb"].value is None
    assert found.parameters["cobb"].absent_reason.startswith(f"{REFUSED} (frontal): no lumbar spine")
    report = report_json(found, _model(InputLimits()), _inputs("frontal", "lateral"))
    assert report["refused"] == dict(found.refused)


def test_a_model_without_limits_refuses_nothing():
    found = measure_views(_model(None), _inputs(*VIEWS))
    assert not found.refused and found.parameters["cobb"].value is not None


def test_the_tag_of_another_body_part_refuses_a_short_column_only():
    lumbar = {**_between("L1", "L5"), "S1_sup": FRONTAL["S1_sup"]}
    for points, refused in ((FRONTAL, False), (lumbar, True)):
        model = knowing_model({**POINTS, "frontal": points}, SHAPE)
        model = replace(model, contract=replace(CONTRACT, calibration=Calibration(1, "none", limits=InputLimits())))
        inputs = _inputs(*VIEWS)
        inputs["frontal"] = replace(inputs["frontal"], body_part="chest")
        found = measure_views(model, inputs)
        assert ("the tag BodyPartExamined names the chest" in found.refused.values()) == refused
