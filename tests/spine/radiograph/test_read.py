import re
import tracemalloc

import numpy as np
import pydicom
import pytest

from spine.errors import DicomRejected
from spine.radiograph.orientation import GivenOrientation
from spine.radiograph.read import read_radiograph
from tests.spine.radiograph.constructed_radiographs import (
    SHAPE,
    SPACING,
    edited,
    geometry,
    gradient,
    sample_radiograph,
    with_pixels,
    with_raw,
)
from tests.spine.refusals import code_of

WINDOW = ("WindowCenter", "WindowWidth")
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
VALUES = gradient().astype(float)


def code(path):
    return code_of(read_radiograph, path)


# --- brightness


@pytest.mark.parametrize("tags", [{}, {"PresentationLUTShape": "INVERSE"}])
def test_a_monochrome1_twin_is_inverted_once(original, tags):
    twin = with_pixels(original, 4095 - gradient(), PhotometricInterpretation="MONOCHROME1", **tags)
    np.testing.assert_array_equal(read_radiograph(twin).image, read_radiograph(original).image)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"WindowCenter": ["1500", "9"], "WindowWidth": ["1001", "9"]}, (VALUES - 1499.5) / 1000 + 0.5),
        ({"WindowCenter": "1500", "WindowWidth": "1000", "VOILUTFunction": "LINEAR_EXACT"}, (VALUES - 1000) / 1000),
        (
            {"WindowCenter": "1500", "WindowWidth": "1000", "VOILUTFunction": "SIGMOID"},
            1 / (1 + np.exp(-4 * (VALUES - 1500) / 1000)),
        ),
        (
            {"RescaleSlope": "0.5", "RescaleIntercept": "-100", "WindowCenter": "900", "WindowWidth": "1601"},
            (VALUES * 0.5 - 100 - 899.5) / 1600 + 0.5,
        ),
    ],
)
def test_a_window_is_applied_after_the_rescale_by_the_standards_formula(original, tags, expected):
    radiograph = read_radiograph(edited(original, **tags))
    np.testing.assert_allclose(radiograph.image, np.clip(expected, 0, 1) * 4095, atol=0.51)
    assert radiograph.facts["intensity"] == "window"


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1", "WindowCenter": "1500", "WindowWidth": "100"}, "stored"),
        ({"WindowCenter": "9000", "WindowWidth": "100"}, "stored (window gives one value)"),
    ],
)
def test_a_window_for_processing_or_outside_the_values_is_not_used(original, tags, rule):
    radiograph = read_radiograph(edited(original, **tags))
    np.testing.assert_array_equal(radiograph.image, gradient())
    assert radiograph.facts["intensity"] == rule


