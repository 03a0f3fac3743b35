"""What intake writes about a study: every key is from a closed list, and every text matches a pattern.

A new key is a decision about de-identification. Add it to the table of docs/privacy.md, and then here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from simulation.imaging.appearance import AppearanceFamily
from simulation.vocabulary import Anatomy, Condition, FieldOfView, Sex
from spine.intake.facts import NUMBER_KEYS, TEXT_KEYS, WORDS, safe_facts
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.radiograph.decoders import SYNTAXES
from spine.radiograph.technique import BODY_PARTS, MAKERS
from spine.study import CalibrationType
from tests.spine.intake.constructed_studies import KEY, write_study
from tests.spine.intake.test_privacy import planted

HASH = r"[0-9a-f]{16}"
POINT = r"(T\d+|L\d|S1|HIP)_\w{1,10}"
NUMBER = None
"""In place of a pattern: the value is a number, a boolean or absent."""

VIEW = {
    "view": "frontal|lateral",
    "image": r"(frontal|lateral)\.npy",
    "sha256": "[0-9a-f]{64}",
    "calibration": "|".join(get_args(CalibrationType)),
    "shape": NUMBER,
    "spacing_mm": NUMBER,
    "geometry/view": "frontal|lateral",
    **dict.fromkeys(("geometry/shape", "geometry/spacing_mm", "geometry/u0_mm", "geometry/z0_mm"), NUMBER),
    "geometry/source_to_isocentre_mm": NUMBER,
    "facts/instance": HASH,
    "facts/examination": HASH,
    "facts/manufacturer": "|".join((*MAKERS, "other")),
    "facts/body_part": "|".join({*BODY_PARTS.values()}),
    "facts/sex": "M|F|O",
    **dict.fromkeys(("facts/kvp", "facts/age_years", "facts/secondary_capture", "facts/simulated"), NUMBER),
    "facts/transfer_syntax": "|".join(re.escape(syntax.name) for syntax in SYNTAXES.values()),
    "facts/photometric": "MONOCHROME[12]|RGB|YBR_[A-Z0-9_]+",
    "facts/intensity": "[a-z0-9 ,;()-]{3,80}",
    "facts/colour": "turned to grey",
    "facts/spacing_rule": "[A-Za-z0-9 ,;()-]{1,80}",
    "facts/pixels": r"made square, aspect [0-9.]+",
    "facts/orientation_found": r"unverified|[LRAP]\\[FH]",
    "facts/orientation_applied": "[a-z0-9 ,]{3,60}",
}
STUDY = {
    "schema": r"plumbline\.study/1",
    "study_id": HASH,
    "patient": f"p{HASH}",
    "source": "folder|virtual|aasce|ct-keypoints",
    "has_reconstruction": NUMBER,
    "revises": HASH,
    **{f"facts/{key}": NUMBER for key in NUMBER_KEYS | {"seed"}},
    **{f"facts/{key}": f"[MFO]|(({'|'.join(WORDS)}|[tls]?[0-9]{{1,2}})[_.+-]?)+" for key in TEXT_KEYS},
    **{f"views/{view}/{key}": value for view in ("frontal", "lateral") for key, value in VIEW.items()},
}
RECONSTRUCTION = {
    "schema": r"plumbline\.reconstruction/\d",
    "subject_id": f"p{HASH}",
    "axes": "LPS",
    "units": "mm",
    "source_format": "[a-z0-9 -]{3,30}",
    **{key: value for key, value in STUDY.items() if key.startswith("facts/")},
    **{f"geometry/{v}/{k[9:]}": value for v in ("frontal", "lateral") for k, value in VIEW.items() if k[:4] == "geom"},
}


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path of keys, value) of every value; a list has the path of its key."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{path}/{key}" if path else key)
    elif isinstance(content, list):
        for value in content:
            yield from leaves(value, path)
    else:
        yield path, content


def violations(content: Any, allowed: dict[str, str | None]) -> list[str]:
    found = []
    for path, value in leaves(content):
        points = re.fullmatch(rf"(points|hip_radius_mm)/{POINT}", path)
        pattern = NUMBER if points else allowed.get(path, "")
        is_number = isinstance(value, int | float | None)
        fits = is_number if pattern is NUMBER else re.fullmatch(pattern, str(value)) is not None
        if not fits:
            found.append(f"{path}: {value!r}")
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Studies with and without identifiers, of one and of two views, with and without points."""
    folder = tmp_path_factory.mktemp("fields")
    drop = planted(folder / "drop")
    write_study(drop / "b", 31, age_years=97.0, sex="F")
    write_study(drop / "c", 32, views=("frontal",), reconstruction=False, simulated=False)
    report = ingest(open_source("folder", drop), folder / "s", folder / "q", pseudonym_key=KEY)
    assert report.used == 3
    return folder / "s"


def test_every_stored_field_is_from_the_closed_list(store):
    records = [json.loads(path.read_text()) for path in store.glob("*/study.json")]
    assert len(records) == 3 and {path for r in records for path, _ in leaves(r)} >= {"patient", "facts/age_years"}
    assert [violation for record in records for violation in violations(record, STUDY)] == []
    points = [json.loads(path.read_text()) for path in store.glob("*/reconstruction.json")]
    assert len(points) == 2
    assert [violation for record in points for violation in violations(record, RECONSTRUCTION)] == []
    assert {p.name for p in store.glob("*/*")} == {"study.json", "reconstruction.json", "frontal.npy", "lateral.npy"}


def test_no_date_is_stored_and_a_high_age_is_capped(store):
    text = "".join(path.read_text() for path in store.glob("*/*.json"))
    assert not re.search(r'date|birth|"(19|20)\d{6}"', text, re.IGNORECASE)
    assert "97" not in re.findall(r'"age_years": (\d+)', text) and '"age_years": 90' in text


@pytest.mark.parametrize("key", ["name", "meier", "patient_id", "ward_7", "operator"])
def test_a_key_that_is_not_listed_is_dropped(key):
    assert safe_facts({key: 1, "age_years": 5}) == {"age_years": 5.0}


@pytest.mark.parametrize("value", ["meier", "scoliosis_meier", "anna", "severe-meier", "Severe", "x" * 80, "123456"])
def test_a_word_that_is_not_listed_is_dropped(value):
    assert safe_facts({"condition": value}) == {}


def test_the_words_of_virtual_patients_are_kept():
    values = {"condition": Condition, "anatomy": Anatomy, "field_of_view": FieldOfView, "appearance": AppearanceFamily}
    for key, words in (values | {"sex": Sex}).items():
        for word in get_args(words):
            assert safe_facts({key: word}) == {key: word}
