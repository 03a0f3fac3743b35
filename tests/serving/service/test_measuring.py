"""``POST /measure``: what it answers, what it refuses, and what it logs."""

import json
from collections.abc import Iterator

import pytest

from inference.bundled import open_bundled
from inference.measured_study import measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from serving.service.settings import PacsAddress, ServiceSettings
from tests.serving.service.pacs import pacs
from tests.serving.service.running import DIGEST, PICTURES, SETTINGS, Running, dicom_pair, running

pytestmark = pytest.mark.slow
CANARY = "Kowalska^Janina"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running() as started:
        yield started


def refused(service: Running, code: str, **request) -> dict:
    answer = service.client.post("/measure", **request)
    body = answer.json()
    assert body["code"] == code, body
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"found", "expected", "remedy", "request_id"} <= set(body)
    assert 400 <= answer.status_code < 500
    return body


def test_the_answer_is_the_measurement_with_the_digest_of_its_model(service):
    answer = service.measure()
    assert answer.status_code == 200
    body = answer.json()
    assert answer.headers["plumbline-model"] == body["answered_by"]["model_digest"] == body["model"]["digest"] == DIGEST
    files = [RadiographFile(PICTURES[view], view, view) for view in ("frontal", "lateral")]
    expected = json.loads(json.dumps(measure_radiographs(open_bundled(), open_radiographs(files)).report()))
    assert body["parameters"] == expected["parameters"]
    assert body["views"]["frontal"]["landmarks_px"] == expected["views"]["frontal"]["landmarks_px"]


def test_dicom_files_of_unknown_view_are_measured_with_lengths(service, tmp_path):
    pair = dicom_pair(tmp_path)
    answer = service.client.post("/measure", files=[("files", (f"{view}.dcm", each)) for view, each in pair.items()])
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["views"]) == {"frontal", "lateral"}
    assert answer.json()["views"]["frontal"]["lengths_allowed"]


def test_the_answer_is_a_fhir_transaction_where_the_client_wants_one(service, tmp_path):
    pair = dicom_pair(tmp_path)
    files = {view: (view, each) for view, each in pair.items()}
    bundles = []
    for request in (
        {"params": {"format": "fhir"}},
        {"headers": {"accept": "application/fhir+json"}},
        {"headers": {"accept": "application/fhir+json; fhirVersion=5.0"}},
    ):
        answer = service.client.post("/measure", files=files, **request)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/fhir+json"
        assert answer.headers["plumbline-model"] == DIGEST
        bundles.append(answer.json())
    assert {bundle["type"] for bundle in bundles} == {"transaction"}
    assert bundles[0] == bundles[1]
    assert bundles[0] != bundles[2]
    refused(service, "RESULTS_NEED_DICOM", files={"frontal": ("a", PICTURES["frontal"])}, params={"format": "fhir"})


def test_a_stated_spacing_gives_a_picture_lengths(service):
    picture = {"frontal": ("a.png", PICTURES["frontal"])}
    answer = service.client.post("/measure", files=picture, data={"frontal_spacing_mm": "1.4"})
    assert answer.json()["views"]["frontal"]["spacing_mm"] == [1.4, 1.4]
    refused(service, "FIELD_INVALID", files=picture, data={"frontal_spacing_mm": "wide"})
    refused(service, "SPACING_INVALID", files=picture, data={"frontal_spacing_mm": "nan"})


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("NOT_DICOM", [("frontal", ("a.dcm", b"not a radiograph"))]),
        ("EMPTY_FILE", [("frontal", ("a.dcm", b""))]),
        ("PICTURE_UNREADABLE", [("frontal", ("a.png", PICTURES["frontal"][:900]))]),
        ("VIEW_NOT_STATED", [("files", ("a.png", PICTURES["frontal"]))]),
        ("FILES_UNCLEAR", [("frontal", ("a.png", b"1")), ("frontal", ("b.png", b"2"))]),
        ("MULTIPART_INVALID", [("files", (f"{n}.png", b"1")) for n in range(20)]),
        ("FIELD_UNKNOWN", [("frontal", ("a.png", b"1")), ("../../etc/passwd", ("b.png", b"2"))]),
    ],
)
def test_wrong_files_are_refused_with_the_way_out(service, code, files):
    refused(service, code, files=files)


def test_two_laterals_and_another_patients_lateral_are_refused(service, tmp_path):
    pair = dicom_pair(tmp_path)
    laterals = [("files", ("a.dcm", pair["lateral"])), ("files", ("b.dcm", pair["lateral"]))]
    refused(service, "VIEW_UNCLEAR", files=laterals)
    other = dicom_pair(tmp_path, name="vp-2")["lateral"]
    body = refused(service, "PATIENT_MISMATCH", files=[("files", ("a", pair["frontal"])), ("files", ("b", other))])
    assert "vp-" not in json.dumps(body)


