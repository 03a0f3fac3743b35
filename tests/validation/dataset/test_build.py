import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from spine.dataset import Example, Manifest, load_example_image, read_manifest
from spine.errors import ContractViolation, ParametersRejected
from spine.landmarks import GALBUSERA39
from spine.projection import write_landmarks
from spine.storage import sha256_of_image
from spine.study import Study, write_study_record
from spine.work import LocalWork
from tests.spine.intake.constructed_studies import snapshot
from tests.validation.dataset.constructed_datasets import add_radiograph, add_study, spine_points
from validation.dataset.build import BATCH, DatasetConfig, build_dataset, read_build_record
from validation.dataset.frozen_test_set import read_frozen, write_excluded


def test_the_manifest_repeats_the_studies(biplanar, workspace):
    manifest = biplanar(9)
    assert read_manifest(workspace / "dataset").digest == manifest.digest
    assert [len(manifest.in_split(s)) for s in ("test",)] == [2]
    example = tuple(manifest.examples())[4]
    view = example.views["frontal"]
    assert len(view.points) == 39
    assert sha256_of_image(load_example_image(workspace / "dataset", view)) == view.sha256
    truth = {name: t.value for name, t in example.truth.items()}
    assert truth["sacral_slope"] == pytest.approx(40.0)
    assert truth["pelvic_tilt"] == pytest.approx(13.0)
    assert truth["pelvic_incidence"] == pytest.approx(53.0)
    record = read_build_record(workspace / "dataset")
    assert (record.studies, record.used, record.left_out) == (9, 9, {})


def test_a_second_build_changes_nothing_and_a_new_batch_only_adds(biplanar, workspace):
    before = biplanar(9)
    old = {e.study_id: e.split for e in before.index()}
    images = workspace / "dataset" / "images"
    stamps = {p.name: p.stat().st_mtime_ns for p in images.iterdir()}
    text = (workspace / "dataset" / "manifest.json").read_text()
    biplanar()
    assert (workspace / "dataset" / "manifest.json").read_text() == text
    for number in range(20, 31):
        add_study(workspace / "store", number)
    after = biplanar()
    assert {n: (images / n).stat().st_mtime_ns for n in stamps} == stamps
    assert len(list(images.iterdir())) == 2 * 20
    assert after.test_digest == before.test_digest
    assert {e.study_id: e.split for e in after.index() if e.study_id in old} == old


def test_two_workers_write_the_same_bytes(biplanar, workspace):
    config = DatasetConfig(landmark_set="galbusera39", seed=3, test_patients=2, validation_fraction=0.25)
    folders = workspace / "store", workspace / "landmarks"
    one = biplanar(BATCH + 4)
    two = build_dataset(*folders, workspace / "two", config, work=LocalWork(2))
    assert two.digest == one.digest
    assert snapshot(workspace / "two") == snapshot(workspace / "dataset")


def test_images_are_hard_links_and_copies_where_links_fail(biplanar, workspace, monkeypatch):
    study = add_study(workspace / "store", 1)
    biplanar(0, test_patients=0)
    source = workspace / "store" / study.study_id / "frontal.npy"
    target = workspace / "dataset" / "images" / f"{study.views['frontal'].sha256}.npy"
    assert source.samefile(target)
    shutil.rmtree(workspace / "dataset")

    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(os, "link", no_links)
    biplanar(0, test_patients=0)
    assert not source.samefile(target)
    assert source.read_bytes() == target.read_bytes()


def by_id(manifest: Manifest) -> list[Example]:
    return sorted(manifest.examples(), key=lambda e: e.study_id)


