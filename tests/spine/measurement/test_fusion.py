"""Neighbouring plates overrule a single outlying plate, and only that."""

import numpy as np
import pytest

from benchmarks.neighbour_tilts import departure_from_line, deviations_from_neighbours
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.landmarks import PLATES
from spine.measurement.fusion import ERROR_INFLATION, LINE_DEPARTURE, NEIGHBOUR_DEPARTURE, fuse_tilts
from spine.measurement.measure import measure
from spine.measurement.planes import PlanePoints, planes_from_points_3d
from spine.measurement.tilts import MAX_SIGMA_DEG, line_tilts, plate_tilts

SURE = 1.0
CURVE = {plate: 20 * np.sin(i / 6) for i, plate in enumerate(PLATES)}


def _sigma(value: float) -> dict[str, float]:
    return dict.fromkeys(PLATES, value)


def test_plates_that_agree_stay_as_they_are():
    found, sigma = fuse_tilts(CURVE, _sigma(SURE), "coronal")
    assert max(abs(found[p] - CURVE[p]) for p in PLATES) < 0.5
    assert all(0 < s < SURE * ERROR_INFLATION["coronal"] for s in sigma.values())


def test_one_outlying_plate_is_overruled_and_its_neighbours_are_not():
    outlying = {**CURVE, "T8_sup": CURVE["T8_sup"] + 30.0}
    found, _ = fuse_tilts(outlying, _sigma(SURE), "coronal")
    assert abs(found["T8_sup"] - CURVE["T8_sup"]) < 3
    assert max(abs(found[p] - CURVE[p]) for p in PLATES if p != "T8_sup") < 1.5


def test_a_certain_plate_hardly_moves_and_an_uncertain_one_follows():
    wedge = {**CURVE, "T8_sup": CURVE["T8_sup"] + 4.0}
    sure, _ = fuse_tilts(wedge, _sigma(0.2), "coronal")
    unsure, _ = fuse_tilts(wedge, {**_sigma(0.2), "T8_sup": 5.0}, "coronal")
    assert sure["T8_sup"] > CURVE["T8_sup"] + 3
    assert unsure["T8_sup"] < CURVE["T8_sup"] + 1


def test_a_wider_prior_changes_each_plate_less():
    wedge = {**CURVE, "T8_sup": CURVE["T8_sup"] + 3.0}
    left = [
        fuse_tilts(wedge, _sigma(SURE), "coronal", width)[0]["T8_sup"] - CURVE["T8_sup"] for width in (1.0, 3.0, 100.0)
    ]
    assert 0 < left[0] < left[1] < left[2] <= 3.0 + 1e-6
    assert left[2] == pytest.approx(3.0, abs=0.01)


def test_plates_of_unknown_uncertainty_are_neither_used_nor_changed():
    assert fuse_tilts(CURVE, {}, "sagittal") == ({}, {})
    found, _ = fuse_tilts(CURVE, {"T4_sup": 1.0, "T9_inf": 1.0}, "sagittal")
    assert found == pytest.approx({"T4_sup": CURVE["T4_sup"], "T9_inf": CURVE["T9_inf"]})


def test_neighbours_that_err_together_are_overruled_by_the_line_of_centres():
    wrong = {p: tilt + 12.0 if p in PLATES[14:18] else tilt for p, tilt in CURVE.items()}
    alone, _ = fuse_tilts(wrong, _sigma(SURE), "coronal")
    fused, _ = fuse_tilts(wrong, _sigma(SURE), "coronal", line=CURVE)
    assert alone["T8_sup"] - CURVE["T8_sup"] > 6
    assert fused["T8_sup"] - CURVE["T8_sup"] < 5


def test_a_plate_without_margins_has_the_tilt_of_the_line_and_its_neighbours():
    known = {p: tilt for p, tilt in CURVE.items() if p != "T8_sup"}
    found, sigma = fuse_tilts(known, dict.fromkeys(known, SURE), "coronal", line=CURVE)
    assert found["T8_sup"] == pytest.approx(CURVE["T8_sup"], abs=0.5)
    assert sigma["T8_sup"] > sigma["T8_inf"]
    assert "T8_sup" not in fuse_tilts(known, dict.fromkeys(known, SURE), "sagittal", line=CURVE)[0]