def test_eight_bits_fill_the_range(original):
    eight = (gradient() // 16).astype(np.uint8)
    image = read_radiograph(with_pixels(original, eight, WINDOW, **EIGHT_BITS)).image
    np.testing.assert_allclose(image, eight * (4095 / 255), atol=0.51)


def test_signed_values_and_sixteen_bits_go_by_percentiles(original):
    signed = gradient().astype(np.int16) - 2000
    path = with_pixels(original, signed, WINDOW, BitsStored=16, HighBit=15, PixelRepresentation=1)
    radiograph = read_radiograph(path)
    low, high = np.percentile(signed, [0.05, 99.95])
    np.testing.assert_allclose(radiograph.image, np.clip((signed - low) / (high - low), 0, 1) * 4095, atol=0.51)
    assert radiograph.facts["intensity"] == "percentiles"


def test_bits_above_those_stored_do_not_count(original):
    found = read_radiograph(with_pixels(original, gradient() | np.uint16(0xA000)))
    np.testing.assert_array_equal(found.image, gradient())


def test_a_voi_table_is_applied_when_there_is_no_window(original):
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.LUTData = np.arange(4095, -1, -1, dtype="<u2").tobytes()
    radiograph = read_radiograph(edited(original, without=WINDOW, VOILUTSequence=[item]))
    assert radiograph.facts["intensity"] == "voi table"
    inverted = 4095.0 - gradient()
    expected = (inverted - inverted.min()) / np.ptp(inverted) * 4095
    np.testing.assert_allclose(radiograph.image, expected, atol=0.51)


def test_grey_in_rgb_is_read_and_marked(original):
    eight = (gradient() // 16).astype(np.uint8)
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    rgb = np.repeat(eight[..., None], 3, axis=-1)
    radiograph = read_radiograph(with_pixels(original, rgb, WINDOW, SOPClassUID=CAPTURE, **(EIGHT_BITS | colour)))
    np.testing.assert_allclose(radiograph.image, eight * (4095 / 255), atol=0.51)
    assert radiograph.facts["colour"] == "turned to grey"


def test_samples_in_planes_and_subsampled_colour(original):
    eight = (gradient() // 16).astype(np.uint8)
    colour = {"SamplesPerPixel": 3, "SOPClassUID": CAPTURE, **EIGHT_BITS}
    planes = with_pixels(
        original, np.stack([eight] * 3), WINDOW, **colour, PlanarConfiguration=1, PhotometricInterpretation="RGB"
    )
    planes = edited(planes, Rows=eight.shape[0], Columns=eight.shape[1])
    # Two lumas, then Cb and Cr, for each pair of pixels (PS3.3 C.7.6.3.1.2).
    pairs = np.stack([eight[:, ::2], eight[:, 1::2], *[np.full_like(eight[:, ::2], 128)] * 2], axis=-1)
    pairs = pairs.reshape(*eight.shape, 2)
    tags = {"PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL_422"}
    np.testing.assert_allclose(read_radiograph(planes).image, eight * (4095 / 255), atol=0.51)
    subsampled = with_pixels(original, pairs, WINDOW, **colour, **tags)
    np.testing.assert_allclose(read_radiograph(subsampled).image, eight * (4095 / 255), atol=0.51)


# --- orientation


@pytest.mark.parametrize("view", ["frontal", "lateral"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("upside_down", [False, True])
def test_every_orientation_becomes_canonical(tmp_path, view, transposed, mirrored, upside_down):
    # A lying image is only 96 mm high as stored; the height check looks at what is stored.
    place = geometry(view, shape=(150, 150) if transposed else SHAPE)
    pixels, spacing = gradient(place.shape), list(SPACING)
    orientation = [{"frontal": "LR", "lateral": "PA"}[view][mirrored], "FH"[upside_down]]
    stored = pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    if transposed:
        stored, spacing, orientation = stored.T, spacing[::-1], orientation[::-1]
    original = sample_radiograph(tmp_path / "a.dcm", view, image=pixels, place=place)
    tags = {"PatientOrientation": orientation, "PixelSpacing": spacing, "ImagerPixelSpacing": spacing}
    radiograph = read_radiograph(with_pixels(original, stored, **tags))
    np.testing.assert_array_equal(radiograph.image, pixels)
    assert (radiograph.geometry, radiograph.view) == (place, view)


def test_a_view_position_of_the_other_view_is_refused(original):
    assert code(edited(original, ViewPosition="LL")) == "VIEW_MISMATCH"


def test_a_lateral_without_orientation_is_refused_and_a_frontal_marked(original, tmp_path):
    lateral = sample_radiograph(tmp_path / "b.dcm", "lateral")
    assert code(edited(lateral, without=["PatientOrientation"])) == "ORIENTATION_UNKNOWN"
    frontal = read_radiograph(edited(original, without=["PatientOrientation"]))
    assert (frontal.view, frontal.geometry) == ("frontal", None)
    assert frontal.facts["orientation_found"] == "unverified"


@pytest.mark.parametrize("facing", ["left", "right", "unknown"])
def test_a_person_states_the_facing_of_a_lateral_without_orientation(tmp_path, facing):
    stored = gradient()[:, ::-1] if facing == "right" else gradient()
    path = edited(with_pixels(sample_radiograph(tmp_path / "b.dcm", "lateral"), stored), without=["PatientOrientation"])
    read = read_radiograph(path, GivenOrientation(facing=facing))
    np.testing.assert_array_equal(read.image, gradient())
    assert (read.view, read.geometry, read.orientation.facing) == ("lateral", None, facing)
    assert read_radiograph(path, GivenOrientation("lateral", facing)).view == "lateral"


def test_what_a_person_states_must_not_contradict_the_tags(original, tmp_path):
    lateral = sample_radiograph(tmp_path / "b.dcm", "lateral")
    assert read_radiograph(lateral, GivenOrientation("lateral", "left")).orientation.verified
    for path, given, expected in (
        (original, GivenOrientation("lateral"), "VIEW_MISMATCH"),
        (edited(original, without=["PatientOrientation"]), GivenOrientation("lateral", "left"), "VIEW_MISMATCH"),
        (lateral, GivenOrientation("lateral", "right"), "FACING_MISMATCH"),
    ):
        with pytest.raises(DicomRejected) as caught:
            read_radiograph(path, given)
        assert caught.value.code == expected


def test_a_person_names_the_view_of_an_image_without_tags(original):
    path = edited(original, without=("PatientOrientation", "ViewPosition", "ViewCodeSequence"))
    assert read_radiograph(path, GivenOrientation("frontal")).view == "frontal"
    assert read_radiograph(path, GivenOrientation("lateral", "left")).view == "lateral"


def test_a_contradictory_header_has_no_lengths_and_no_geometry(original):
    tags = {"PixelSpacing": [1.75, 1.6], "ImagerPixelSpacing": [1.75, 1.6], "DetectorConfiguration": "AREA"}
    radiograph = read_radiograph(edited(original, **tags))
    assert (radiograph.calibration, radiograph.geometry, radiograph.spacing_mm) == ("UNKNOWN", None, (1.75, 1.6))
    assert "ImagerPixelSpacing" in radiograph.contradiction
    assert read_radiograph(original).contradiction is None


@pytest.mark.parametrize(("text", "date"), [("20240503", "2024-05-03"), ("", ""), ("2024", "")])
def test_the_study_date_is_an_identifier(original, text, date):
    radiograph = read_radiograph(edited(original, StudyDate=text))
    assert radiograph.identity.study_date == date
    assert not date or date not in repr(radiograph) + str(radiograph.facts)


def test_no_view_tag_gives_no_view(original):
    path = edited(original, without=("PatientOrientation", "ViewPosition", "ViewCodeSequence"))
    assert read_radiograph(path).view is None


@pytest.mark.parametrize("orientation", [["L", "P"], ["L"], ["L", "X"], ["L", "R"]])
def test_impossible_orientations_are_refused(original, orientation):
    assert code(edited(original, PatientOrientation=orientation)) == "ORIENTATION_INVALID"


# --- geometry


def test_a_secondary_capture_has_no_geometry(original):
    radiograph = read_radiograph(edited(original, SOPClassUID=CAPTURE))
    assert (radiograph.geometry, radiograph.calibration) == (None, "UNKNOWN")
    assert radiograph.facts["secondary_capture"] is True


@pytest.mark.parametrize("missing", ["DistanceSourceToIsocenter", "DistanceSourceToDetector", "PixelSpacing"])
def test_there_is_no_geometry_without_its_tags(original, missing):
    without = [missing, *(["ImagerPixelSpacing"] if missing == "PixelSpacing" else [])]
    radiograph = read_radiograph(edited(original, without=without))
    assert radiograph.geometry is None
    assert (radiograph.spacing_mm is None) == (missing == "PixelSpacing")


@pytest.mark.parametrize("distance", [0.0, -987.0, 1300.0, float("nan"), float("inf")])
def test_impossible_distances_are_refused(original, distance):
    assert code(edited(original, DistanceSourceToIsocenter=distance)) == "GEOMETRY_INVALID"


def test_without_our_private_block_the_offset_is_unknown(original):
    radiograph = read_radiograph(edited(original, lambda ds: ds.remove_private_tags()))
    assert not radiograph.offset_recorded
    assert (radiograph.geometry.u0_mm, radiograph.geometry.z0_mm) == (0.0, 0.0)


# --- what is refused


@pytest.mark.parametrize(
    "value", [b"0\\0", b"-0.2\\-0.2", b"nan\\nan", b"1e400\\1e400", b"abc", b"0.2", b"1\\2", b"9\\9"]
)
@pytest.mark.parametrize("tag", [0x00280030, 0x00181164])
def test_impossible_spacing(original, tag, value):
    assert code(with_raw(original, tag, "DS", value)) == "SPACING_INVALID"


@pytest.mark.parametrize("uid", [b"../../x", b"/etc/x", b"1." * 150, b"", b"1..2", b"1.2\n3"])
@pytest.mark.parametrize("tag", [0x00080018, 0x0020000D])
def test_impossible_uids(original, tag, uid):
    assert code(with_raw(original, tag, "UI", uid)) == "UID_INVALID"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"NumberOfFrames": "2"}, "FRAMES_UNSUPPORTED"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PHOTOMETRIC_UNSUPPORTED"),
        ({"BitsAllocated": 32}, "BITS_UNSUPPORTED"),
        ({"HighBit": 15}, "BITS_UNSUPPORTED"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "SOP_CLASS_UNSUPPORTED"),
        ({"Modality": "MR"}, "MODALITY_UNSUPPORTED"),
        ({"SliceThickness": "4.0"}, "MODALITY_UNSUPPORTED"),
        ({"Rows": 60000, "Columns": 60000}, "IMAGE_SIZE_UNSUPPORTED"),
        ({"Rows": 0}, "IMAGE_SIZE_UNSUPPORTED"),
        ({"Rows": 151}, "TRUNCATED"),
        ({"RescaleSlope": "0"}, "RESCALE_INVALID"),
        ({"DistanceSourceToDetector": "nan"}, "GEOMETRY_INVALID"),
        ({"without": ["PixelData"]}, "PIXELS_ABSENT"),
    ],
)
def test_what_cannot_be_read_has_a_code(original, change, expected):
    assert code(edited(original, **change)) == expected


def test_a_blank_image_is_refused(tmp_path):
    assert code(sample_radiograph(tmp_path / "a.dcm", image=np.full(SHAPE, 7, np.uint16))) == "IMAGE_BLANK"


def test_identifiers_stay_out_of_repr_facts_logs_and_errors(original, caplog):
    canary = "CANARY^SECRET"
    texts = ("PatientName", "PatientID", "InstitutionName", "StationName", "StudyDescription", "SeriesDescription")
    texts += ("ProtocolName", "ImageComments", "Manufacturer", "BodyPartExamined")
    path = edited(original, **dict.fromkeys(texts, canary))
    caplog.set_level("DEBUG")
    radiograph = read_radiograph(path)
    assert radiograph.identity.patient_id == canary
    assert canary not in repr(radiograph)
    assert canary not in repr(radiograph.facts)
    with pytest.raises(DicomRejected) as caught:
        read_radiograph(with_raw(path, 0x00280030, "DS", canary.encode()))
    assert not re.search("CANARY|SECRET", str(caught.value) + caplog.text)


@pytest.mark.parametrize(("text", "years"), [("033Y", 33.0), ("018M", 1.5), ("097Y", 90.0), ("33", None)])
def test_ages(original, text, years):
    path = with_raw(original, 0x00101010, "AS", text.encode())
    assert read_radiograph(path).facts.get("age_years") == years


@pytest.mark.parametrize(("tag", "part"), [("CHEST", "chest"), ("C SPINE", "neck"), ("TSPINE", None), ("", None)])
def test_another_body_part_is_a_fact_and_the_spine_is_none(original, tag, part):
    assert read_radiograph(edited(original, BodyPartExamined=tag)).facts.get("body_part") == part


# --- view codes


@pytest.mark.parametrize("scheme", ["SCT", "SRT", "SNM3", "99SDM", ""])
@pytest.mark.parametrize(
    ("code_value", "view"),
    [
        *((value, "frontal") for value in ("399348003", "272479007", "399033003")),
        *((value, "frontal") for value in ("R-10206", "R-40888", "R-10214", "R-10202")),
        *((value, "lateral") for value in ("399173006", "399198007", "399067008", "30730003")),
        *((value, "lateral") for value in ("R-10236", "R-10232", "R-102CD", "R-10222")),
        *((value, None) for value in ("R-10220", "399182000", "R-1020", "")),  # oblique, cut off, empty
    ],
)
def test_view_codes_of_both_snomed_schemes(original, scheme, code_value, view):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code_value, scheme, "view"
    path = edited(original, without=("PatientOrientation", "ViewPosition"), ViewCodeSequence=[item])
    if view == "lateral":
        assert code(path) == "ORIENTATION_UNKNOWN"
        assert read_radiograph(path, GivenOrientation(facing="left")).view == "lateral"
        assert code(edited(path, PatientOrientation=["L", "F"])) == "VIEW_MISMATCH"
    else:
        assert read_radiograph(path).view == view
        wrong = edited(path, PatientOrientation=["P", "F"])
        assert code(wrong) == "VIEW_MISMATCH" if view else read_radiograph(wrong).view == "lateral"


# --- identifiers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u00c4B1".encode("latin-1"), "\u00d6B1".encode("latin-1")),
        ("\u042f1".encode("iso8859-5"), "\u042e1".encode("iso8859-5")),
        ("\u5c71".encode("gb18030"), "\u7530".encode("gb18030")),
        ("\u5c71".encode("shift-jis"), "\u7530".encode("shift-jis")),
        ("\u00c41".encode(), "\u00d61".encode()),
        (b"A\xff1", b"A\xfe1"),
    ],
)
def test_identifiers_in_any_character_set_stay_apart(original, one, other):
    found = [read_radiograph(with_raw(original, 0x00100020, "LO", value)).identity.patient_id for value in (one, other)]
    assert found[0] != found[1]
    assert all(text.encode() for text in found), "a pseudonym is made from UTF-8"


