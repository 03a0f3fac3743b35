import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from spine.errors import DicomRejected
from spine.radiograph.elements import BIG_ENDIAN
from spine.radiograph.read import read_radiograph
from spine.radiograph.recognise import dicom_kind
from spine.radiograph.structure import check_structure, checked_bytes
from tests.spine.radiograph.constructed_radiographs import deflated, edited, nested, sample_radiograph, with_raw
from tests.spine.refusals import code_of


def code(path):
    return code_of(read_radiograph, path)


def test_a_deflated_radiograph_is_read(original):
    plain, found = read_radiograph(original), read_radiograph(deflated(original))
    assert (found.image == plain.image).all()
    assert found.facts["transfer_syntax"].startswith("Deflated")


@pytest.mark.parametrize("zeros", [8, 512])
def test_zeros_at_the_end_of_a_deflated_data_set_or_after_it_are_permitted(original, zeros):
    plain = read_radiograph(original)
    inside = deflated(original, (bytes(zeros),))
    assert (read_radiograph(inside).image == plain.image).all()
    inside.write_bytes(inside.read_bytes() + bytes(zeros))
    assert (read_radiograph(inside).image == plain.image).all()


@pytest.mark.parametrize("depth", [50, 64])
def test_sequences_may_nest_this_deep(original, depth):
    checked_bytes(nested(original, depth))


@pytest.mark.parametrize("depth", [70, 200, 5000])
@pytest.mark.parametrize("undefined", [False, True])
def test_deeper_nesting_is_refused_without_recursion(original, depth, undefined):
    assert code(nested(original, depth, undefined)) == "NESTING_LIMIT"


@pytest.mark.parametrize("length", [0xFFFFFFF0, 0x7FFFFFFF, 18_002])
def test_a_length_beyond_the_file_is_truncated(original, length):
    payload = original.read_bytes()
    at = payload.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    original.write_bytes(payload[:at] + struct.pack("<I", length) + payload[at + 4 :])
    assert code(original) == "TRUNCATED"


def test_a_file_cut_anywhere_has_a_code(tmp_path):
    payload = sample_radiograph(tmp_path / "a.dcm").read_bytes()
    path, codes = tmp_path / "cut.dcm", {}
    for size in (*range(0, 2400, 7), 128, *range(0, len(payload), 512), len(payload) - 1):
        path.write_bytes(payload[:size])
        codes[size] = code(path)
    assert codes[0] == "EMPTY_FILE"
    assert codes[128] == "NOT_DICOM"
    assert codes[len(payload) - 1] == "TRUNCATED"
    assert set(codes.values()) <= {"EMPTY_FILE", "NOT_DICOM", "TRUNCATED", "PIXELS_ABSENT", "TRANSFER_SYNTAX_MISSING"}


@pytest.mark.parametrize("payload", [b"hello " * 100, b"\xff\xd8\xff\xe0" + bytes(500), bytes(128), b"\x89PNG" * 50])
def test_other_files_are_not_dicom(tmp_path, payload):
    path = tmp_path / "a.dcm"
    path.write_bytes(payload)
    assert code(path) == "NOT_DICOM"
    assert dicom_kind(path) is None


@pytest.mark.parametrize("start", [b"MZ", b"\x7fELF"])
def test_a_program_in_the_preamble_is_refused(original, start):
    original.write_bytes(start + original.read_bytes()[len(start) :])
    assert code(original) == "PREAMBLE_EXECUTABLE"


@pytest.mark.parametrize(
    ("syntax", "implicit", "little"), [("1.2.840.10008.1.2", True, True), (BIG_ENDIAN, False, False)]
)
def test_implicit_and_big_endian_are_walked_and_read(original, tmp_path, syntax, implicit, little):
    dataset = pydicom.dcmread(original)
    again = pydicom.Dataset()
    for element in dataset:
        if element.VR != "SQ":
            again.add(element)
    again.PixelData = dataset.pixel_array.astype("<u2" if little else ">u2").tobytes()
    again.file_meta = dataset.file_meta
    again.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(tmp_path / "b.dcm", again, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    found, expected = read_radiograph(tmp_path / "b.dcm"), read_radiograph(original)
    assert (found.image == expected.image).all()
    assert found.geometry == expected.geometry
    assert found.offset_recorded


def test_names_in_other_alphabets_and_line_breaks_do_no_harm(original):
    def change(ds):
        ds.add_new(0x00100010, "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B\n\x1b[31m\0")
        ds.add_new(0x00104000, "LT", b"x" * 60_000)

    path = edited(original, change, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    assert read_radiograph(path).view == "frontal"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2400), st.binary(min_size=1, max_size=6)), min_size=1, max_size=5))
def test_damaged_bytes_give_an_image_or_a_code_and_nothing_else(tmp_path, damages):
    payload = bytearray(sample_radiograph(tmp_path / "a.dcm").read_bytes())
    for at, damage in damages:
        payload[at : at + len(damage)] = damage
    path = tmp_path / "damaged.dcm"
    path.write_bytes(bytes(payload))
    try:
        radiograph = read_radiograph(path)
    except DicomRejected as refusal:
        assert refusal.code != "READER_FAULT"
    else:
        assert radiograph.image.max() <= 4095


def test_the_walk_agrees_with_pydicoms_own_examples():
    for name in ("CT_small.dcm", "MR_small_expb.dcm", "priv_SQ.dcm", "nested_priv_SQ.dcm", "UN_sequence.dcm"):
        check_structure(Path(get_testdata_file(name)).read_bytes())


@pytest.mark.parametrize("kind", ["UL", "LO", "OB", "FD"])
@pytest.mark.parametrize("tag", [0x00540220, 0x00283000, 0x00283010])
def test_a_sequence_of_another_type_is_a_refusal_or_left_out(original, tag, kind):
    """ViewCodeSequence and Modality LUT are needed; a VOI LUT is for display."""
    path = with_raw(original, tag, kind, bytes(range(16)))
    if tag == 0x00283010:
        assert read_radiograph(path).view == "frontal"
    else:
        assert code(path) == "TAG_INVALID"


@pytest.mark.parametrize("tag", [b"\x28\0\x01\x01US", b"\xe0\x7f\x10\x00OW"])
def test_a_tag_of_the_pixels_with_the_type_of_a_text_is_a_refusal(original, tag):
    assert original.read_bytes().count(tag) == 1
    original.write_bytes(original.read_bytes().replace(tag, tag[:4] + (b"LO" if tag.endswith(b"US") else b"UT")))
    assert code(original) == "DECODE_FAILED"
