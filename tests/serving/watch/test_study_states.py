"""The states of a study, from its first radiograph to its results in the PACS."""

import pytest

from serving.results.identity import result_uids
from serving.watch.state_table import WatchBusy, open_table
from tests.serving.watch.fake_pacs import FakePacs
from tests.serving.watch.moved import CAPTURE, SR, quick_measuring
from tests.serving.watch.stamped import pair, radiograph, uid_of

REFUSED_TAGS = {"PhotometricInterpretation": "PALETTE COLOR"}


def reports(pacs: FakePacs, study: str) -> list[str]:
    return [str(each.SOPInstanceUID) for each in pacs.of_class(study, SR)]


def test_a_pair_is_measured_once_and_has_the_results_of_its_radiographs(moved, pacs, case):
    study = pacs.add(*pair(case, 1))
    moved.after(10)
    expected = result_uids(
        [uid_of("image", 1, view) for view in ("frontal", "lateral")], moved.champion.required().digest
    )
    assert moved.words(study) == ("STORED", "")
    assert reports(pacs, study) == [expected["sr"]]
    stored = len(pacs.stored[study])
    for _ in range(5):  # its own results change the study, a resend does not
        pacs.add(*pair(case, 1))
        moved.after(4000)
    assert len(pacs.stored[study]) == stored
    assert sum(line.startswith("POST") for line in pacs.asked) == 2
    assert len(moved.lines("study")) == 1


def test_results_that_are_there_are_not_measured_again(moved, pacs, case, tmp_path, monkeypatch):
    study = pacs.add(*pair(case, 1))
    moved.after(10)
    quick_measuring(monkeypatch, before=lambda opened: pytest.fail("measured again"))
    moved.folder = tmp_path / "another state"
    moved.restart()
    moved.after(10)
    assert moved.words(study) == ("STORED", "")
    assert sum(line.startswith("POST") for line in pacs.asked) == 2


def test_one_view_waits_and_is_measured_alone_after_the_deadline(moved, pacs, case):
    study = pacs.add(radiograph(case, "frontal", 1))
    moved.after(10)
    assert moved.words(study) == ("WAITING_FOR_PAIR", "")
    moved.after(800)
    assert moved.words(study) == ("WAITING_FOR_PAIR", "")
    moved.after(120)
    assert moved.words(study) == ("STORED", "")
    assert len(reports(pacs, study)) == 1


def test_a_late_view_gives_a_second_report_for_the_pair(moved, pacs, case):
    frontal, lateral = pair(case, 1)
    study = pacs.add(frontal)
    moved.after(10)
    moved.after(1000)
    pacs.add(lateral)
    moved.after(30)
    digest = moved.champion.required().digest
    images = [uid_of("image", 1, view) for view in ("frontal", "lateral")]
    assert reports(pacs, study) == [result_uids(each, digest)["sr"] for each in (images[:1], images)]
    assert moved.words(study) == ("STORED", "")


def test_a_second_view_within_the_deadline_gives_one_report(moved, pacs, case):
    frontal, lateral = pair(case, 1)
    study = pacs.add(frontal)
    moved.after(10)
    pacs.add(lateral)
    moved.after(30)
    assert len(reports(pacs, study)) == 1


@pytest.mark.parametrize(
    ("more", "code", "found"),
    [
        ({"SOPInstanceUID": "2.25.1"}, "VIEW_DUPLICATE", "two frontal"),
        (
            {"ViewPosition": None, "PatientOrientation": None, "ViewCodeSequence": None, "SOPInstanceUID": "2.25.1"},
            "VIEW_UNKNOWN",
            "",
        ),
        (REFUSED_TAGS | {"SOPInstanceUID": "2.25.1"}, "PHOTOMETRIC_UNSUPPORTED", ""),
        ({"PatientID": "other", "SOPInstanceUID": "2.25.1"}, "VIEW_DUPLICATE", ""),
    ],
)
def test_a_study_that_is_no_pair_is_refused_with_a_code(moved, pacs, case, more, code, found):
    study = pacs.add(radiograph(case, "frontal", 1), radiograph(case, "frontal", 1, **more))
    other = pacs.add(*pair(case, 2))
    moved.after(10)
    assert moved.words(study) == ("REFUSED", code)
    assert found in moved.row(study).sentence
    assert moved.words(other) == ("STORED", "")
    assert reports(pacs, study) == []