def test_an_identifier_in_two_encodings_is_one(original):
    found = {
        read_radiograph(with_raw(original, 0x00100020, "LO", "\u00c4B1".encode(encoding))).identity.patient_id
        for encoding in ("utf-8", "latin-1")
    }
    assert found == {"\u00c4B1"}


# --- text in the pixels


@pytest.mark.parametrize(("value", "burned_in"), [("YES", True), ("NO", False), ("", False), (None, False)])
def test_burned_in_text_is_told(original, value, burned_in):
    path = edited(original, **({"BurnedInAnnotation": value} if value is not None else {}))
    path = path if value is not None else edited(original, without=["BurnedInAnnotation"])
    radiograph = read_radiograph(path)
    assert radiograph.burned_in is burned_in
    assert burned_in == any("BurnedInAnnotation" in remark for remark in radiograph.remarks)


# --- size


@pytest.mark.parametrize(
    ("rows", "columns", "samples"), [(20_000, 20_000, 1), (10_000, 6_001, 1), (5_001, 4_000, 3), (20_001, 10, 1)]
)
def test_an_image_beyond_the_bound_is_refused_by_its_header(original, rows, columns, samples):
    colour = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, **EIGHT_BITS} if samples == 3 else {}
    path = edited(original, Rows=rows, Columns=columns, SamplesPerPixel=samples, **colour)
    assert code(path) == "IMAGE_SIZE_UNSUPPORTED"