def test_the_line_of_centres_of_an_arc_is_perpendicular_to_its_plates():
    angle = np.linspace(-0.5, 0.5, len(PLATES))
    centres = {p: 400 * np.array([np.cos(a), -np.sin(a)]) for p, a in zip(PLATES, angle, strict=True)}
    found = line_tilts(PlanePoints("coronal", centres))
    assert list(found) == list(PLATES[2:-2])
    assert [found[p] for p in found] == pytest.approx(-np.degrees(angle[2:-2]))
    sideways = {
        f"{p}_{side}": c * (1 + s) for p, c in centres.items() for side, s in (("left", 0.05), ("right", -0.05))
    }
    true = plate_tilts(PlanePoints("coronal", sideways)).degrees
    assert [found[p] for p in found] == pytest.approx([true[p] for p in found])


def test_the_departure_from_the_line_matches_the_virtual_population():
    assert departure_from_line(100, first_seed=90_000) == pytest.approx(LINE_DEPARTURE["coronal"], rel=0.2)


def test_the_prior_matches_the_virtual_population():
    """100 patients against the table's 1000: standard deviations within a third, sagittal means within a degree."""
    for plane, (mean, deviation) in deviations_from_neighbours(100, first_seed=90_000).items():
        table_mean, table_deviation = NEIGHBOUR_DEPARTURE[plane]
        assert np.median(np.abs(np.log(deviation / table_deviation))) < 0.3
        assert np.abs(mean - table_mean).max() < 1.0


def test_an_angle_of_known_landmarks_has_no_uncertainty_and_one_of_found_ones_has():
    points = build_patient(sample_patient(7), 7).reconstruction.points
    reference, sigma = planes_from_points_3d(points), dict.fromkeys(points, 0.8)
    found = planes_from_points_3d(points, {"frontal": sigma, "lateral": sigma})
    exact, estimated = measure(reference), measure(found)
    for name, measured in estimated.items():
        assert exact[name].sigma is None
        if measured.value is not None and measured.detail != {"finding": "no curve to the other side"}:
            assert measured.sigma is not None and 0 < measured.sigma < 6, name
            assert measured.value == pytest.approx(exact[name].value, abs=2.5), name
    doubled = measure(planes_from_points_3d(points, {"lateral": dict.fromkeys(points, 1.6)}))
    assert doubled["pelvic_tilt"].sigma == pytest.approx(2 * estimated["pelvic_tilt"].sigma)
    assert doubled["sacral_slope"].sigma == pytest.approx(2 * estimated["sacral_slope"].sigma)


def test_the_uncertainty_of_an_angle_is_that_of_its_errors():
    """Landmarks moved at random: the errors of the angles are as large as their sigmas."""
    points = build_patient(sample_patient(11), 11).reconstruction.points
    names = ("thoracic_kyphosis_t4_t12", "pelvic_tilt", "sacral_slope", "pelvic_incidence", "t1_pelvic_angle")
    exact = measure(planes_from_points_3d(points))
    random, scores = np.random.default_rng(0), {name: [] for name in names}
    for _ in range(200):
        moved = {n: p + random.normal(0, 0.7, 3) for n, p in points.items()}
        estimated = measure(planes_from_points_3d(moved, {"lateral": dict.fromkeys(moved, 0.7)}))
        for name in names:
            scores[name].append((estimated[name].value - exact[name].value) / estimated[name].sigma)
    for name, values in scores.items():
        assert 0.6 < float(np.sqrt(np.mean(np.square(values)))) < 1.5, name


def test_the_line_through_centres_has_an_uncertainty_too():
    points = build_patient(sample_patient(11), 11).reconstruction.points
    centres = {p: np.array([-points[p][1], points[p][2]]) for p in PLATES}
    estimated = measure({"sagittal": PlanePoints("sagittal", centres, sigma=dict.fromkeys(centres, 1.0))})
    sigma = estimated["thoracic_kyphosis_t4_t12"].sigma
    assert sigma is not None and 0.3 < sigma < 6


def test_a_plate_of_very_uncertain_tilt_without_neighbours_makes_no_angle():
    points = build_patient(sample_patient(11), 11).reconstruction.points
    alone = {n: p for n, p in points.items() if n.split("_")[0] not in ("T2", "T3", "T4")}
    for sd_mm, known in ((0.8, True), (20.0, False)):
        sigma = {n: sd_mm if n.startswith("T1_") else 0.8 for n in alone}
        found = plate_tilts(planes_from_points_3d(alone, {"frontal": sigma})["coronal"])
        assert ("T1_sup" in found.degrees) == ("T1_sup" in found.sigma) == ("T1_sup" in found.method) == known
        assert max(found.sigma.values()) <= MAX_SIGMA_DEG
