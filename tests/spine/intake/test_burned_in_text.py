"""Text in the pixels: what may identify somebody refuses the study, and side markers and technique do not."""

import json

import pytest

from spine.intake.burned_in_text import TextCheck, may_identify
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from tests.spine.intake.constructed_studies import KEY, write_study

ALLOWED = (
    *("L", "R", "AP", "P-A", "LAT L", "STANDING", "stand", "ERECT PA", "Whole Spine", "SCOLIOSIS STANDING AP", "Th12"),
    *("85 kV 12.5 mAs", "99.91 mm", "10 cm", "0123", "SID 180cm", "WITHTRACTION", "EREC", "日", "↑", "", "left", "EOS"),
)
IDENTIFYING = (
    *("KOWALSKA", "Kowalska, Anna", "Li Na Wang", "STANDING MEIER", "MÜLLER", "ИВАНОВ", "王小明", "김영희", "Ανδρέας"),
    *(
        "12.04.1961",
        "1961-04-12",
        "04/12/61",
        "1961年4月12日",
        "19610412",
        "ID 123456",
        "12345",
        "ＭＥＩＥＲ",
        "NGUYEN L",
    ),
)


@pytest.mark.parametrize("text", ALLOWED)
def test_markers_words_of_the_technique_and_short_numbers_are_allowed(text):
    assert not may_identify(text)


@pytest.mark.parametrize("text", IDENTIFYING)
def test_names_dates_and_record_numbers_may_identify(text):
    assert may_identify(text)


class Reader:
    """Reads the given texts in every image whose upper left pixel is marked, and counts the images."""

    def __init__(self, *texts):
        self.texts, self.images = texts, 0

    def __call__(self, image):
        self.images += 1
        assert image.dtype == "uint16" and image.ndim == 2 and image.max() <= 4095
        if self.texts == ("fail",):
            raise RuntimeError("KOWALSKA")
        return self.texts


def take_in(folder, reader, accepted=()):
    check = TextCheck(reader, frozenset(accepted)) if reader else None
    source = open_source("folder", folder / "drop")
    return ingest(source, folder / "s", folder / "q", pseudonym_key=KEY, text_check=check)


@pytest.fixture
def place(tmp_path):
    write_study(tmp_path / "drop" / "a", 1)
    return tmp_path


def test_a_name_in_the_pixels_goes_to_quarantine_and_is_not_quoted(place):
    report = take_in(place, Reader("L", "KOWALSKA, ANNA"))
    (refused,) = report.quarantined
    reason = (place / "q" / refused.key / "reason.json").read_text()
    assert refused.code == json.loads(reason)["code"] == "BURNED_IN_TEXT"
    assert "redact" in reason and "frontal and the lateral" in reason and "KOWALSKA" not in reason
    assert not list((place / "s").glob("*/study.json"))


def test_side_markers_are_accepted_and_a_known_study_is_not_read_again(place):
    reader = Reader("L", "STANDING")
    assert take_in(place, reader).used == 1 and reader.images == 2
    assert take_in(place, reader).already_present == 1 and reader.images == 2


def test_a_person_accepts_the_text_of_a_study(place):
    (refused,) = take_in(place, Reader("PHANTOM")).quarantined
    assert take_in(place, Reader("PHANTOM"), [refused.key]).used == 1
    assert not (place / "q" / refused.key).exists()


def test_a_study_that_was_refused_is_read_again_without_the_reader(place):
    assert take_in(place, Reader("PHANTOM")).used == 0
    assert take_in(place, None).used == 1


def test_a_fault_of_the_reader_refuses_the_study_and_quotes_nothing(place):
    (refused,) = take_in(place, Reader("fail")).quarantined
    assert refused.code == "READER_FAULT" and "KOWALSKA" not in refused.message
    assert take_in(place, Reader()).used == 1
