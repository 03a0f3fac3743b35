import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spine import projection
from spine.errors import ContractViolation
from spine.landmarks import CORNERS68, GALBUSERA39, MARGINS175, LandmarkSet
from spine.projection import (
    derive_points,
    digest_of_set,
    locate_landmarks,
    read_index,
    read_landmarks,
    write_landmarks,
)
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.storage import sha256_of_tree
from spine.study import Study, StudyView, write_study_record
from spine.work import LocalWork

FRONTAL = ViewGeometry("frontal", (50, 30), (2.0, 4.0), 987.0, u0_mm=3.0, z0_mm=-5.0)
LATERAL = ViewGeometry("lateral", (50, 70), (2.0, 2.5), 918.0)


def view_of(geometry, *, name=None, labels=None, shape=None):
    name = name or geometry.view
    return StudyView(name, f"{name}.npy", "0" * 64, shape or geometry.shape, None, "NONE", geometry, labels or {})


def study_of(points=None, views=None, study_id="00000000000000aa"):
    reconstruction = Reconstruction("s", points, "plumbline-json") if points is not None else None
    views = views if views is not None else {"frontal": view_of(FRONTAL), "lateral": view_of(LATERAL)}
    return Study(study_id, "p", "test", views, reconstruction, {})


def project_study(study, landmark_set):
    return {view: found.points for view, found in locate_landmarks(study, landmark_set).items()}


def test_points_fall_where_the_scanner_equations_say():
    point = np.array([12.0, -20.0, 7.0])
    found = project_study(study_of({"T4_sup": point}), GALBUSERA39)
    u_f = 12.0 * 987.0 / (987.0 - 20.0)
    assert found["frontal"]["T4_sup"] == pytest.approx([(u_f - 3.0) / 4 + 14.5, (-5.0 - 7.0) / 2 + 24.5])
    u_l = -20.0 * 918.0 / (918.0 + 12.0)
    assert found["lateral"]["T4_sup"] == pytest.approx([u_l / 2.5 + 34.5, -7.0 / 2 + 24.5])


def test_a_point_outside_one_image_is_absent_there_and_only_there():
    found = locate_landmarks(study_of({"T4_sup": np.array([70.0, 0.0, 0.0])}), GALBUSERA39)
    assert found["frontal"].absent["T4_sup"] == "OUTSIDE_IMAGE"
    assert "T4_sup" in found["lateral"].points
    assert found["lateral"].absent["T5_sup"] == "NOT_KNOWN"
    assert len(found["lateral"].points) + len(found["lateral"].absent) == len(GALBUSERA39)


def test_plate_centres_follow_from_corner_labels():
    labels = {"T1_sup_left": np.array([20.0, 10.0]), "T1_sup_right": np.array([12.0, 14.0])}
    study = study_of(views={"frontal": view_of(None, name="frontal", labels=labels, shape=(50, 30))})
    found = project_study(study, GALBUSERA39)
    assert list(found["frontal"]) == ["T1_sup"]
    assert found["frontal"]["T1_sup"] == pytest.approx([16.0, 12.0])
    assert set(project_study(study, CORNERS68)["frontal"]) == set(labels)


def test_derivation_happens_in_3d_and_never_replaces_a_point():
    points = {
        "T1_sup_ant": np.array([0.0, -10.0, 2.0]),
        "T1_sup_post": np.array([0.0, 10.0, 0.0]),
        "T1_inf": np.array([0.0, 0.0, -20.0]),
        "S1_ant": np.array([0.0, 0.0, 0.0]),
        "S1_post": np.array([0.0, 8.0, 6.0]),
        "S1_sup": np.array([1.0, 1.0, 1.0]),
    }
    derived = derive_points(points)
    assert derived["T1_sup"] == pytest.approx([0.0, 0.0, 1.0])
    assert derived["T1_body"] == pytest.approx([0.0, 0.0, -9.5])
    assert derived["S1_sup"] == pytest.approx([1.0, 1.0, 1.0])
    assert project_study(study_of(points), GALBUSERA39)["frontal"]["T1_sup"] == pytest.approx(
        FRONTAL.project(np.array([0.0, 0.0, 1.0]))
    )


def test_labels_fill_gaps_and_a_view_without_geometry_gives_the_reason():
    labels = {"T2_sup": np.array([5.0, 6.0])}
    views = {"frontal": view_of(None, name="frontal", labels=labels, shape=(50, 30))}
    found = locate_landmarks(study_of({"T1_sup": np.zeros(3), "T2_sup": np.zeros(3)}, views), GALBUSERA39)
    assert found["frontal"].points["T2_sup"] == pytest.approx([5.0, 6.0])
    assert found["frontal"].absent["T1_sup"] == "VIEW_WITHOUT_GEOMETRY"


def test_a_set_of_one_view_leaves_the_other_alone():
    assert set(project_study(study_of({"T4_sup": np.zeros(3)}), CORNERS68)) == {"frontal"}


def test_a_margin_is_located_in_its_own_view_only():
    at = np.array([5.0, 0.0, 0.0])
    found = locate_landmarks(study_of({f"T4_sup{m}": at for m in ("", "_left", "_right", "_ant", "_post")}), MARGINS175)
    assert set(found["frontal"].points) == {"T4_sup", "T4_sup_left", "T4_sup_right"}
    assert set(found["lateral"].points) == {"T4_sup", "T4_sup_ant", "T4_sup_post"}
    assert "T4_sup_ant" not in found["frontal"].absent
    both = LandmarkSet("margins175", MARGINS175.names, MARGINS175.views, "test")
    assert digest_of_set(both) != digest_of_set(MARGINS175)


