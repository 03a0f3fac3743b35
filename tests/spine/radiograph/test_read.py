import re

import numpy as np
import pydicom
import pytest

from spine.errors import DicomRejected
from spine.radiograph.read import read_radiograph
from tests.spine.radiograph.constructed_radiographs import (
    SHAPE,
    SPACING,
    edited,
    geometry,
    gradient,
    sample_radiograph,
    with_raw,
)


def code_of(path):
    with pytest.raises(DicomRejected) as caught:
        read_radiograph(path)
    return caught.value.code


def set_pixels(ds, pixels, **tags):
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(ds, name, value)


def remove(*names):
    def change(ds):
        for name in names:
            if name in ds:
                delattr(ds, name)

    return change


# --- brightness


def test_a_monochrome1_twin_reads_the_same(tmp_path):
    original = sample_radiograph(tmp_path / "a.dcm")
    twin = edited(original, lambda ds: set_pixels(ds, 4095 - gradient(), PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read_radiograph(twin).image, read_radiograph(original).image)


def test_monochrome1_with_inverse_shape_is_inverted_once(tmp_path):
    def change(ds):
        set_pixels(ds, 4095 - gradient(), PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")

    np.testing.assert_array_equal(
        read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change)).image, gradient()
    )


def test_a_window_is_applied_by_the_standards_formula(tmp_path):
    def change(ds):
        ds.WindowCenter, ds.WindowWidth = ["1500", "9"], ["1001", "9"]

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    x = gradient().astype(float)
    expected = np.clip(((x - 1499.5) / 1000 + 0.5) * 4095, 0, 4095)
    np.testing.assert_allclose(radiograph.image, expected, atol=0.51)
    assert radiograph.facts["intensity"] == "window"


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(tmp_path, function):
    def change(ds):
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = "1500", "1000", function

    x = gradient().astype(float)
    linear = np.clip((x - 1000) / 1000, 0, 1)
    expected = linear if function == "LINEAR_EXACT" else 1 / (1 + np.exp(-4 * (x - 1500) / 1000))
    np.testing.assert_allclose(
        read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change)).image, expected * 4095, atol=0.51
    )


def test_rescale_comes_before_the_window(tmp_path):
    def change(ds):
        ds.RescaleSlope, ds.RescaleIntercept = "0.5", "-100"
        ds.WindowCenter, ds.WindowWidth = "900", "1601"

    values = gradient() * 0.5 - 100
    expected = np.clip((values - 899.5) / 1600 + 0.5, 0, 1) * 4095
    np.testing.assert_allclose(
        read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change)).image, expected, atol=0.51
    )


def test_for_processing_ignores_the_window(tmp_path):
    def change(ds):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1.1"
        ds.WindowCenter, ds.WindowWidth = "1500", "100"

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    np.testing.assert_array_equal(radiograph.image, gradient())
    assert radiograph.facts["intensity"] == "stored"


def test_a_window_outside_the_values_is_not_used(tmp_path):
    def change(ds):
        ds.WindowCenter, ds.WindowWidth = "9000", "100"

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    np.testing.assert_array_equal(radiograph.image, gradient())
    assert radiograph.facts["intensity"] == "stored (window gives one value)"


def test_eight_bits_fill_the_range(tmp_path):
    eight = (gradient() // 16).astype(np.uint8)

    def change(ds):
        remove("WindowCenter", "WindowWidth")(ds)
        set_pixels(ds, eight, BitsAllocated=8, BitsStored=8, HighBit=7)

    image = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change)).image
    np.testing.assert_allclose(image, eight * (4095 / 255), atol=0.51)


def test_signed_values_and_sixteen_bits_go_by_percentiles(tmp_path):
    signed = gradient().astype(np.int16) - 2000

    def change(ds):
        remove("WindowCenter", "WindowWidth")(ds)
        set_pixels(ds, signed, BitsStored=16, HighBit=15, PixelRepresentation=1)

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    low, high = np.percentile(signed, [0.05, 99.95])
    np.testing.assert_allclose(radiograph.image, np.clip((signed - low) / (high - low), 0, 1) * 4095, atol=0.51)
    assert radiograph.facts["intensity"] == "percentiles"


def test_bits_above_those_stored_do_not_count(tmp_path):
    def change(ds):
        set_pixels(ds, gradient() | np.uint16(0xA000))

    np.testing.assert_array_equal(
        read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change)).image, gradient()
    )


def test_a_voi_table_is_applied_when_there_is_no_window(tmp_path):
    def change(ds):
        remove("WindowCenter", "WindowWidth")(ds)
        item = pydicom.Dataset()
        item.LUTDescriptor = [4096, 0, 12]
        item.LUTData = np.arange(4095, -1, -1, dtype="<u2").tobytes()
        ds.VOILUTSequence = [item]

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    assert radiograph.facts["intensity"] == "voi table"
    inverted = 4095.0 - gradient()
    expected = (inverted - inverted.min()) / np.ptp(inverted) * 4095
    np.testing.assert_allclose(radiograph.image, expected, atol=0.51)


