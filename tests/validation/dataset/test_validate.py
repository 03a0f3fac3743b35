import json
import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from spine.dataset import read_manifest
from spine.dataset_writing import write_manifest
from spine.errors import ContractViolation
from spine.landmarks import GALBUSERA39, VERTEBRAE
from tests.validation.dataset.constructed_datasets import (
    BIPLANAR,
    RADIOGRAPHS,
    add_radiograph,
    add_study,
    radiograph_labels,
    spine_points,
)
from validation.dataset import checking, expectation_run, validation_page
from validation.dataset.results import ValidationConfig
from validation.dataset.validate import validate_dataset


def errors(result, study):
    return {f.rule for f in result.findings if f.study_id == f"{study:016x}" and f.severity == "error"}


def test_studies_without_errors_pass(biplanar, workspace, validated):
    biplanar(9)
    result = validated(BIPLANAR.model_copy(update={"data_docs": True}))
    assert result.failures == ()
    assert result.findings == ()
    assert result.success
    assert result.counts["studies"] == result.counts["rows_studies"] == 9
    assert result.counts["rows_landmarks"] == 9 * 2 * 39
    assert {o.outcome for o in result.outcomes} <= {"passed", "not_applicable"}
    idle = {o.rule.name for o in result.outcomes if o.outcome == "not_applicable"}
    assert idle == {"side_of_the_curve", "severe_curve_from_margins"}
    record = json.loads((workspace / "validation" / "result.json").read_text())
    assert record["success"] is True
    assert record["test_digest"] == read_manifest(workspace / "dataset").test_digest
    assert (workspace / "validation" / "data_docs" / "index.html").exists()
    page = (workspace / "validation" / "report.html").read_text()
    assert "passed" in page and "Every study meets every expectation." in page
    assert "A study with errors: <code>stops the pipeline</code>" in page and "rule" not in page.partition("<body>")[2]
    assert "http" not in page.replace("https://www.w3.org", "")


def shifted(points, prefix, by):
    return {n: p + by if n.startswith(prefix) else p for n, p in points.items()}


def exchanged(points, first, second):
    swap = {first: second, second: first}
    return {"_".join([swap.get(n.split("_")[0], n.split("_")[0]), *n.split("_")[1:]]): p for n, p in points.items()}


def sides_exchanged(points):
    """Only the hips are exchanged: an error of left and right that changes no angle."""
    return points | {"HIP_L": points["HIP_R"], "HIP_R": points["HIP_L"]}


def plates_exchanged(points, level):
    out = dict(points)
    for name in points:
        if name.startswith(f"{level}_sup"):
            other = name.replace("_sup", "_inf")
            out[name], out[other] = points[other], points[name]
    return out


def upright_s1(points):
    half = 17.0 * np.array([0.0, -np.cos(np.radians(88.0)), -np.sin(np.radians(88.0))])
    return {"S1_ant": points["S1_sup"] + half, "S1_post": points["S1_sup"] - half}


BIPLANAR_FAULTS = {
    "metres": (lambda p: {n: q / 1000 for n, q in p.items()}, "spine_length"),
    "centimetres": (lambda p: {n: q / 10 for n, q in p.items()}, "hip_distance"),
    "double size": (lambda p: {n: q * 1.6 for n, q in p.items()}, "spine_length"),
    "levels exchanged": (lambda p: exchanged(p, "T6", "T9"), "levels_in_order_3d"),
    "plates exchanged": (lambda p: plates_exchanged(p, "L2"), "plate_above_plate"),
    "hips exchanged": (sides_exchanged, "left_on_the_left"),
    "S1 plate back to front": (lambda p: p | {"S1_ant": p["S1_post"], "S1_post": p["S1_ant"]}, "left_on_the_left"),
    "S1 plate upright": (lambda p: p | upright_s1(p), "slope_plausible"),
    "hips at the shoulders": (lambda p: shifted(p, "HIP", np.array([0.0, 0.0, 300.0])), "s1_to_hips"),
    "a level in another's place": (lambda p: shifted(p, "T7", np.array([0.0, 0.0, 22.0])), "vertebral_spacing"),
    "facing backwards": (lambda p: {n: q * [1.0, -1.0, 1.0] for n, q in p.items()}, "left_on_the_left"),
}


