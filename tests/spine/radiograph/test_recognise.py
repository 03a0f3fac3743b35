"""What kind of object a file is, from its first bytes, and that the reader reads or refuses the same files."""

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary
from pydicom.data import get_testdata_file

from spine.errors import DicomRejected
from spine.radiograph.read import read_radiograph
from spine.radiograph.recognise import dicom_kind
from spine.radiograph.sop_classes import KIND_OF_CLASS, READABLE
from tests.spine.radiograph.constructed_radiographs import edited, gradient, sample_radiograph
from tests.spine.refusals import code_of

STORAGE = "1.2.840.10008.5.1.4.1.1."
PREAMBLE = bytes(128)
ENCODINGS = [(True, True), (False, True), (False, False)]
"""(implicit, little endian) as transfer syntaxes have them."""


def bare(path, *, implicit=True, little=True):
    """The data set of a radiograph alone, without preamble and meta header."""
    dataset = pydicom.dcmread(path)
    if not little:
        # The pixels are words, which pydicom does not turn round.
        dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
    del dataset.file_meta
    dataset.preamble = None
    out = path.with_name("bare")
    with out.open("wb") as stream:
        pydicom.dcmwrite(stream, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return out.read_bytes()


def meta_of(path):
    payload = path.read_bytes()
    return payload[132 : 144 + struct.unpack_from("<I", payload, 140)[0]]


def written(tmp_path, payload):
    file = tmp_path / "IM000001"
    file.write_bytes(payload)
    return file


@pytest.mark.parametrize(("implicit", "little"), ENCODINGS)
@pytest.mark.parametrize("start", [b"", b"DICM", PREAMBLE + b"DICM"])
def test_a_data_set_without_its_header_is_recognised_and_read(original, tmp_path, implicit, little, start):
    file = written(tmp_path, start + bare(original, implicit=implicit, little=little))
    assert dicom_kind(file) == "radiograph"
    read = read_radiograph(file)
    np.testing.assert_array_equal(read.image, gradient())
    assert read.geometry == read_radiograph(original).geometry


@pytest.mark.parametrize("start", [b"", b"DICM"])
def test_a_file_without_its_preamble_is_recognised_and_read(original, tmp_path, start):
    payload = original.read_bytes()
    file = written(tmp_path, start + payload[132:])
    assert dicom_kind(file) == "radiograph"
    np.testing.assert_array_equal(read_radiograph(file).image, gradient())


def test_an_encoding_that_dicom_lacks_is_refused_by_name(original, tmp_path):
    # Implicit big endian, as before DICOM: three elements of group 0008.
    elements = b"".join(struct.pack(">HHI", 8, e, 2) + b"1 " for e in (5, 8, 0x60))
    file = written(tmp_path, elements)
    assert dicom_kind(file) == "radiograph"
    assert code_of(read_radiograph, file) == "TRANSFER_SYNTAX_UNSUPPORTED"


@pytest.mark.parametrize("zeros", [1, 2, 7, 8, 9, 512, 4096])
def test_zeros_after_the_last_element_are_permitted(original, zeros):
    original.write_bytes(original.read_bytes() + bytes(zeros))
    np.testing.assert_array_equal(read_radiograph(original).image, gradient())


@pytest.mark.parametrize("zeros", [0, 512])
def test_trailing_padding_is_permitted(original, zeros):
    padding = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 64) + bytes(64)
    original.write_bytes(original.read_bytes() + padding + bytes(zeros))
    np.testing.assert_array_equal(read_radiograph(original).image, gradient())


@pytest.mark.parametrize("rest", [b"\xff" * 512, b" " * 64, bytes(64) + b"\1", b"\0\0\0\1"])
def test_other_bytes_after_the_last_element_are_refused(original, rest):
    original.write_bytes(original.read_bytes() + rest)
    assert code_of(read_radiograph, original) in ("STRUCTURE_INVALID", "TRUNCATED")


def test_zeros_with_a_byte_at_their_end_are_refused_at_once(original):
    original.write_bytes(original.read_bytes() + bytes(3 * 2**20) + b"\1")
    started = time.monotonic()
    assert code_of(read_radiograph, original) == "STRUCTURE_INVALID"
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(("implicit", "little"), ENCODINGS)
def test_zeros_after_a_data_set_without_header(original, tmp_path, implicit, little):
    file = written(tmp_path, bare(original, implicit=implicit, little=little) + bytes(512))
    np.testing.assert_array_equal(read_radiograph(file).image, gradient())


def test_files_that_are_not_dicom(original, tmp_path):
    payload = original.read_bytes()
    others = [b"", bytes(600), payload[:100], payload[:131], b"\x08\x00", b"\x08\x00" * 300, b"hello " * 100]
    others += [b"\x02\x00" * 300, b"DICM" + bytes(100), b"\xff\xd8\xff\xe0" + bytes(500), bytes(range(256)) * 3]
    for other in others:
        assert dicom_kind(written(tmp_path, other)) is None