def test_a_hand_beside_the_spine_is_left_out(moved, pacs, case):
    study = pacs.add(*pair(case, 1), radiograph(case, "frontal", 1, SOPInstanceUID="2.25.1", BodyPartExamined="HAND"))
    chest = pacs.add(*pair(case, 2), radiograph(case, "frontal", 2, SOPInstanceUID="2.25.2", BodyPartExamined="CHEST"))
    moved.after(10)
    assert moved.words(study) == ("STORED", "")
    assert len(reports(pacs, study)) == 1
    assert not any(line.endswith("/instances/2.25.1") for line in pacs.asked)
    assert moved.words(chest) == ("REFUSED", "TOO_MANY_RADIOGRAPHS")


def test_three_radiographs_are_refused_until_one_is_removed(moved, pacs, case):
    study = pacs.add(*pair(case, 1), radiograph(case, "frontal", 1, SOPInstanceUID="2.25.1"))
    moved.after(10)
    assert moved.words(study) == ("REFUSED", "TOO_MANY_RADIOGRAPHS")
    assert "3 radiographs" in moved.row(study).sentence
    del pacs.stored[study]["2.25.1"]
    moved.after(30)
    assert moved.words(study) == ("STORED", "")


def test_another_patients_lateral_is_refused(moved, pacs, case):
    study = pacs.add(radiograph(case, "frontal", 1), radiograph(case, "lateral", 1, PatientID="other"))
    moved.after(10)
    assert moved.words(study) == ("REFUSED", "PATIENT_MISMATCH")


def test_a_scanned_radiograph_is_told_from_an_overlay(moved, pacs, case):
    scanned = radiograph(case, "frontal", 1, SOPClassUID=CAPTURE)
    study = pacs.add(scanned)
    moved.after(10)
    moved.after(1000)
    assert moved.words(study) == ("STORED", "")
    for _ in range(3):
        moved.after(4000)
    assert len(pacs.of_class(study, CAPTURE)) == 2
    assert len(reports(pacs, study)) == 1


def test_a_study_without_radiographs_is_refused_or_passed_over(moved, pacs, case):
    other = pacs.add(radiograph(case, "frontal", 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"))
    named = pacs.add(radiograph(case, "frontal", 2, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    moved.after(10)
    assert moved.table.get(other) is None
    assert moved.words(named) == ("REFUSED", "NO_RADIOGRAPH")


def test_a_refused_image_that_is_corrected_under_its_uid_is_measured(moved, pacs, case):
    frontal, lateral = pair(case, 1)
    study = pacs.add(frontal, radiograph(case, "lateral", 1, **REFUSED_TAGS))
    moved.after(10)
    assert moved.words(study) == ("REFUSED", "PHOTOMETRIC_UNSUPPORTED")
    moved.after(4000)
    assert moved.words(study) == ("REFUSED", "PHOTOMETRIC_UNSUPPORTED")
    pacs.add(lateral)
    moved.after(4000)
    assert moved.words(study) == ("STORED", "")


def test_a_replaced_image_of_a_stored_study_is_named_and_not_measured(moved, pacs, case):
    frontal, lateral = pair(case, 1)
    study = pacs.add(frontal, lateral)
    moved.after(10)
    pacs.add(radiograph(case, "lateral", 1, shade=500))
    moved.after(4000)
    assert moved.words(study) == ("REFUSED", "IMAGE_REPLACED")
    assert len(reports(pacs, study)) == 1
    moved.after(4000)
    assert moved.words(study) == ("REFUSED", "IMAGE_REPLACED")
    pacs.add(radiograph(case, "lateral", 1, PatientName="CORRECTED^NAME"))
    moved.after(4000)
    assert moved.words(study) == ("STORED", "")


def test_a_new_champion_does_not_measure_stored_studies_again(moved, pacs, case, monkeypatch):
    study = pacs.add(*pair(case, 1))
    moved.after(10)
    serving = moved.champion.required()
    monkeypatch.setattr(type(serving), "digest", "f" * 64)
    moved.after(4000)
    assert len(reports(pacs, study)) == 1
    assert moved.row(study).model == serving.model.digest


def test_one_process_writes(moved):
    with pytest.raises(WatchBusy) as caught, open_table(moved.folder):
        pass
    assert caught.value.code == "WATCH_RUNNING"
