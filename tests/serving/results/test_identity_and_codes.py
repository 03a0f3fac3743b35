"""UIDs follow from radiographs and model, and every code of results stands in one table."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.sr._concepts_dict import concepts

from serving.results import codes
from serving.results.fhir_codes import ABSENT_REASONS
from serving.results.identity import RESULT_KINDS, derived_uuid, device_uid, result_uids, series_uid, tracking_uid
from spine.landmarks import LEVELS
from spine.measurement.classes import CLASSES
from spine.measurement.registry import ABSENT_CODES, PARAMETERS

UIDS, DIGEST = ("1.2.3", "1.2.4"), "ab" * 32


def test_the_same_radiographs_and_model_give_the_same_uids_in_any_order() -> None:
    uids = result_uids(UIDS, DIGEST)
    assert set(uids) == set(RESULT_KINDS)
    assert uids == result_uids(UIDS[::-1], DIGEST) == result_uids({*UIDS}, DIGEST)


def test_other_radiographs_or_another_model_give_other_uids() -> None:
    sets = [result_uids(UIDS, DIGEST), result_uids(UIDS[:1], DIGEST), result_uids(UIDS, "cd" * 32)]
    found = [uid for uids in sets for uid in uids.values()]
    found += [series_uid(kind, UIDS, DIGEST) for kind in ("sr", "overlay", "presentation_frontal", "report")]
    found += [tracking_uid(name, UIDS, DIGEST) for name in PARAMETERS] + [device_uid(DIGEST)]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"2\.25\.[1-9][0-9]{20,38}", uid) for uid in found)


def test_both_presentation_states_are_one_series() -> None:
    assert series_uid("presentation_frontal", UIDS, DIGEST) == series_uid("presentation_lateral", UIDS, DIGEST)


def test_the_uuid_names_its_version_and_variant() -> None:
    made = derived_uuid("sr", UIDS, DIGEST)
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    assert result_uids(UIDS, DIGEST)["sr"] == f"2.25.{made.int}"


def test_everything_that_a_result_says_has_a_code() -> None:
    assert set(PARAMETERS) == set(codes.PARAMETER_CODES)
    assert set(ABSENT_CODES) == set(codes.ABSENCE_CODES) == set(ABSENT_REASONS)
    assert set(CLASSES) == set(codes.CLASS_CODES)
    assert {*LEVELS, "HIP"} == set(codes.LEVEL_CODES)
    assert {p.unit for p in PARAMETERS.values()} == set(codes.UNIT_CODES)


def _table() -> list[codes.Code]:
    tables = (codes.PARAMETER_CODES, codes.ABSENCE_CODES, codes.LEVEL_CODES, codes.UNIT_CODES, codes.CLASS_CODES)
    single = [value for value in vars(codes).values() if isinstance(value, codes.Code)]
    return [*single, *(code for table in tables for code in table.values())]


def test_codes_fit_their_elements_and_none_occurs_twice() -> None:
    every = _table()
    every += [same for code in every for same in code.same]
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 and len(code.scheme) <= 16 for code in every)
    assert len({(code.scheme, code.value) for code in every}) == len(every)
    assert all(code.scheme in codes.SYSTEMS for code in every)


def test_standard_codes_are_those_of_the_standard() -> None:
    """Against pydicom's copy of PS3.16, which lacks two codes of TID 1500 and has long names for two structures."""
    table: Mapping[str, Mapping[str, Any]] = concepts
    known = {
        (scheme, value): meaning
        for scheme in ("SCT", "DCM", "UCUM")
        for entry in table[scheme].values()
        for value, (meaning, _) in entry.items()
    }
    ours = [code for code in _table() if code.scheme in ("SCT", "DCM", "UCUM") and code is not codes.IMAGING_PROCEDURE]
    assert len(ours) >= 25
    longer = {"24136001": "Hip joint structure", "421060004": "Structure of vertebral column", "mm": "mm"}
    for code in ours:
        assert known[code.scheme, code.value].lower().startswith(longer.get(code.value, code.meaning).lower()), code


def test_the_tilt_of_the_iliac_crest_is_nobodys_code() -> None:
    radelement = {same.value for code in codes.PARAMETER_CODES.values() for same in code.same}
    assert "RDE265" not in radelement and {"RDE264", "RDE268"} <= radelement


def test_the_pages_list_every_code_and_the_private_scheme() -> None:
    docs = Path(__file__).parents[3] / "docs"
    results, conformance = ((docs / name).read_text() for name in ("results.md", "dicom-conformance.md"))
    for code in codes.PARAMETER_CODES.values():
        assert all(re.search(rf"\b{each.value}\b", results) for each in (code, *code.same)), code
    assert codes.PRIVATE_UID in results and codes.PRIVATE_UID in conformance
    for text in (codes.PRIVATE, codes.PRIVATE_NAME, codes.RESPONSIBLE):
        assert f"| {text} |" in conformance