def test_a_point_behind_the_source_is_refused():
    with pytest.raises(ContractViolation) as caught:
        project_study(study_of({"T4_sup": np.array([0.0, -1000.0, 0.0])}), GALBUSERA39)
    assert caught.value.code == "POINT_BEHIND_SOURCE"
    assert "00000000000000aa" in caught.value.found


def put(store: Path, study: Study) -> None:
    (store / study.study_id).mkdir(parents=True)
    write_study_record(study, store / study.study_id)


@pytest.fixture
def store(tmp_path):
    for number in range(3):
        put(tmp_path / "store", study_of({"T4_sup": np.array([float(number), 0.0, 0.0])}, study_id=f"{number:016x}"))
    put(tmp_path / "store", study_of({"T4_sup": np.zeros(3)}, views={}, study_id=f"{9:016x}"))
    return tmp_path / "store"


def test_a_new_study_adds_a_file_and_rewrites_none(store, tmp_path):
    out = tmp_path / "landmarks"
    seen = []
    first = write_landmarks(store, out, GALBUSERA39, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert first.added == 3
    assert f"{9:016x}" not in first.points  # no view
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("0*.json")}
    index_before = (out / "landmarks.json").read_text()
    assert write_landmarks(store, out, GALBUSERA39).added == 0
    assert (out / "landmarks.json").read_text() == index_before
    put(store, study_of({"T4_sup": np.zeros(3)}, study_id=f"{5:016x}"))
    assert write_landmarks(store, out, GALBUSERA39).added == 1
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    index = read_index(out)
    assert index.points == {f"{n:016x}": 2 for n in (0, 1, 2, 5)}
    loaded = read_landmarks(out, f"{1:016x}")
    assert loaded["frontal"].points["T4_sup"] == pytest.approx(FRONTAL.project(np.array([1.0, 0.0, 0.0])))
    assert loaded["frontal"].absent["T1_sup"] == "NOT_KNOWN"


def test_two_workers_write_the_bytes_of_one_process(store, tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "BATCH", 1)
    put(store, study_of({"T4_sup": np.array([0.0, -2000.0, 0.0])}, study_id=f"{20:016x}"))
    refused = []
    for workers in (1, 2):
        with pytest.raises(ContractViolation) as caught:
            write_landmarks(store, tmp_path / str(workers), GALBUSERA39, work=LocalWork(workers))
        refused.append(str(caught.value))
    assert refused[0] == refused[1]
    shutil.rmtree(store / f"{20:016x}")
    for workers in (1, 2):
        shutil.rmtree(tmp_path / str(workers))
        assert write_landmarks(store, tmp_path / str(workers), GALBUSERA39, work=LocalWork(workers)).added == 3
    assert sha256_of_tree(tmp_path / "1") == sha256_of_tree(tmp_path / "2")


def test_a_killed_run_leaves_no_index_and_the_next_one_continues(store, tmp_path):
    out = tmp_path / "landmarks"

    def kill(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_landmarks(store, out, GALBUSERA39, kill)
    with pytest.raises(ContractViolation, match="LANDMARKS_MISSING"):
        read_index(out)
    (out / ".half.json.x.partial").write_text("{")
    assert write_landmarks(store, out, GALBUSERA39).added == 1
    assert not list(out.glob(".*partial"))


def test_a_changed_set_of_the_same_name_is_written_anew(store, tmp_path):
    out = tmp_path / "landmarks"
    write_landmarks(store, out, GALBUSERA39)
    smaller = LandmarkSet("galbusera39", GALBUSERA39.names[:7], ("frontal",), "a test")
    assert write_landmarks(store, out, smaller).added == 3
    assert set(json.loads((out / f"{0:016x}.json").read_text())["views"]) == {"frontal"}


def test_a_run_reads_no_file_that_the_index_has_and_writes_a_deleted_one_again(store, tmp_path):
    out = tmp_path / "landmarks"
    first = write_landmarks(store, out, GALBUSERA39)
    (out / f"{0:016x}.json").write_text("not read")
    (out / f"{1:016x}.json").unlink()
    second = write_landmarks(store, out, GALBUSERA39)
    assert (second.points, second.added) == (first.points, 1)


def test_files_of_a_killed_run_with_another_set_do_not_pass_for_those_of_the_former_set(store, tmp_path):
    out = tmp_path / "landmarks"
    write_landmarks(store, out, GALBUSERA39)
    smaller = LandmarkSet("galbusera39", GALBUSERA39.names[:7], ("frontal",), "a test")

    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_landmarks(store, out, smaller, kill)
    assert write_landmarks(store, out, GALBUSERA39).added == 1
    assert set(read_landmarks(out, f"{0:016x}")) == {"frontal", "lateral"}


def test_all_impossible_studies_are_named_and_the_others_written(store, tmp_path):
    out = tmp_path / "landmarks"
    for number in (20, 21):
        put(store, study_of({"T4_sup": np.array([0.0, -2000.0, 0.0])}, study_id=f"{number:016x}"))
    with pytest.raises(ContractViolation) as caught:
        write_landmarks(store, out, GALBUSERA39)
    assert f"{20:016x}" in str(caught.value)
    assert f"{21:016x}" in str(caught.value)
    assert len(list(out.glob("0*.json"))) == 3
    assert not (out / "landmarks.json").exists()
