"""Studies that grow: a later view, reconstruction or corrected file replaces its smaller self as a revision."""

import json
import shutil

import numpy as np
import pydicom
import pytest

from spine.intake.ingest import ingest
from spine.intake.intake_ledger import intake_folder
from spine.intake.sources import open_source
from spine.study import iterate_study_folders, read_study
from tests.spine.intake.constructed_studies import KEY, places, write_study


@pytest.fixture
def place(tmp_path):
    (tmp_path / "drop").mkdir()
    return tmp_path


def take_in(place, *, forget=False):
    if forget:
        shutil.rmtree(intake_folder(place / "s"))
    return ingest(open_source("folder", place / "drop"), place / "s", place / "q", pseudonym_key=KEY)


def stored(place):
    return {folder.name: read_study(folder) for folder in iterate_study_folders(place / "s")}


def latest(place):
    studies = stored(place)
    replaced = {former for study in studies.values() for former in study.revises}
    return [study for name, study in studies.items() if name not in replaced]


def move(file, folder):
    folder.mkdir(exist_ok=True)
    return file.rename(folder / file.name)


@pytest.mark.parametrize("late", ["lateral.dcm", "frontal.dcm", "reconstruction.json"])
@pytest.mark.parametrize("forget", [False, True])
def test_a_file_that_arrives_later_makes_a_revision(place, late, forget):
    study = write_study(place / "drop" / "a", 1)
    kept = move(study / late, place / "aside")
    first = take_in(place)
    kept.rename(study / late)
    second = take_in(place, forget=forget)
    assert (first.used, second.used, second.revised, second.quarantined) == (1, 1, 1, ())
    (whole,) = latest(place)
    assert (len(whole.views), whole.reconstruction is not None) == (2, True)
    assert whole.revises == first.study_ids
    assert set(stored(place)) == {*first.study_ids, whole.study_id}
    third = take_in(place, forget=forget)
    assert (third.used, third.already_present) == (0, 1)


def test_a_corrected_reconstruction_makes_a_revision_and_the_smaller_study_is_present(place):
    study = write_study(place / "drop" / "a", 1)
    first = take_in(place)
    path = study / "reconstruction.json"
    record = json.loads(path.read_text())
    record["points"]["L3_sup"][0] += 1.5
    path.write_text(json.dumps(record))
    second = take_in(place)
    assert (second.used, second.revised) == (1, 1)
    (corrected,) = latest(place)
    assert corrected.reconstruction.points["L3_sup"][0] == record["points"]["L3_sup"][0]
    path.unlink()
    third = take_in(place)
    assert (third.used, third.already_present, third.study_ids) == (0, 1, (corrected.study_id,))
    assert corrected.revises == first.study_ids


def test_a_corrected_spacing_makes_a_revision(place):
    study = write_study(place / "drop" / "a", 1, reconstruction=False)
    take_in(place)
    dataset = pydicom.dcmread(study / "frontal.dcm")
    before = [float(value) for value in dataset.PixelSpacing]
    dataset.PixelSpacing = [str(round(value * 1.02, 4)) for value in before]
    dataset.save_as(study / "frontal.dcm")
    dataset = pydicom.dcmread(study / "lateral.dcm")
    dataset.PixelSpacing = [str(round(value * 1.02, 4)) for value in before]
    dataset.save_as(study / "lateral.dcm")
    report = take_in(place)
    assert (report.used, report.revised, report.quarantined) == (1, 1, ())
    (corrected,) = latest(place)
    assert corrected.views["frontal"].spacing_mm[0] == pytest.approx(before[0] * 1.02, abs=1e-3)


def test_views_of_one_examination_in_two_batches_become_one_study(place):
    whole = write_study(place / "made", 1, reconstruction=False)
    for number, view in enumerate(("frontal", "lateral")):
        (place / "drop" / f"batch-{number}").mkdir()
        shutil.copy(whole / f"{view}.dcm", place / "drop" / f"batch-{number}" / "IM1")
        (place / "drop" / f"batch-{number}" / "COMPLETE").write_text("")
        report = take_in(place)
        assert report.quarantined == ()
    (study,) = latest(place)
    assert set(study.views) == {"frontal", "lateral"}
    for view in study.views.values():
        assert np.load(place / "s" / study.study_id / view.image).shape == view.shape
    again = take_in(place, forget=True)
    assert (again.used, again.already_present) == (0, 2)
    write_study(place / "drop" / "sent-again", 1, reconstruction=False)
    assert take_in(place).already_present == 3


def test_views_of_other_heights_of_one_examination_stay_two_studies(place):
    frontal, lateral = places(), places(rows=240)
    write_study(place / "drop" / "a", 1, views=("frontal",), reconstruction=False, geometry=frontal)
    write_study(place / "drop" / "b", 1, views=("lateral",), reconstruction=False, geometry=lateral, sop_uid="2.25.8")
    report = take_in(place)
    assert report.quarantined == ()
    assert (report.used, report.revised, len(latest(place))) == (2, 0, 2)


def test_a_larger_study_of_another_patient_is_refused(place):
    write_study(place / "drop" / "a", 1, views=("frontal",))
    take_in(place)
    write_study(place / "drop" / "b", 1, patient_id="other")
    report = take_in(place)
    assert [q.code for q in report.quarantined] == ["DUPLICATE_IMAGE"]


def test_one_view_with_another_reconstruction_is_refused_with_the_way_out(place):
    write_study(place / "drop" / "a", 1)
    take_in(place)
    part = write_study(place / "drop" / "b", 1, views=("frontal",))
    record = json.loads((part / "reconstruction.json").read_text())
    record["points"]["L3_sup"][0] += 1.5
    (part / "reconstruction.json").write_text(json.dumps(record))
    report = take_in(place)
    assert [q.code for q in report.quarantined] == ["DUPLICATE_IMAGE"]
    assert "send the study with all its images" in report.quarantined[0].message


@pytest.mark.parametrize("uid", [None, "2.25.555"])
def test_a_corrected_image_is_taken_in_after_the_remedy(place, uid):
    study = write_study(place / "drop" / "a", 1)
    first = take_in(place).study_ids[0]
    lateral = pydicom.dcmread(study / "lateral.dcm")
    pixels = lateral.pixel_array.copy()
    pixels[:5] = 0
    lateral.PixelData = pixels.tobytes()
    if uid is not None:
        lateral.SOPInstanceUID = lateral.file_meta.MediaStorageSOPInstanceUID = uid
    lateral.save_as(study / "lateral.dcm")
    (refused,) = take_in(place).quarantined
    assert refused.code == ("UID_CONFLICT" if uid is None else "DUPLICATE_IMAGE")
    assert first in refused.message and "delete the folder" in refused.message
    shutil.rmtree(place / "s" / first)
    assert (take_in(place).used, list((place / "q").glob("*"))) == (1, [])