def test_a_parameter_of_a_cropped_landmark_is_absent(biplanar, workspace):
    add_study(workspace / "store", 1, shape=(100, 110))  # T1 and the hips lie beyond the image
    add_study(workspace / "store", 2, views=("frontal",))
    cut, frontal_only = by_id(biplanar(0, test_patients=0))
    assert "HIP_L" not in cut.views["lateral"].points
    for name in ("pelvic_incidence", "pelvic_tilt", "t1_pelvic_angle"):
        assert cut.truth[name].absent_reason == "NOT_IN_IMAGE"
    assert cut.truth["lumbar_lordosis_l1_l5"].value is not None
    assert frontal_only.truth["cobb"].value is not None
    assert frontal_only.truth["sacral_slope"].absent_reason == "NOT_IN_IMAGE"


def test_a_curve_with_a_cropped_end_vertebra_has_no_cobb_angle(biplanar, workspace):
    points = spine_points(curve_mm=30.0)
    add_study(workspace / "store", 1, points=points)
    add_study(workspace / "store", 2, points=spine_points(curve_mm=30.0, lift_mm=30.0), shape=(145, 110))
    whole, cut = by_id(biplanar(0, test_patients=0))
    assert whole.truth["cobb"].value > 20
    assert cut.truth["cobb"].value is None
    assert cut.truth["cobb"].absent_reason == "NOT_IN_IMAGE"


def test_radiographs_are_measured_from_their_labels(radiographs):
    example = next(radiographs(4, test_patients=1).examples())
    assert len(example.views["frontal"].points) == 68
    assert example.truth["cobb"].value > 0
    assert "view" in example.truth["pelvic_tilt"].absent_reason
    assert "spacing" in example.truth["coronal_balance_t1"].absent_reason


def test_left_out_studies_are_counted_with_a_reason(biplanar, workspace):
    add_study(workspace / "store", 1)
    add_radiograph(workspace / "store", 2, labels={"HIP_L": np.array([1.0, 2.0])})  # derived points would not help
    add_radiograph(workspace / "store", 3, labels={"T13_sup": np.array([1.0, 2.0])})
    no_view = Study(f"{4:016x}", "p4", "test", {}, None, {})
    (workspace / "store" / no_view.study_id).mkdir()
    write_study_record(no_view, workspace / "store" / no_view.study_id)
    add_study(workspace / "store", 5)
    write_excluded({f"{5:016x}": ("some_rule",)}, workspace / "dataset")
    biplanar(0, test_patients=0)
    record = read_build_record(workspace / "dataset")
    assert record.left_out == {
        f"{3:016x}": "NO_LANDMARKS",
        f"{4:016x}": "NO_VIEW",
        f"{5:016x}": "EXCLUDED_BY_VALIDATION",
    }
    assert record.studies == record.used + len(record.left_out) == 5


def test_a_changed_test_set_is_refused_unless_a_new_version_is_requested(biplanar, workspace):
    """Fault S3 of docs/faults.md. A frozen set neither loses nor gains a study by itself."""
    before = biplanar(9)
    trained = {e.patient for e in before.index() if e.split != "test"}
    member = before.in_split("test")[0]
    shutil.rmtree(workspace / "store" / member.study_id)
    with pytest.raises(ContractViolation) as caught:
        biplanar()
    assert caught.value.code == "TEST_SET_CHANGED"
    assert member.study_id in caught.value.found
    assert read_manifest(workspace / "dataset").digest == before.digest
    add_study(workspace / "store", 40)
    after = biplanar(0, new_test_version=True)
    frozen = read_frozen(workspace / "dataset")
    assert frozen.version == 2
    assert [v.version for v in frozen.history] == [1, 2]
    assert frozen.digest == after.test_digest
    # the vacancy is filled by the newcomer: all_patients else has been trained on
    assert f"{40:016x}" in {e.study_id for e in after.in_split("test")}
    assert not trained & {e.patient for e in after.in_split("test")}


def test_a_new_study_of_a_test_patient_waits_for_a_new_test_version(biplanar, workspace):
    before = biplanar(9)
    patient = before.in_split("test")[0].patient
    add_study(workspace / "store", 50, patient=patient)
    after = biplanar()
    assert after.test_digest == before.test_digest
    assert read_build_record(workspace / "dataset").left_out == {f"{50:016x}": "TEST_PATIENT_FROZEN"}
    later = biplanar(0, new_test_version=True)
    assert f"{50:016x}" in {e.study_id for e in later.in_split("test")}