def test_each_biplanar_error_is_found_in_its_study_only(biplanar, workspace, validated):
    for number, (fault, _) in enumerate(BIPLANAR_FAULTS.values(), start=20):
        add_study(workspace / "store", number, points=fault(spine_points(curve_mm=12.0)))
    biplanar(8)
    result = validated(BIPLANAR)
    for number, (name, (_, rule)) in enumerate(BIPLANAR_FAULTS.items(), start=20):
        assert rule in errors(result, number), (name, errors(result, number))
    assert {f.study_id for f in result.findings} == {f"{n:016x}" for n in range(20, 20 + len(BIPLANAR_FAULTS))}
    assert not result.success
    assert [f.code for f in result.failures] == ["BAD_STUDIES"]
    assert result.to_exclude == ()
    message = next(f.message for f in result.findings if f.rule == "hip_distance")
    assert "hip_distance_mm" in message
    assert "110 to 260" in message


def replaced(labels, level, points):
    corners = ("sup_left", "sup_right", "inf_left", "inf_right")
    return labels | {f"{level}_{c}": points[c] for c in corners}


def corners_of(labels, level):
    return {c: labels[f"{level}_{c}"] for c in ("sup_left", "sup_right", "inf_left", "inf_right")}


def cyclic(labels):
    """L5 has the place of T1, and every other level moves down by one: the commonest error of the real labels."""
    moved = {}
    for level, source in zip(VERTEBRAE, (*VERTEBRAE[1:], VERTEBRAE[0]), strict=True):
        moved = replaced(moved, level, corners_of(labels, source))
    return moved


def thinned(labels, share):
    """Every label a narrow band around the vertebra's middle."""
    thin = {}
    for level in VERTEBRAE:
        c = corners_of(labels, level)
        for side in ("left", "right"):
            middle = (c[f"sup_{side}"] + c[f"inf_{side}"]) / 2
            for plate in ("sup", "inf"):
                thin[f"{level}_{plate}_{side}"] = middle + share * (c[f"{plate}_{side}"] - middle)
    return thin


def mirrored_names(labels):
    return {n.replace("left", "~").replace("right", "left").replace("~", "right"): p for n, p in labels.items()}


def crossed(labels, level):
    c = corners_of(labels, level)
    return replaced(labels, level, c | {"inf_left": c["inf_right"], "inf_right": c["inf_left"]})


def half_height(labels, level):
    c = corners_of(labels, level)
    lift = {f"inf_{s}": c[f"sup_{s}"] + 0.35 * (c[f"inf_{s}"] - c[f"sup_{s}"]) for s in ("left", "right")}
    return replaced(labels, level, c | lift)


def below_a_cut_level(labels):
    """L5 drawn on L2, with a corner of L4 off the image and so without a label."""
    return replaced({n: p for n, p in labels.items() if n != "L4_inf_right"}, "L5", corners_of(labels, "L2"))


def on_the_disc_below(labels, level):
    """The corners of the disc between a level and the next one."""
    c, below = corners_of(labels, level), corners_of(labels, VERTEBRAE[VERTEBRAE.index(level) + 1])
    disc = {f"sup_{s}": c[f"inf_{s}"] + 0.2 * (below[f"sup_{s}"] - c[f"inf_{s}"]) for s in ("left", "right")}
    return disc | {f"inf_{s}": c[f"inf_{s}"] + 0.8 * (below[f"sup_{s}"] - c[f"inf_{s}"]) for s in ("left", "right")}


RADIOGRAPH_FAULTS = {
    "below a cut level": (below_a_cut_level, "levels_in_order"),
    "cyclic": (cyclic, "levels_in_order"),
    "doubled": (lambda f: replaced(f, "L5", corners_of(f, "L4")), "no_overlap"),
    "discs": (lambda f: thinned(f, 0.3), "vertebrae_not_discs"),
    "left and right": (mirrored_names, "left_on_the_left"),
    "crossed corners": (lambda f: crossed(f, "T8"), "corner_order"),
    "one disc": (lambda f: replaced(f, "L4", on_the_disc_below(f, "L4")), "no_narrow_band"),
    "half a vertebra": (lambda f: half_height(f, "T10"), "height_among_levels"),
    "astray": (lambda f: {n: p + ([45.0, 0.0] if n.startswith("L2_") else 0) for n, p in f.items()}, "in_line"),
    "one corner astray": (lambda f: f | {"T9_sup_left": f["T9_sup_left"] + [0.0, 40.0]}, "wedge"),
    "rows counted upwards": (lambda f: {n: np.array([p[0], 1100.0 - p[1]]) for n, p in f.items()}, "levels_in_order"),
    "columns and rows exchanged": (lambda f: {n: p[::-1] for n, p in f.items()}, "left_on_the_left"),
    "a level left out": (
        lambda f: {n: p + ([0.0, 62.0] if VERTEBRAE.index(n.split("_")[0]) >= 11 else 0) for n, p in f.items()},
        "gap_to_level_above",
    ),
}