def test_grey_in_rgb_is_read_and_marked(tmp_path):
    eight = (gradient() // 16).astype(np.uint8)

    def change(ds):
        remove("WindowCenter", "WindowWidth")(ds)
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        rgb = np.repeat(eight[..., None], 3, axis=-1)
        set_pixels(ds, rgb, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=3, PlanarConfiguration=0)
        ds.PhotometricInterpretation = "RGB"

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    np.testing.assert_allclose(radiograph.image, eight * (4095 / 255), atol=0.51)
    assert radiograph.facts["colour"] == "turned to grey"


# --- orientation


@pytest.mark.parametrize("view", ["frontal", "lateral"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("upside_down", [False, True])
def test_every_orientation_becomes_canonical(tmp_path, view, transposed, mirrored, upside_down):
    across = {"frontal": "LR", "lateral": "PA"}[view][mirrored]
    down = "FH"[upside_down]
    pixels = gradient()[:, ::-1] if mirrored else gradient()
    pixels = pixels[::-1] if upside_down else pixels
    spacing, orientation = list(SPACING), [across, down]
    if transposed:
        pixels, spacing, orientation = pixels.T, spacing[::-1], orientation[::-1]

    def change(ds):
        set_pixels(ds, np.ascontiguousarray(pixels), PatientOrientation=orientation, PixelSpacing=spacing)
        ds.ImagerPixelSpacing = spacing

    # A lying image is only 96 mm high as stored; the height check looks at what is stored.
    if transposed:
        wide = gradient((150, 150))
        turned = wide[:, ::-1] if mirrored else wide
        turned = (turned[::-1] if upside_down else turned).T
        place = geometry(view, shape=(150, 150))
        original = sample_radiograph(tmp_path / "a.dcm", view, image=wide, place=place)

        def change(ds):
            set_pixels(ds, np.ascontiguousarray(turned), PatientOrientation=orientation, PixelSpacing=spacing)

    else:
        place, original = geometry(view), sample_radiograph(tmp_path / "a.dcm", view)
    radiograph = read_radiograph(edited(original, change))
    np.testing.assert_array_equal(radiograph.image, gradient(place.shape))
    assert radiograph.geometry == place
    assert radiograph.view == view


def test_unequal_spacing_keeps_its_order(tmp_path):
    assert read_radiograph(sample_radiograph(tmp_path / "a.dcm")).spacing_mm == (1.75, 1.6)


def test_a_view_position_of_the_other_view_is_refused(tmp_path):
    def swap(ds):
        ds.ViewPosition = "LL"

    assert code_of(edited(sample_radiograph(tmp_path / "a.dcm"), swap)) == "VIEW_MISMATCH"


def test_a_lateral_without_orientation_is_refused_and_a_frontal_marked(tmp_path):
    lateral = edited(sample_radiograph(tmp_path / "a.dcm", "lateral"), remove("PatientOrientation"))
    assert code_of(lateral) == "ORIENTATION_UNKNOWN"
    frontal = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), remove("PatientOrientation")))
    assert frontal.view == "frontal"
    assert frontal.geometry is None
    assert frontal.facts["orientation_found"] == "unverified"


def test_no_view_tag_gives_no_view(tmp_path):
    path = edited(
        sample_radiograph(tmp_path / "a.dcm"), remove("PatientOrientation", "ViewPosition", "ViewCodeSequence")
    )
    assert read_radiograph(path).view is None


@pytest.mark.parametrize("orientation", [["L", "P"], ["L"], ["L", "X"], ["L", "R"]])
def test_impossible_orientations_are_refused(tmp_path, orientation):
    def change(ds):
        ds.PatientOrientation = orientation

    assert code_of(edited(sample_radiograph(tmp_path / "a.dcm"), change)) == "ORIENTATION_INVALID"


# --- geometry


def test_a_secondary_capture_has_no_geometry(tmp_path):
    def change(ds):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    assert radiograph.geometry is None
    assert radiograph.calibration == "UNKNOWN"
    assert radiograph.facts["secondary_capture"] is True


@pytest.mark.parametrize("missing", ["DistanceSourceToIsocenter", "DistanceSourceToDetector", "PixelSpacing"])
def test_there_is_no_geometry_without_its_tags(tmp_path, missing):
    change = remove(missing, *(["ImagerPixelSpacing"] if missing == "PixelSpacing" else []))
    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    assert radiograph.geometry is None
    assert (radiograph.spacing_mm is None) == (missing == "PixelSpacing")


