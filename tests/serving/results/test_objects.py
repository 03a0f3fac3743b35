"""DICOM objects of a measurement: valid, in the study of the radiographs, marked, and equal when repeated."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage

from inference.measured_study import MeasuredStudy
from inference.site_calibration import SiteCalibration
from serving.results.identity import RESULT_KINDS, result_uids
from serving.results.objects import ResultObject, result_objects
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import VIEWS, ViewName
from tests.serving.results.measured import DCIODVFY, complaints, measured, read

pytestmark = pytest.mark.slow

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def tags(objects: tuple[ResultObject, ...], keyword: str) -> dict[str, str]:
    return {each.kind: str(each.dataset.get(keyword)) for each in objects}


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy of the package dicom3tools is not installed")
def test_the_validator_finds_no_error_in_any_object(objects: tuple[ResultObject, ...], tmp_path: Path) -> None:
    assert [each.kind for each in objects] == list(RESULT_KINDS)
    errors = [f"{each.kind}: {line}" for each in objects for line in complaints(each.encoded(), tmp_path)]
    assert errors == []


def test_objects_lie_in_the_study_of_the_radiographs(objects: tuple[ResultObject, ...], case: Path) -> None:
    source = read(case, "frontal")
    for keyword in ("PatientID", "PatientName", "PatientSex", "PatientAge", "StudyInstanceUID", "StudyID"):
        assert set(tags(objects, keyword).values()) == {str(source[keyword].value)}, keyword
    assert source.SeriesInstanceUID not in tags(objects, "SeriesInstanceUID").values()
    assert Counter(tags(objects, "SeriesInstanceUID").values()).most_common()[0][1] == 2  # both presentation states


def test_uids_are_known_before_anything_is_measured(objects: tuple[ResultObject, ...], pair: MeasuredStudy) -> None:
    radiographs = [pair.opened[view].radiograph.identity.sop_uid for view in VIEWS]
    assert tags(objects, "SOPInstanceUID") == dict(result_uids(radiographs, pair.model.digest))


def test_the_calibration_of_a_site_gives_other_objects(objects: tuple[ResultObject, ...], pair: MeasuredStudy) -> None:
    """Their intervals differ, and one UID must not name two contents."""
    site = SiteCalibration("Elsewhere", pair.model.digest, "2026-11-30", 41, {"cobb": 9.0}, {}, {}, {"frontal": 9.0}, 1)
    model = site.applied_to(pair.model)
    assert (model.digest, pair.model.result_digest) == (pair.model.digest, pair.model.digest)
    radiographs = [pair.opened[view].radiograph.identity.sop_uid for view in VIEWS]
    made = result_objects(replace(pair, model=model))
    assert tags(made, "SOPInstanceUID") == dict(result_uids(radiographs, model.result_digest))
    assert not set(tags(made, "SOPInstanceUID").values()) & set(tags(objects, "SOPInstanceUID").values())
    assert set(tags(made, "DeviceSerialNumber").values()) == {pair.model.digest}


def test_a_repeat_gives_the_same_bytes(objects: tuple[ResultObject, ...], case: Path) -> None:
    again = result_objects(measured({view: (case / f"{view}.dcm").read_bytes() for view in VIEWS}))
    assert {each.kind: each.encoded() for each in again} == {each.kind: each.encoded() for each in objects}


def test_objects_are_marked_as_made_by_ai_and_not_verified(objects: tuple[ResultObject, ...]) -> None:
    for text in tags(objects, "SeriesDescription").values():
        assert text.startswith("AI ") and text.endswith("UNVERIFIED, SIMULATED TRAINING DATA") and len(text) <= 64
    sr, report = objects[0].dataset, objects[-1].dataset
    assert (sr.VerificationFlag, sr.CompletionFlag, sr.PreliminaryFlag) == ("UNVERIFIED", "COMPLETE", "PRELIMINARY")
    assert report.VerificationFlag == "UNVERIFIED"


def test_the_private_scheme_is_identified(objects: tuple[ResultObject, ...]) -> None:
    for each in objects:
        (scheme,) = each.dataset.CodingSchemeIdentificationSequence
        assert scheme.CodingSchemeDesignator == "99PLUMBLINE" and scheme.CodingSchemeUID.startswith("2.25.")


def test_dates_are_those_of_the_latest_radiograph(case: Path) -> None:
    frontal = read(case, "frontal", StudyDate="20240503", AcquisitionDate="20240504", AcquisitionTime="101112")
    lateral = read(case, "lateral", StudyDate="20240503", AcquisitionDate="20240504", AcquisitionTime="101200")
    for each in result_objects(measured({"frontal": frontal, "lateral": lateral})):
        moment = each.dataset.SeriesDate, each.dataset.SeriesTime, each.dataset.InstanceCreationDate
        assert moment == ("20240504", "101200", "20240504")
        assert each.dataset.StudyDate == "20240503"


def test_the_overlay_is_that_of_the_measurement(objects: tuple[ResultObject, ...], pair: MeasuredStudy) -> None:
    capture = objects[1].dataset
    np.testing.assert_array_equal(capture.pixel_array, np.asarray(pair.overlay()))
    assert capture.BurnedInAnnotation == "NO"
    assert [item.ReferencedSOPClassUID for item in capture.SourceImageSequence] == [DX, DX]


@pytest.mark.parametrize("view", VIEWS)
def test_one_radiograph_alone_has_its_own_objects(case: Path, view: ViewName, tmp_path: Path) -> None:
    alone = result_objects(measured({view: case / f"{view}.dcm"}))
    assert [each.kind for each in alone] == ["sr", "overlay", f"presentation_{view}", "report"]
    assert len(alone[0].dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == 1
    if DCIODVFY.exists():
        assert [complaints(each.encoded(), tmp_path) for each in alone] == [[], [], [], []]


def test_burned_in_text_of_a_radiograph_is_passed_on(case: Path) -> None:
    objects = result_objects(measured({"frontal": read(case, "frontal", BurnedInAnnotation="YES")}))
    assert {each.kind: each.dataset.BurnedInAnnotation for each in objects if each.kind in ("overlay", "report")} == {
        "overlay": "YES",
        "report": "YES",
    }


def test_a_radiograph_without_patient_gets_that_of_its_pair(case: Path) -> None:
    nobody = read(case, "frontal", PatientID="", PatientName="")
    made = result_objects(measured({"frontal": nobody, "lateral": case / "lateral.dcm"}))
    assert set(tags(made, "PatientID").values()) == {str(read(case, "lateral").PatientID)}


def test_an_inverted_radiograph_is_shown_inverted(case: Path, tmp_path: Path) -> None:
    dataset = read(case, "frontal", PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    dataset.PixelData = (4095 - dataset.pixel_array).astype("<u2").tobytes()
    state = result_objects(measured({"frontal": dataset}))[2]
    assert state.dataset.PresentationLUTShape == "INVERSE"
    assert not DCIODVFY.exists() or complaints(state.encoded(), tmp_path) == []


def test_a_colour_radiograph_has_no_grey_presentation_state(case: Path, tmp_path: Path) -> None:
    dataset = read(case, "frontal", PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0)
    grey = pydicom.dcmread(case / "frontal.dcm").pixel_array // 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2).tobytes()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    made = result_objects(measured({"frontal": dataset}))
    assert [each.kind for each in made] == ["sr", "overlay", "report"]
    if DCIODVFY.exists():
        assert [complaints(each.encoded(), tmp_path) for each in made] == [[], [], []]


def test_a_refused_view_is_named_and_shown_without_lines(case: Path, tmp_path: Path) -> None:
    noise = read(case, "lateral")
    noise.PixelData = np.random.default_rng(1).integers(0, 4095, noise.pixel_array.shape, np.uint16).tobytes()
    study = measured({"frontal": case / "frontal.dcm", "lateral": noise})
    assert set(study.prediction.refused) == {"lateral"}
    made = result_objects(study)
    assert [each.kind for each in made] == ["sr", "overlay", "presentation_frontal", "report"]
    if DCIODVFY.exists():
        assert [complaints(each.encoded(), tmp_path) for each in made] == [[], [], [], []]


def test_a_picture_has_no_dicom_objects(case: Path, tmp_path: Path) -> None:
    grey = (pydicom.dcmread(case / "frontal.dcm").pixel_array // 16).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "f.png")
    with pytest.raises(InputRejected, match="RESULTS_NEED_DICOM"):
        result_objects(measured({"frontal": tmp_path / "f.png"}, view="frontal"))


def test_a_file_that_changed_after_it_was_measured_is_refused(case: Path, tmp_path: Path) -> None:
    file = tmp_path / "f.dcm"
    file.write_bytes((case / "frontal.dcm").read_bytes())
    study = measured({"frontal": file})
    for content in ((case / "lateral.dcm").read_bytes(), b"", b"\0" * 2000):
        file.write_bytes(content)
        with pytest.raises(InputRejected, match="FILE_CHANGED"):
            result_objects(study)


def test_a_missing_extra_is_named(pair: MeasuredStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.results.objects.find_spec", lambda name: None)
    with pytest.raises(ParametersRejected, match=r"SERVING_NOT_INSTALLED.*pip install 'plumbline\[serving\]'"):
        result_objects(pair)
