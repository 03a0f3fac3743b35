"""The FHIR transaction: valid in both releases, repeatable, and with no code outside our tables and enumerations."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.bundle import Bundle
from fhir.resources.R4B.bundle import Bundle as EarlierBundle

from inference.measured_study import MeasuredStudy
from serving.results import codes, fhir_codes
from serving.results.fhir_bundle import fhir_text
from serving.results.fhir_codes import Release
from spine.measurement.registry import PARAMETERS
from tests.serving.results.measured import measured, read

pytestmark = pytest.mark.slow

RELEASES = list(Release)


def bundle_of(study: MeasuredStudy, release: Release = Release.R4B) -> dict[str, Any]:
    return dict(json.loads(fhir_text(study, release)))


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def observation(bundle: dict[str, Any], name: str) -> dict[str, Any]:
    code = codes.PARAMETER_CODES[name].value
    (found,) = [o for o in resources(bundle, "Observation") if o["code"]["coding"][0]["code"] == code]
    return found


def values_of(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path without indices and value of every leaf."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from values_of(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from values_of(value, path)
    else:
        yield path, node


@pytest.mark.parametrize("release", RELEASES)
def test_the_bundle_is_valid_and_survives_the_library(pair: MeasuredStudy, release: Release) -> None:
    text = fhir_text(pair, release)
    parsed = (Bundle if release is Release.R5 else EarlierBundle).model_validate_json(text)
    assert json.loads(parsed.model_dump_json()) == json.loads(text), "no element is lost"


@pytest.mark.parametrize("release", RELEASES)
def test_a_repeat_is_the_same_transaction(pair: MeasuredStudy, case: Path, release: Release) -> None:
    again = measured({"frontal": case / "frontal.dcm", "lateral": case / "lateral.dcm"})
    assert fhir_text(again, release) == fhir_text(pair, release)
    for entry in bundle_of(pair, release)["entry"]:
        kind, uuid = entry["resource"]["resourceType"], entry["resource"]["id"]
        assert entry["request"] == {"method": "PUT", "url": f"{kind}/{uuid}"}
        assert entry["fullUrl"] == f"urn:uuid:{uuid}"


@pytest.mark.parametrize("release", RELEASES)
def test_every_reference_names_an_entry(pair: MeasuredStudy, release: Release) -> None:
    bundle = bundle_of(pair, release)
    known = {entry["fullUrl"] for entry in bundle["entry"]}
    used = {value for path, value in values_of(bundle) if path.endswith(".reference")}
    assert used <= known and len(known) == len(bundle["entry"])


def test_a_parameter_has_value_unit_interval_and_model(pair: MeasuredStudy) -> None:
    bundle = bundle_of(pair)
    assert len(resources(bundle, "Observation")) >= len(pair.prediction.parameters)
    for name, found in pair.prediction.parameters.items():
        told = observation(bundle, name)
        assert told["status"] == "preliminary"
        if found.value is None or found.interval is None:
            continue
        quantity = told["valueQuantity"]
        assert (quantity["value"], quantity["code"]) == (pytest.approx(found.value, abs=0.05), found.unit)
        ends = told["component"][0]["valueRange"]
        assert (ends["low"]["value"], ends["high"]["value"]) == pytest.approx(found.interval, abs=0.05)
        assert ends["low"]["code"] == ends["high"]["code"] == found.unit
    (device,) = resources(bundle, "Device")
    assert device["serialNumber"] == pair.model.digest and "simulated data" in device["note"][0]["text"]
    marks = {e["resource"]["meta"]["security"][0]["code"] for e in bundle["entry"] if "meta" in e["resource"]}
    assert marks == {"AIAST"}


def test_an_absent_parameter_has_the_reason_of_fhir_and_ours(case: Path) -> None:
    study = measured({"lateral": case / "lateral.dcm"})
    told = observation(bundle_of(study), "cobb")
    assert not {"valueQuantity", "component"} & set(told)
    assert [c["code"] for c in told["dataAbsentReason"]["coding"]] == ["not-performed", "VIEW_MISSING"]
    assert told["dataAbsentReason"]["text"] == study.prediction.parameters["cobb"].absent_reason


def _allowed() -> dict[str, set[str]]:
    """System -> its codes in our tables and enumerations."""
    every = [value for value in vars(codes).values() if isinstance(value, codes.Code)]
    for table in (codes.PARAMETER_CODES, codes.ABSENCE_CODES, codes.LEVEL_CODES, codes.UNIT_CODES, codes.CLASS_CODES):
        every += table.values()
    every += [same for code in every for same in code.same]
    allowed: dict[str, set[str]] = {}
    for code in every:
        allowed.setdefault(codes.SYSTEMS[code.scheme], set()).add(code.value)
    allowed[codes.SYSTEMS["DCM"]] |= set(fhir_codes.Modality)
    allowed[fhir_codes.ABSENT_SYSTEM] = set(fhir_codes.AbsentReason)
    allowed[fhir_codes.CATEGORY_SYSTEM] = {fhir_codes.IMAGING_CATEGORY[0]}
    allowed[fhir_codes.SECTION_SYSTEM] = {fhir_codes.RADIOLOGY_SECTION[0]}
    allowed[fhir_codes.SECURITY_SYSTEM] = {fhir_codes.AI_ASSERTED[0]}
    return allowed


def codings_of(node: Any) -> Iterator[tuple[str, str]]:
    """System and code of everything that has both, SOP classes left out."""
    if isinstance(node, dict):
        if "code" in node and "system" in node and not str(node["code"]).startswith("urn:oid:1.2.840.10008."):
            yield node["system"], node["code"]
        for value in node.values():
            yield from codings_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from codings_of(value)


ENUMERATED = {".status", ".type", ".request.method", ".deviceName.type", ".name.type"}


@pytest.mark.parametrize("release", RELEASES)
def test_no_code_is_outside_our_tables_and_enumerations(case: Path, pair: MeasuredStudy, release: Release) -> None:
    allowed = _allowed()
    enumerated = {str(value) for name in vars(fhir_codes).values() if _is_enumeration(name) for value in name}
    for study in (pair, measured({"frontal": case / "frontal.dcm"})):
        bundle = bundle_of(study, release)
        assert {(system, code) for system, code in codings_of(bundle) if code not in allowed.get(system, ())} == set()
        for entry in bundle["entry"]:
            for path, value in values_of(entry):
                leaf = path.removeprefix(".resource")
                if leaf in ENUMERATED:
                    assert value in enumerated, path


def _is_enumeration(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, StrEnum)


def test_a_wrong_modality_does_not_reach_the_bundle(case: Path) -> None:
    bundle = bundle_of(measured({"frontal": read(case, "frontal", Modality="DX\\HUGO")}))
    (study,) = resources(bundle, "ImagingStudy")
    assert [series["modality"]["code"] for series in study["series"]] == ["OT"]


def test_the_patient_is_referred_to_by_the_identifier_alone(case: Path) -> None:
    frontal = read(case, "frontal", PatientID="4711", IssuerOfPatientID="HOSPITAL", PatientName="Doe^Jane")
    text = fhir_text(measured({"frontal": frontal}))
    subjects = {json.dumps(o["subject"]) for o in resources(json.loads(text), "Observation")}
    identifier = {"value": "4711", "assigner": {"display": "HOSPITAL"}}
    assert subjects == {json.dumps({"type": "Patient", "identifier": identifier})}
    assert "Doe" not in text and len(PARAMETERS) > 0


def test_a_class_has_its_value_and_probability_or_a_reason(case: Path, pair: MeasuredStudy) -> None:
    for study in (pair, measured({"frontal": case / "frontal.dcm"})):
        bundle = bundle_of(study)
        told = {o["code"]["coding"][0]["code"]: o for o in resources(bundle, "Observation")}
        for name, found in study.prediction.classes.items():
            resource = told[codes.CLASS_CODES[name].value]
            assert resource.get("valueCodeableConcept", {}).get("text") == found.value
            assert (found.value is None) == ("dataAbsentReason" in resource)
            if found.probability is not None:
                (component,) = resource["component"]
                assert component["valueQuantity"]["value"] == pytest.approx(100 * found.probability, abs=0.05)
