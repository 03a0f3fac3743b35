"""Curves are taken back if vertebrae among which they may lie were not found."""

import numpy as np

from inference.curves import hidden_vertebrae, unseen_above, without_curves
from inference.measure import measure_views
from spine.landmarks import GALBUSERA39, VERTEBRAE
from spine.measurement.registry import Measured
from tests.inference.fake_model import knowing_model
from tests.inference.test_measure_views import IMAGE, POINTS, SHAPE, _inputs

FRONTAL = POINTS["frontal"]
CURVES = ("cobb", "cobb_midline", "cobb_secondary_cranial", "cobb_secondary_caudal")


def _from(top: str) -> dict[str, np.ndarray]:
    seen = VERTEBRAE[VERTEBRAE.index(top) :]
    return {n: p for n, p in FRONTAL.items() if n.split("_")[0] in seen}


def test_hidden_vertebrae_are_two_in_a_row_between_visible_ones():
    names = [n for n in GALBUSERA39.names if n[0] in "TL"]

    def without(*levels):
        lost = [n for n in names if n.split("_")[0] in levels]
        return hidden_vertebrae(lost, [n for n in names if n not in lost])

    assert without("T8", "T9") == ("T8", "T9")
    assert without("T8") == without("T1", "T2") == without("L4", "L5") == without() == ()
    assert without("T4", "T8", "T9") == ("T8", "T9")


def test_hidden_curves_keep_their_own_reason_where_they_were_absent():
    given = {
        "cobb": Measured(30.0, "deg"),
        "cobb_midline": Measured(None, "deg", "why", absent_code="LANDMARKS_NOT_SEEN"),
        "pelvic_tilt": Measured(9.0, "deg"),
    }
    found = without_curves(given, "T8, T9", "LANDMARKS_IN_BLANK_REGION")
    assert found["cobb"].is_absent and "T8, T9" in found["cobb"].absent_reason
    assert (found["cobb_midline"], found["pelvic_tilt"]) == (given["cobb_midline"], given["pelvic_tilt"])
    assert found["cobb"].absent_code == "LANDMARKS_IN_BLANK_REGION"


def test_a_curve_above_the_highest_found_vertebra_is_not_known_if_the_image_shows_its_region():
    found = measure_views(knowing_model({**POINTS, "frontal": _from("T9")}, SHAPE), _inputs("frontal"))
    codes = {name: found.parameters[name].absent_code for name in CURVES}
    assert codes.pop("cobb_secondary_cranial") == "LANDMARKS_NOT_SEEN"  # no whole vertebra above T9 was found
    assert set(codes.values()) == {"CURVE_NOT_SEEN"}
    assert "T1 to T8 were not found" in found.parameters["cobb"].absent_reason
    assert found.parameters["coronal_balance_t1"].absent_code == "LANDMARKS_NOT_SEEN"


def test_a_radiograph_that_ends_above_the_highest_found_vertebra_keeps_its_curve():
    names = GALBUSERA39.names
    assert unseen_above(_from("T9"), IMAGE, names) == VERTEBRAE[:8]
    assert unseen_above(_from("T6"), IMAGE, names) == ()  # five vertebrae are no curve
    cut = int(_from("T9")["T9_sup"][1]) - 3
    assert unseen_above({n: p - [0, cut] for n, p in _from("T9").items()}, IMAGE[cut:], names) == ()
    black = IMAGE.copy()
    black[:cut] = 0
    assert unseen_above(_from("T9"), black, names) == ()  # a radiograph on a black canvas
    assert unseen_above(_from("T9"), IMAGE, [n for n in names if n.startswith("L")]) == ()  # a lumbar model
    assert unseen_above({}, IMAGE, names) == ()
