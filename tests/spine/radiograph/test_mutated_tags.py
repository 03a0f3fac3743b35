"""Property: whatever the tags that reading rests on contain, the result is a ``Radiograph`` or a refusal by name."""

import struct
import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from spine.errors import DicomRejected
from spine.radiograph.intensity import MAXIMUM
from spine.radiograph.orientation import GivenOrientation
from spine.radiograph.read import read_radiograph
from spine.radiograph.recognise import dicom_kind
from spine.radiograph.sop_classes import KIND_OF_CLASS
from tests.spine.radiograph.constructed_radiographs import edited, sample_radiograph

SHAPE = (150, 60)
NUMBERS = [b"", b"0", b"1", b"-1", b"nan", b"inf", b"1e400", b"-1e308", b"1e-320", b"0,143", b"abc", b"4096", b"1.02"]
PAIRS = [
    b"2\\2",
    b"2,2",
    b"2",
    b"2\\2.5",
    b"0\\0",
    b"nan\\1",
    b"1.75\\1.6",
    b"2\\2\\2",
    b"5\\4",
    b"1e9\\1e9",
    b"\\",
    b"-1\\-1",
]
DECIMALS = {
    *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00181110, 0x00181111, 0x00181114, 0x00280008, 0x00187034)
}
PAIR_TAGS = (0x00280030, 0x00181164, 0x00182010, 0x00280034)
TEXTS = {
    0x00080016: [uid.encode() for uid in list(KIND_OF_CLASS)[::9]] + [b"", b"1.2.3"],
    0x00080018: [b"", b"1.2", b"1.2\n", b"a" * 70],
    0x00080060: [b"DX", b"CR", b"CT", b"", b"\xc4"],
    0x00080068: [b"FOR PROCESSING", b"FOR PRESENTATION", b"\xff"],
    0x00100020: [b"", b"\xc4B1", "ÄB1".encode(), b"\x1b$B"],
    0x00185101: [b"AP", b"PA", b"LL", b"XX", b"\xc4"],
    0x00200020: [b"L\\F", b"P\\F", b"F\\L", b"L", b"\\", b"L\\F\\H", b"R\\H", b"\xc4\\F"],
    0x00280004: [b"MONOCHROME1", b"MONOCHROME2", b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"PALETTE COLOR", b""],
    0x00280301: [b"YES", b"NO", b"\xff"],
    0x00280A02: [b"GEOMETRY", b"FIDUCIAL", b"", b"?"],
    0x20500020: [b"INVERSE", b"IDENTITY", b""],
    0x00281056: [b"LINEAR", b"LINEAR_EXACT", b"SIGMOID", b"CUBIC"],
    0x00187005: [b"SLOT", b"AREA", b""],
}
WORDS = (
    *(0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103),
    *(0x00280120, 0x00280121, 0x00281041),
)
VR = {0x00280120: "US", 0x00280121: "SS", 0x00281041: "SS", 0x00280008: "IS", 0x00280034: "IS", 0x00080016: "UI"}

words = st.one_of(
    st.sampled_from([0, 1, 2, 3, 7, 8, 11, 12, 15, 16, 59, 60, 150, 4095, 32768, 65535]), st.integers(0, 65535)
)
mutations = st.one_of(
    st.tuples(st.sampled_from(sorted(DECIMALS)), st.sampled_from(NUMBERS)),
    st.tuples(st.sampled_from(PAIR_TAGS), st.sampled_from(PAIRS)),
    st.sampled_from([(tag, value) for tag, values in TEXTS.items() for value in values]),
    st.tuples(st.sampled_from(WORDS), words.map(lambda word: struct.pack("<H", word))),
    st.tuples(st.sampled_from(WORDS), st.binary(max_size=6)),
    st.tuples(st.sampled_from([*sorted(DECIMALS), *PAIR_TAGS, *TEXTS]), st.binary(max_size=24)),
)
tables = st.tuples(
    st.sampled_from([0x00283000, 0x00283010]),
    st.tuples(st.sampled_from([0, 1, 16, 256, 4096, 65535]), words, st.sampled_from([0, 8, 12, 16, 17])),
    st.sampled_from([0, 1, 16, 17, 32, 256, 512, 4096, 8192, 131072]),
    st.booleans(),
)


def _changed(original, changes, sequences, random):
    def change(dataset):
        for tag, value in changes:
            raw = value + b" " * (len(value) % 2)
            kind = VR.get(tag, "US" if tag in WORDS else "DS" if tag in DECIMALS or tag in PAIR_TAGS else "LO")
            dataset[Tag(tag)] = RawDataElement(Tag(tag), kind, len(raw), raw, 0, False, True)
        for tag, descriptor, size, words_in_order in sequences:
            item = pydicom.Dataset()
            raw = struct.pack("<HHH", *descriptor)
            item[Tag(0x00283002)] = RawDataElement(Tag(0x00283002), "US", 6, raw, 0, False, True)
            data = bytes(np.arange((size + 1) // 2, dtype="<u2"))[:size] if words_in_order else random.bytes(size)
            item.add_new(0x00283006, "OW", data + b"\0" * (size % 2))
            dataset.add_new(tag, "SQ", [item])

    return edited(original, change)


@pytest.mark.parametrize("examples", [200, pytest.param(5000, marks=pytest.mark.slow)])
def test_changed_tags_give_an_image_or_a_code_and_nothing_else(tmp_path, examples):
    original = {view: sample_radiograph(tmp_path / f"{view}.dcm", view) for view in ("frontal", "lateral")}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(sorted(original)),
        st.lists(mutations, min_size=1, max_size=6),
        st.lists(tables, max_size=2),
        st.integers(0, 2**32 - 1),
    )
    def holds(view, changes, sequences, seed):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                path = _changed(original[view], changes, sequences, np.random.default_rng(seed))
        except Exception:
            return  # pydicom does not write such a file
        kind = dicom_kind(path)
        assert kind is not None
        try:
            radiograph = read_radiograph(path, GivenOrientation(facing="unknown"))
        except DicomRejected as refusal:
            assert refusal.code != "READER_FAULT", refusal.__cause__
            assert "SECRET" not in str(refusal)
        else:
            assert kind == "radiograph"
            image = radiograph.image
            assert image.dtype == np.uint16 and image.min() < image.max() <= MAXIMUM
            assert radiograph.calibration in ("UNKNOWN", "NONE", "PROJECTION", "ERMF", "GEOMETRY", "FIDUCIAL")
            assert (radiograph.spacing_mm is None) == (radiograph.calibration == "NONE")

    holds()