def test_each_label_error_is_found_in_its_radiograph_only(radiographs, workspace, validated):
    for number, (fault, _) in enumerate(RADIOGRAPH_FAULTS.values(), start=40):
        add_radiograph(workspace / "store", number, labels=fault(radiograph_labels(15.0, 0.92)))
    radiographs(36, test_patients=9)
    result = validated(RADIOGRAPHS)
    for number, (name, (_, rule)) in enumerate(RADIOGRAPH_FAULTS.items(), start=40):
        assert rule in errors(result, number), (name, errors(result, number))
    bad = {f"{n:016x}" for n in range(40, 40 + len(RADIOGRAPH_FAULTS))}
    assert set(result.to_exclude) == bad
    assert result.success
    assert result.counts["bad_studies"] == len(RADIOGRAPH_FAULTS)


def test_too_many_bad_radiographs_stop_the_run(radiographs, workspace, validated):
    for number in range(1, 13):
        add_radiograph(workspace / "store", number, labels=cyclic(radiograph_labels()) if number < 4 else None)
    radiographs(0, test_patients=5)
    strict = RADIOGRAPHS.model_copy(update={"max_bad_share": 0.15})
    result = validated(strict)
    assert [f.code for f in result.failures] == ["TOO_MANY_BAD_STUDIES"]
    assert "3 of 12" in result.failures[0].message
    assert not result.success


def test_radiographs_of_one_patient_must_curve_to_the_same_side(radiographs, workspace, validated):
    for number, curve in ((11, 25.0), (12, 24.0), (13, -25.0)):
        add_radiograph(workspace / "store", number, labels=radiograph_labels(curve, 0.95), patient="p")
    radiographs(10)
    result = validated(RADIOGRAPHS)
    found = {f.study_id for f in result.findings if f.rule == "side_of_the_curve"}
    assert f"{13:016x}" in found
    assert result.success  # a warning: one of the two radiographs is wrong, nobody can say which


def test_too_small_splits_fail(biplanar, validated):
    biplanar(6, test_patients=1)
    config = BIPLANAR.model_copy(update={"minimum_train": 5, "minimum_test": 2})
    result = validated(config)
    assert {f.rule for f in result.failures} == {"enough_train", "enough_test"}
    assert not result.success


def test_too_few_studies_after_exclusion_fail(radiographs, workspace, validated):
    for number in range(1, 13):
        add_radiograph(workspace / "store", number, labels=cyclic(radiograph_labels()) if number < 3 else None)
    manifest = radiographs()
    train = len([e for e in manifest.in_split("train") if int(e.study_id, 16) >= 3])
    config = RADIOGRAPHS.model_copy(update={"minimum_train": train + 1})
    result = validated(config)
    assert "TOO_FEW_LEFT" in {f.code for f in result.failures}


def test_a_radiograph_in_two_splits_is_a_finding_of_the_study_outside_the_test_set(biplanar, workspace, validated):
    test = {e.study_id for e in biplanar(9).in_split("test")}
    twin = int(min(test), 16)
    add_study(workspace / "store", 30, pixels=twin)
    biplanar()
    result = validated(BIPLANAR)
    assert errors(result, 30) == {"no_radiograph_in_two_splits"}
    assert min(test) in next(f.message for f in result.findings)


def test_an_altered_image_or_manifest_is_found(biplanar, workspace, validated):
    manifest = biplanar(9)
    member = manifest.in_split("test")[0]
    path = workspace / "dataset" / member.views["frontal"].image
    pixels = np.load(path)
    path.unlink()
    pixels[0, 0] ^= 1
    np.save(path, pixels)
    result = validated(BIPLANAR)
    assert errors(result, int(member.study_id, 16)) == {"images_intact"}
    shard = workspace / "dataset" / manifest.shards[0].file
    shard.write_text(shard.read_text().replace('"p', '"q', 1))
    with pytest.raises(ContractViolation, match=f"MANIFEST_ALTERED.*{shard.name}"):
        validated(BIPLANAR)
    assert not (workspace / "validation" / "result.json").exists()


def test_radiographs_are_no_evidence_for_the_biplanar_profile(radiographs, validated):
    radiographs(9)
    result = validated(BIPLANAR)
    assert not result.success
    assert {"ALL_NULL", "FEWER_ROWS"} & {f.code for f in result.failures}
    assert "spine_length" in {f.rule for f in result.failures}