def test_bodies_of_another_form_are_refused(service):
    refused(service, "TYPE_UNSUPPORTED", content=b"x", headers={"content-type": "text/plain"})
    refused(service, "MULTIPART_INVALID", content=b"x", headers={"content-type": "multipart/form-data; boundary=a"})
    refused(service, "FORMAT_UNAVAILABLE", params={"format": "html"}, files={"frontal": ("a", b"1")})
    for bomb in (b"[" * 900_000, b'{"a":' * 50 + b"1" + b"}" * 50, b'{"pacs": 1' + b"0" * 9000 + b"}", b"{"):
        refused(service, "JSON_INVALID", content=bomb, headers={"content-type": "application/json"})


def test_a_reference_names_a_pacs_of_the_settings_and_never_an_address(service):
    uid = {"study_uid": "1.2.3"}
    refused(service, "PACS_UNKNOWN", json={"pacs": "http://169.254.169.254/latest", **uid})
    refused(service, "REFERENCE_INVALID", json={"pacs": "a", "study_uid": "../1.2"})
    refused(service, "REFERENCE_INVALID", json={"pacs": "a", "url": "http://169.254.169.254/", **uid})
    refused(service, "REFERENCE_INVALID", json=["a"])


def test_nothing_that_identifies_a_patient_is_answered_or_logged(service, tmp_path):
    pair = dicom_pair(tmp_path, name=CANARY)
    named = {view: (f"/{CANARY}/../{view}.dcm", each) for view, each in pair.items()}
    good = service.client.post("/measure", files=named, params={"patient": CANARY})
    bad = service.client.post("/measure", files={"frontal": (f"{CANARY}.dcm", pair["frontal"][:3000])})
    missing = service.client.get(f"/{CANARY}")
    assert (good.status_code, bad.status_code, missing.status_code) == (200, 422, 404)
    for text in (good.text, bad.text, missing.text, service.log.getvalue(), service.client.get("/metrics").text):
        assert "Kowalska" not in text
    line = [each for each in service.lines() if each.get("status") == 200][-1]
    assert line["model"] == DIGEST
    assert [len(digest) for digest in line["inputs"]] == [64, 64]


def test_an_unexpected_error_is_answered_without_its_text(service, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError(f"cannot read {CANARY}")

    monkeypatch.setattr("serving.service.measuring.measure_radiographs", broken)
    answer = service.measure()
    assert (answer.status_code, answer.json()["code"]) == (500, "UNEXPECTED")
    line = next(each for each in service.lines() if each["event"] == "unexpected error")
    assert line["error"] == "RuntimeError"
    assert line["request"] == answer.headers["plumbline-request"]
    assert any(place.startswith("measuring.py:") for place in line["places"])
    assert "Kowalska" not in answer.text + service.log.getvalue()


def test_the_description_has_examples_of_both_bodies(service):
    operation = service.client.get("/openapi.json").json()["paths"]["/measure"]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    body = service.measure().json()
    assert set(example) <= set(body)
    assert example["schema"] == body["schema"]
    assert set(example["parameters"]) <= set(body["parameters"])


def test_metrics_count_answers_and_refusals(service):
    service.measure()
    refused(service, "EMPTY_FILE", files={"frontal": ("a", b"")})
    text = service.client.get("/metrics").text
    assert f'plumbline_measurements_total{{model="{DIGEST}"}}' in text
    assert 'plumbline_refusals_total{code="EMPTY_FILE"}' in text
    assert 'plumbline_requests_total{route="/measure",status="200"}' in text
    assert "plumbline_places_taken 0.0" in text


def test_radiographs_are_fetched_from_a_pacs_by_the_uid_of_their_study(tmp_path):
    with pacs(dicom_pair(tmp_path)) as address:
        known = {"main": PacsAddress(address, {"Authorization": "Basic abc"})}
        with running(ServiceSettings(access=SETTINGS.access, pacs=known)) as service:
            answer = service.client.post("/measure", json={"pacs": "main", "study_uid": "2.25.1"})
            assert answer.status_code == 200, answer.text
            assert set(answer.json()["views"]) == {"frontal", "lateral"}
            named = {"pacs": "main", "study_uid": "2.25.1", "frontal": "2.25.30"}
            assert set(service.client.post("/measure", json=named).json()["views"]) == {"frontal"}
            for unknown in ({"study_uid": "1.2.3"}, {"study_uid": "2.25.1", "frontal": "1.2"}):
                refused(service, "STUDY_NOT_FOUND", json={"pacs": "main", **unknown})
    with running(ServiceSettings(access=SETTINGS.access, pacs=known)) as service:
        answer = service.client.post("/measure", json={"pacs": "main", "study_uid": "2.25.1"})
        assert (answer.status_code, answer.json()["code"]) == (503, "PACS_UNAVAILABLE")
        assert address not in answer.text + service.log.getvalue()