def revise(workspace, number, former):
    """Store a study as the revision of another study of the same patient."""
    study = add_study(workspace / "store", number, patient=former.patient)
    write_study_record(replace(study, revises=(former.study_id,)), workspace / "store" / study.study_id)
    return study.study_id


def test_a_revision_replaces_its_study_in_training_and_waits_in_the_test_set(biplanar, workspace):
    before = biplanar(9)
    trained, tested = before.in_split("train")[0], before.in_split("test")[0]
    new_trained, new_tested = revise(workspace, 60, trained), revise(workspace, 61, tested)
    after = biplanar()
    assert after.test_digest == before.test_digest
    assert read_build_record(workspace / "dataset").left_out == {
        trained.study_id: "REVISED",
        new_tested: "TEST_PATIENT_FROZEN",
    }
    assert {e.study_id: e.split for e in after.examples()}[new_trained] == "train"
    later = biplanar(0, new_test_version=True)
    members = {e.study_id for e in later.in_split("test")}
    assert new_tested in members and tested.study_id not in members
    assert read_build_record(workspace / "dataset").left_out == dict.fromkeys(
        (trained.study_id, tested.study_id), "REVISED"
    )


def test_a_killed_build_is_continued_with_the_same_test_set(biplanar, workspace, monkeypatch):
    first = biplanar(9)
    shutil.rmtree(workspace / "dataset")

    def kill(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    config = DatasetConfig(landmark_set="galbusera39", seed=3, test_patients=2, validation_fraction=0.25)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(workspace / "store", workspace / "landmarks", workspace / "dataset", config, kill)
    assert not (workspace / "dataset" / "manifest.json").exists()
    (workspace / "dataset" / "images" / ".x.npy.partial").write_bytes(b"half")
    assert biplanar().digest == first.digest
    assert not list(workspace.rglob(".*partial"))


def test_an_edited_manifest_stops_the_next_build(biplanar, workspace):
    biplanar(5)
    path = workspace / "dataset" / "manifest.json"
    record = json.loads(path.read_text())
    record["shards"].pop()
    path.write_text(json.dumps(record))
    with pytest.raises(ContractViolation, match="MANIFEST_ALTERED"):
        biplanar()


def test_landmarks_must_exist_be_current_and_of_the_set(biplanar, radiographs, workspace):
    config = DatasetConfig(landmark_set="galbusera39", test_patients=0)
    folders = (workspace / "store", workspace / "landmarks", workspace / "dataset")
    with pytest.raises(ContractViolation, match="LANDMARKS_MISSING"):
        build_dataset(*folders, config)
    write_landmarks(*folders[:2], GALBUSERA39)
    with pytest.raises(ContractViolation, match=r"DATASET_EMPTY.*`plumbline quarantine`"):
        build_dataset(*folders, config)
    add_study(workspace / "store", 1)
    with pytest.raises(ContractViolation, match="LANDMARKS_STALE"):
        build_dataset(*folders, config)
    with pytest.raises(ContractViolation, match="LANDMARK_SET_DIFFERS"):
        build_dataset(*folders, DatasetConfig(landmark_set="corners68"))
    with pytest.raises(ParametersRejected, match="LANDMARK_SET_UNKNOWN"):
        build_dataset(*folders, DatasetConfig(landmark_set="corners69"))


@pytest.mark.parametrize("wrong", ["50", -1, 1.0, True, float("nan")])
def test_sizes_of_the_test_set_are_strict(wrong):
    with pytest.raises(ValidationError):
        DatasetConfig(test_patients=wrong)


@pytest.mark.parametrize("changes", [{"seeds": 1}, {"validation_fraction": 1.0}, {"validation_fraction": -0.1}])
def test_parameters_are_strict(changes):
    with pytest.raises(ValidationError):
        DatasetConfig(**changes)