def test_reading_a_large_image_takes_six_bytes_a_pixel(tmp_path):
    # The file and the pixels in it, then the pixels and the image: never more than three copies of two bytes.
    shape = (4000, 1000)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = ((rows + 2 * columns) % 4096).astype(np.uint16)
    path = sample_radiograph(tmp_path / "a.dcm", image=image, place=geometry(shape=shape, spacing=(0.2, 0.2)))
    for changed in (path, edited(path, without=WINDOW), edited(path, PhotometricInterpretation="MONOCHROME1")):
        tracemalloc.start()
        try:
            read_radiograph(changed)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6.6 * image.size


@pytest.mark.parametrize("vr", ["US", "LO", "FD", "AT", "OB"])
@pytest.mark.parametrize("tag", [0x00540220, 0x00283000])
def test_a_sequence_tag_of_another_type_is_refused(original, tag, vr):
    path = with_raw(original, tag, vr, b"\1\0\2\0\3\0\4\0")
    assert code_of(read_radiograph, path) == "TAG_INVALID"


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00280011, "UT"), (0x00280101, "OB"), (0x00280100, "AT"), (0x00280010, "FD")]
)
def test_a_pixel_tag_of_another_type_is_no_fault_of_the_reader(original, tag, vr):
    value = pydicom.dcmread(original)[tag].value.to_bytes(2, "little")
    assert code_of(read_radiograph, with_raw(original, tag, vr, value * 2)) == "DECODE_FAILED"


def test_pixel_data_that_are_a_sequence_are_refused(original):
    payload = original.read_bytes()
    at = payload.index(b"\xe0\x7f\x10\x00OW")
    sequence = b"\xe0\x7f\x10\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    original.write_bytes(payload[:at] + sequence)
    assert code_of(read_radiograph, original) == "DECODE_FAILED"


def test_an_unknown_photometric_interpretation_is_not_quoted(original):
    with pytest.raises(DicomRejected, match="PHOTOMETRIC_UNSUPPORTED: found an unknown PhotometricInterpretation"):
        read_radiograph(edited(original, PhotometricInterpretation="MILLER^ANNA"))