def test_a_cut_file_is_dicom_from_its_mark_on(original, tmp_path):
    payload = original.read_bytes()
    assert dicom_kind(written(tmp_path, payload[:132])) == "radiograph"
    assert dicom_kind(written(tmp_path, payload[:200])) == "radiograph"


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        *((uid.removeprefix(STORAGE), "radiograph") for uid in sorted(READABLE)),
        *(("88.11", "report"), ("88.59", "key object"), ("88.67", "dose report"), ("11.1", "presentation state")),
        *(("104.1", "encapsulated document"), ("77.1.4", "photograph"), ("77.1.4.1", "photograph")),
        *(("2", "CT image"), ("4", "MR image"), ("6.1", "ultrasound image"), ("9.1.1", "waveform"), ("66", "raw data")),
        *(("66.4", "segmentation"), ("1.2", "mammogram"), ("12.1", "fluoroscopy or angiography image")),
        *(("7.1", "single-bit capture"), ("481.1", "radiotherapy image"), ("481.5", "radiotherapy object")),
        *(("7.99", "radiograph"), ("99.1", "radiograph"), ("1.99", "radiograph")),  # unknown: the reader names them
    ],
)
def test_every_kind_by_the_whole_class(original, tail, kind):
    uid = STORAGE + tail
    file = edited(original, lambda ds: setattr(ds.file_meta, "MediaStorageSOPClassUID", uid), SOPClassUID=uid)
    assert dicom_kind(file) == kind
    if uid in READABLE:
        assert read_radiograph(file).view == "frontal"
    else:
        assert code_of(read_radiograph, file) == "SOP_CLASS_UNSUPPORTED"


def test_dicomdirs_of_other_programs_are_dicomdirs():
    folder = Path(get_testdata_file("DICOMDIR")).parent
    files = [file for file in folder.rglob("*DICOMDIR*") if file.is_file()]
    assert len(files) >= 5
    assert {dicom_kind(file) for file in files} == {"DICOMDIR"}
    assert KIND_OF_CLASS["1.2.840.10008.1.3.10"] == "DICOMDIR"
    assert KIND_OF_CLASS["1.2.840.10008.5.1.4.38.1"] == "display layout"


def test_the_table_has_every_storage_class_of_the_standard():
    services = ("FIND", "MOVE", "GET", "Creation", "Repository Query", "(Retired)")
    missing = [
        (uid, name)
        for uid, (name, kind, _, retired, _) in UID_dictionary.items()
        if uid.startswith(STORAGE) and kind == "SOP Class" and name and not retired and uid not in KIND_OF_CLASS
    ]
    assert [(uid, name) for uid, name in missing if not any(word in name for word in services)] == []


@pytest.mark.parametrize(("meta", "data"), [("88.1", "1.1"), ("1.1", "88.1")])
def test_a_header_that_contradicts_its_data_set_goes_to_the_reader(original, meta, data):
    file = edited(original, SOPClassUID=STORAGE + data)
    value = (STORAGE + data).encode().ljust(28, b"\0")
    assert file.read_bytes().count(value) == 2  # in the meta header, then in the data set
    file.write_bytes(file.read_bytes().replace(value, (STORAGE + meta).encode().ljust(28, b"\0"), 1))
    assert dicom_kind(file) == "radiograph"
    if data == "1.1":
        assert read_radiograph(file).view == "frontal"
    else:
        assert code_of(read_radiograph, file) == "SOP_CLASS_UNSUPPORTED"


def test_a_bare_report_is_a_report(original, tmp_path):
    path = edited(original, SOPClassUID=STORAGE + "88.11")
    for implicit, little in ENCODINGS:
        assert dicom_kind(written(tmp_path, bare(path, implicit=implicit, little=little))) == "report"


def test_compressed_pixels_without_the_syntax_that_names_them_are_refused(original, tmp_path):
    dataset = pydicom.dcmread(original)
    dataset.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(tmp_path / "rle.dcm")
    payload = (tmp_path / "rle.dcm").read_bytes()
    file = written(tmp_path, payload[132 + len(meta_of(tmp_path / "rle.dcm")) :])
    assert dicom_kind(file) == "radiograph"
    assert code_of(read_radiograph, file) == "TRANSFER_SYNTAX_INVALID"


def test_recognising_reads_a_few_kilobytes_of_a_large_file(original):
    with original.open("r+b") as stream:
        stream.truncate(300 * 2**20)
    tracemalloc.start()
    try:
        assert dicom_kind(original) == "radiograph"
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(ENCODINGS),
    st.sampled_from([b"", b"DICM", PREAMBLE + b"DICM"]),
    st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4),
)
def test_damaged_data_sets_without_header_give_an_image_or_a_code(tmp_path, encoding, start, damages):
    file = tmp_path / "bare.dcm"
    if not (tmp_path / str(encoding)).exists():
        original = sample_radiograph(tmp_path / "a.dcm")
        (tmp_path / str(encoding)).write_bytes(bare(original, implicit=encoding[0], little=encoding[1]))
    payload = bytearray(start + (tmp_path / str(encoding)).read_bytes())
    for at, damage in damages:
        payload[at : at + len(damage)] = damage
    file.write_bytes(bytes(payload))
    kind = dicom_kind(file)
    try:
        read_radiograph(file)
    except DicomRejected as refusal:
        assert refusal.code != "READER_FAULT", refusal.__cause__
        assert (refusal.code == "NOT_DICOM") == (kind is None)
    else:
        assert kind == "radiograph"


def test_a_sequence_early_in_a_data_set_without_header(original, tmp_path):
    # (0008,0006) Language Code Sequence of undefined length comes before the class.
    head = struct.pack("<HH2sH", 8, 5, b"CS", 10) + b"ISO_IR 100"
    sequence = struct.pack("<HH2sHI", 8, 6, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    payload = bare(original, implicit=False)
    file = written(tmp_path, head + sequence + payload[payload.index(b"\x08\0\x08\0CS") :])
    assert dicom_kind(file) == "radiograph"
    np.testing.assert_array_equal(read_radiograph(file).image, gradient())