@pytest.mark.parametrize("distance", [0.0, -987.0, 1300.0, float("nan"), float("inf")])
def test_impossible_distances_are_refused(tmp_path, distance):
    def change(ds):
        ds.DistanceSourceToIsocenter = distance

    assert code_of(edited(sample_radiograph(tmp_path / "a.dcm"), change)) == "GEOMETRY_INVALID"


def test_without_our_private_block_the_offset_is_unknown(tmp_path):
    def change(ds):
        for tag in [e.tag for e in ds if e.tag.is_private]:
            del ds[tag]

    radiograph = read_radiograph(edited(sample_radiograph(tmp_path / "a.dcm"), change))
    assert not radiograph.offset_recorded
    assert (radiograph.geometry.u0_mm, radiograph.geometry.z0_mm) == (0.0, 0.0)


# --- what is refused


@pytest.mark.parametrize(
    "value", [b"0\\0", b"-0.2\\-0.2", b"nan\\nan", b"1e400\\1e400", b"abc", b"0.2", b"1\\2", b"9\\9"]
)
@pytest.mark.parametrize("tag", [0x00280030, 0x00181164])
def test_impossible_spacing(tmp_path, tag, value):
    assert code_of(with_raw(sample_radiograph(tmp_path / "a.dcm"), tag, "DS", value)) == "SPACING_INVALID"


@pytest.mark.parametrize("uid", [b"../../x", b"/etc/x", b"1." * 150, b"", b"1..2", b"1.2\n3"])
@pytest.mark.parametrize("tag", [0x00080018, 0x0020000D])
def test_impossible_uids(tmp_path, tag, uid):
    assert code_of(with_raw(sample_radiograph(tmp_path / "a.dcm"), tag, "UI", uid)) == "UID_INVALID"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"NumberOfFrames": "2"}, "FRAMES_UNSUPPORTED"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PHOTOMETRIC_UNSUPPORTED"),
        ({"BitsAllocated": 32}, "BITS_UNSUPPORTED"),
        ({"HighBit": 15}, "BITS_UNSUPPORTED"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "SOP_CLASS_UNSUPPORTED"),
        ({"Rows": 60000, "Columns": 60000}, "IMAGE_SIZE_UNSUPPORTED"),
        ({"Rows": 0}, "IMAGE_SIZE_UNSUPPORTED"),
        ({"Rows": 151}, "TRUNCATED"),
        ({"RescaleSlope": "0"}, "RESCALE_INVALID"),
        ({"WindowWidth": "inf"}, "WINDOW_INVALID"),
        ({"DistanceSourceToDetector": "nan"}, "GEOMETRY_INVALID"),
    ],
)
def test_what_cannot_be_read_has_a_code(tmp_path, change, code):
    def apply(ds):
        for name, value in change.items():
            setattr(ds, name, value)

    assert code_of(edited(sample_radiograph(tmp_path / "a.dcm"), apply)) == code


def test_a_blank_image_is_refused(tmp_path):
    assert code_of(sample_radiograph(tmp_path / "a.dcm", image=np.full(SHAPE, 7, np.uint16))) == "IMAGE_BLANK"


def test_no_pixels(tmp_path):
    assert code_of(edited(sample_radiograph(tmp_path / "a.dcm"), remove("PixelData"))) == "PIXELS_ABSENT"


def test_identifiers_stay_out_of_repr_facts_logs_and_errors(tmp_path, caplog):
    canary = "CANARY^SECRET"

    def change(ds):
        for name in ("PatientName", "PatientID", "InstitutionName", "StationName", "StudyDescription"):
            setattr(ds, name, canary)
        for name in ("SeriesDescription", "ProtocolName", "ImageComments", "Manufacturer", "BodyPartExamined"):
            setattr(ds, name, canary)

    path = edited(sample_radiograph(tmp_path / "a.dcm"), change)
    caplog.set_level("DEBUG")
    radiograph = read_radiograph(path)
    assert radiograph.identity.patient_id == canary
    assert canary not in repr(radiograph)
    assert canary not in repr(radiograph.facts)
    bad = with_raw(path, 0x00280030, "DS", canary.encode())
    with pytest.raises(DicomRejected) as caught:
        read_radiograph(bad)
    assert not re.search("CANARY|SECRET", str(caught.value) + caplog.text)


@pytest.mark.parametrize(("text", "years"), [("033Y", 33.0), ("018M", 1.5), ("097Y", 90.0), ("33", None)])
def test_ages(tmp_path, text, years):
    path = with_raw(sample_radiograph(tmp_path / "a.dcm"), 0x00101010, "AS", text.encode())
    assert read_radiograph(path).facts.get("age_years") == years