@pytest.mark.parametrize(
    "changes", [{"profile": "lateral"}, {"max_bad_share": 1.5}, {"minimum_test": 0}, {"policy": 1}]
)
def test_parameters_are_strict(changes):
    with pytest.raises(ValidationError):
        ValidationConfig(**changes)


def test_the_policy_follows_the_profile():
    assert ValidationConfig().policy == "stop"
    assert ValidationConfig(profile="frontal_radiographs").policy == "exclude"
    assert ValidationConfig(profile="frontal_radiographs", on_bad_study="stop").policy == "stop"


def test_radiographs_with_plate_centres_only_are_validated_without_the_corner_rules(radiographs, workspace, validated):
    add_radiograph(workspace / "store", 9, labels=cyclic(radiograph_labels(8.0, 0.9)))
    radiographs(8, landmark_set=GALBUSERA39, seed=0, validation_fraction=0.3)
    config = RADIOGRAPHS.model_copy(update={"minimum_test": 1, "minimum_train": 1})
    result = validated(config)
    assert result.success, result.failures
    assert "levels_in_order" in errors(result, 9)
    assert "corner_order" not in {o.rule.name for o in result.outcomes}


def test_a_manifest_without_examples_is_no_evidence(workspace, validated):
    write_manifest(workspace / "dataset", "galbusera39", 0, ())
    result = validated(BIPLANAR)
    assert not result.success
    assert "ZERO_ROWS" in {f.code for f in result.failures}


def test_a_killed_validation_leaves_no_result(biplanar, workspace, validated):
    biplanar(5)
    validated(BIPLANAR)

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate_dataset(workspace / "dataset", workspace / "validation", BIPLANAR, kill)
    assert not (workspace / "validation" / "result.json").exists()


def record_of(workspace, name="validation"):
    record = json.loads((workspace / name / "result.json").read_text())
    return {key: value for key, value in record.items() if key != "seconds"}


class PickledWork:
    """Runs tasks as another process would: function, items and results are pickled."""

    def run(self, function, items, *, batch=1, resources=None):
        for item in items:
            task, given = pickle.loads(pickle.dumps((function, item)))
            yield pickle.loads(pickle.dumps(task(given)))


def test_the_result_does_not_depend_on_the_parts_or_the_processes(biplanar, workspace, monkeypatch):
    for number, (fault, _) in enumerate(BIPLANAR_FAULTS.values(), start=20):
        add_study(workspace / "store", number, points=fault(spine_points(curve_mm=12.0)))
    add_study(workspace / "store", 50, pixels=20)
    biplanar(8)
    validate_dataset(workspace / "dataset", workspace / "whole", BIPLANAR)
    monkeypatch.setattr(checking, "PART", 3)  # each shard is a part of its own
    validate_dataset(workspace / "dataset", workspace / "parts", BIPLANAR, work=PickledWork())
    assert len(read_manifest(workspace / "dataset").shards) == 3
    assert record_of(workspace, "parts") == record_of(workspace, "whole")


def test_the_data_docs_and_the_report_count_the_whole_dataset(biplanar, workspace, validated, monkeypatch):
    monkeypatch.setattr(validation_page, "SHOWN", 1)
    for number in range(20, 23):
        add_study(workspace / "store", number, points=shifted(spine_points(), "HIP", np.array([0.0, 0.0, 300.0])))
    biplanar(8)
    validated(BIPLANAR.model_copy(update={"data_docs": True}))
    (docs,) = (workspace / "validation" / "data_docs" / "validations" / "studies").rglob("*.html")
    text = docs.read_text()
    assert "3 unexpected values found" in text and "11 total rows" in text
    page = (workspace / "validation" / "report.html").read_text()
    assert "and 2 more studies" in page and page.count("<summary>") == 1


def test_studies_that_are_all_wrong_are_all_excluded(radiographs, workspace, validated, monkeypatch):
    monkeypatch.setattr(expectation_run, "KEPT", 4)
    for number in range(1, 13):
        add_radiograph(workspace / "store", number, labels=cyclic(radiograph_labels()))
    radiographs(0)
    result = validated(RADIOGRAPHS)
    assert len(result.to_exclude) == 12
    assert result.counts["bad_studies"] == 12
    (order,) = [o for o in result.outcomes if o.rule is not None and o.rule.name == "levels_in_order"]
    assert order.violated >= 12
    assert "TOO_MANY_BAD_STUDIES" in {f.code for f in result.failures}
