"""Every reference angle says whether it rests on plate margins or on centres alone."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.plate_centres import without_margins
from spine.dataset import read_manifest
from spine.dataset_writing import write_manifest
from spine.landmarks import GALBUSERA39, MARGINS175
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.measurement.registry import CENTRES_NOTE
from tests.validation.dataset.constructed_datasets import BIPLANAR, add_study, spine_points

ANGLES = ("thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "lumbar_lordosis_l1_s1", "pi_minus_ll", "cobb")
WITHOUT_PLATES = ("pelvic_incidence", "pelvic_tilt", "sacral_slope", "t1_pelvic_angle")


def _centres(curve_mm: float) -> dict[str, np.ndarray]:
    return {n: p for n, p in spine_points(curve_mm).items() if n in GALBUSERA39.index}


def test_margins_are_used_wherever_a_reconstruction_has_them(biplanar, workspace):
    add_study(workspace / "store", 90, points=_centres(20.0))
    manifest = biplanar(8, landmark_set=MARGINS175)
    by_id = {example.study_id: example for example in manifest.examples()}
    poor = by_id[f"{90:016x}"]
    assert [e.study_id for e in manifest.index() if e.from_centres] == [poor.study_id]
    for name in ANGLES:
        assert poor.truth[name].definition == "centres" and poor.truth[name].value is not None, name
    assert all(poor.truth[name].definition is None for name in WITHOUT_PLATES)
    whole = next(e for e in by_id.values() if e is not poor)
    assert all(whole.truth[name].definition == "margins" for name in ANGLES)
    assert set(poor.views["frontal"].points) <= set(GALBUSERA39.names)  # what is there is used
    assert "T8_sup_left" in whole.views["frontal"].points
    assert read_manifest(workspace / "dataset") == manifest


def test_a_severe_curve_from_centres_is_a_warning_and_the_report_states_the_error(biplanar, workspace, validated):
    add_study(workspace / "store", 90, points=_centres(70.0))
    add_study(workspace / "store", 91, points=_centres(15.0))
    add_study(workspace / "store", 92, points=spine_points(70.0))
    biplanar(8, landmark_set=MARGINS175)
    result = validated(BIPLANAR)
    found = [f for f in result.findings if f.rule == "severe_curve_from_margins"]
    assert [(f.study_id, f.severity) for f in found] == [(f"{90:016x}", "warning")]
    assert result.counts["studies_from_centres"] == 2
    page = (workspace / "validation" / "report.html").read_text()
    assert "2 of 11 studies are measured from plate centres alone" in page and CENTRES_NOTE in page


def test_a_dataset_of_margins_needs_no_statement_about_its_error(biplanar, workspace, validated):
    biplanar(8, landmark_set=MARGINS175)
    assert validated(BIPLANAR).counts["studies_from_centres"] == 0
    assert CENTRES_NOTE not in (workspace / "validation" / "report.html").read_text()


def test_one_plate_without_margins_makes_a_curve_one_from_centres():
    points = spine_points(30.0)
    both = measure(planes_from_points_3d(points))
    assert both["cobb"].definition == both["cobb_midline"].definition == "margins"
    lost = {n: p for n, p in points.items() if n != "T8_sup_left"}
    assert measure(planes_from_points_3d(lost))["cobb"].definition == "centres"
    assert measure(planes_from_points_3d(lost))["lumbar_lordosis_l1_l5"].definition == "margins"
    bodies = {f"{n[:-4]}_body": p for n, p in points.items() if n.endswith("_sup") and not n.startswith("S1")}
    assert measure(planes_from_points_3d(bodies))["cobb_midline"].definition == "centres"


def test_centres_alone_differ_from_margins_by_the_benchmark():
    planes = planes_from_points_3d(spine_points(70.0))
    centres = {plane: without_margins(points) for plane, points in planes.items()}
    assert not any(name.endswith("_left") for name in centres["coronal"].points)
    assert measure(centres)["cobb"].value == pytest.approx(measure(planes)["cobb"].value, abs=15)
    assert measure(centres)["sacral_slope"].value == measure(planes)["sacral_slope"].value


def test_the_digest_covers_the_definition(biplanar):
    manifest = biplanar(8, landmark_set=MARGINS175)
    first, *others = manifest.examples()
    unsaid = replace(first, truth={n: replace(t, definition=None) for n, t in first.truth.items()})
    changed = write_manifest(manifest.folder, manifest.landmark_set, manifest.split_seed, (unsaid, *others))
    assert changed.digest != manifest.digest
