"""Radiographs with hostile or missing tags: results are made, and nothing of the tags reaches a log or a message."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from serving.results.fhir_bundle import fhir_text
from serving.results.fhir_codes import Release
from serving.results.objects import result_objects
from tests.serving.results.measured import DCIODVFY, complaints, encoded, measured, read

pytestmark = pytest.mark.slow

HTML = "<script>alert('x')</script>"
LATIN, JAPANESE = "M\xfcller^Secret", "Secret^Taro=\u5c71\u7530^\u592a\u90ce"
PERSON = {"PatientName": "Secret^Name", "PatientID": "SECRET-4711", "ReferringPhysicianName": "Secret^Doctor"}


def raw(dataset: Any, keyword: str, vr: str, value: bytes) -> None:
    """Give a tag these bytes, whatever its VR allows."""
    tag = Tag(keyword)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def hostile(case: Path, what: str) -> bytes:
    """A radiograph with hostile tags, as the bytes of its file."""
    dataset = read(case, "frontal", **PERSON)
    match what:
        case "html":
            dataset.PatientName, dataset.PatientID = f"{HTML}^Secret", f"SECRET {HTML}"
            dataset.StudyDescription, dataset.PatientComments = HTML, HTML
        case "latin":
            dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", LATIN
        case "japanese":
            dataset.SpecificCharacterSet, dataset.PatientName = ["", "ISO 2022 IR 87"], JAPANESE
        case "unknown set":
            dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 6", "Secret^Placeholder"
            named = encoded(dataset).replace(b"ISO_IR 6", b"ISO_IR 9")
            return named.replace(b"Secret^Placeholder", b"Secret\xff\xfe^N\x80\x1b$Bxyz1")
        case "missing":
            for keyword in (*PERSON, "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
                if keyword in dataset:
                    delattr(dataset, keyword)
        case "malformed":
            raw(dataset, "PatientBirthDate", "DA", b"SECRET31")
            raw(dataset, "StudyDate", "DA", b"2024-05-03 ")
            raw(dataset, "StudyTime", "TM", b"noonSECRET")
            raw(dataset, "PatientSex", "CS", b"SECRET")
            raw(dataset, "PatientAge", "AS", b"old ")
            raw(dataset, "WindowCenter", "DS", b"SECRET")
            raw(dataset, "RescaleIntercept", "DS", b"0 ")
        case "long":
            dataset._dict.pop(Tag("PatientID"))
            raw(dataset, "PatientID", "LO", b"SECRET" * 20)
            raw(dataset, "PatientName", "PN", b"Secret\0\x07\x1b[31m^\nName" * 9)
            raw(dataset, "AccessionNumber", "SH", b"A" * 40)
    return encoded(dataset)


@pytest.mark.parametrize("what", ["html", "latin", "japanese", "unknown set", "missing", "malformed", "long"])
def test_hostile_tags_neither_stop_results_nor_leak(
    case: Path, what: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of writing the hostile file here
        study = measured({"frontal": hostile(case, what)})
        warnings.simplefilter("error")
        objects = result_objects(study)
        contents = [each.encoded() for each in objects]
        bundles = [fhir_text(study, release) for release in Release]
    printed = capsys.readouterr()
    told = caplog.text + printed.out + printed.err
    assert "secret" not in told.lower() and "script" not in told.lower()
    assert len(contents) == 4 and all(json.loads(text)["resourceType"] == "Bundle" for text in bundles)
    if DCIODVFY.exists() and what != "long":
        assert [complaints(content, tmp_path) for content in contents] == [[], [], [], []]


def test_names_are_kept_as_they_are(case: Path) -> None:
    names = {}
    for what in ("html", "latin", "japanese"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = result_objects(measured({"frontal": hostile(case, what)}))
        names[what] = {str(each.dataset.PatientName) for each in made}
        assert {each.dataset.SpecificCharacterSet for each in made} == {"ISO_IR 192"}
    assert names == {
        "html": {f"{HTML}^Secret"},
        "latin": {LATIN},
        "japanese": {JAPANESE},
    }


def test_an_identifier_is_never_cut_off(case: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = result_objects(measured({"frontal": hostile(case, "long")}))
    assert {str(each.dataset.PatientID) for each in made} == {"SECRET" * 20}
    assert all(str(each.dataset.PatientName).isprintable() for each in made)


def test_comments_of_the_radiograph_are_not_copied(case: Path) -> None:
    dataset = read(case, "frontal", PatientComments=HTML, StudyComments=HTML, ImageComments=HTML)
    for each in result_objects(measured({"frontal": dataset})):
        assert HTML.encode() not in each.encoded()
