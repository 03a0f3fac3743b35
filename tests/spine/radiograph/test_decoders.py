import resource
import signal
import struct
from functools import partial

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate

from spine.errors import DicomRejected
from spine.radiograph import decoders, sandbox
from spine.radiograph.decoders import SYNTAXES, codestream_size, decoder_matrix
from spine.radiograph.header import PixelLayout
from spine.radiograph.read import read_radiograph
from tests.spine.radiograph.constructed_radiographs import (
    edited,
    geometry,
    gradient,
    sample_radiograph,
    with_pixels,
)
from tests.spine.refusals import code_of

J = "1.2.840.10008.1.2.4."


def smooth(top):
    """A smooth image, so that lossy coding stays close."""
    rows, columns = np.mgrid[0:150, 0:60]
    return (top * (0.5 + 0.4 * np.sin(rows / 40) * np.cos(columns / 30))).astype(np.uint16)


def recoded(path, syntax):
    """Encoded by gdcm."""
    reader, target = gdcm.ImageReader(), path.with_name("recoded.dcm")
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    known = {"50": gdcm.TransferSyntax.JPEGBaselineProcess1, "51": gdcm.TransferSyntax.JPEGExtendedProcess2_4}
    known |= {"57": gdcm.TransferSyntax.JPEGLosslessProcess14, "70": gdcm.TransferSyntax.JPEGLosslessProcess14_1}
    known |= {"80": gdcm.TransferSyntax.JPEGLSLossless, "81": gdcm.TransferSyntax.JPEGLSNearLossless}
    known |= {"90": gdcm.TransferSyntax.JPEG2000Lossless, "91": gdcm.TransferSyntax.JPEG2000}
    change.SetTransferSyntax(gdcm.TransferSyntax(known[syntax.removeprefix(J)]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target


@pytest.mark.parametrize("syntax", [J + t for t in ("57", "70", "80", "90")])
def test_lossless_syntaxes_give_back_every_pixel(original, syntax):
    radiograph = read_radiograph(recoded(original, syntax))
    np.testing.assert_array_equal(radiograph.image, gradient())
    assert radiograph.facts["transfer_syntax"] == SYNTAXES[syntax].name
    assert radiograph.geometry is not None


@pytest.mark.parametrize(("syntax", "tolerance"), [("51", 8), ("81", 10), ("91", 60)])
def test_lossy_syntaxes_stay_close(tmp_path, syntax, tolerance):
    image = smooth(4095)
    radiograph = read_radiograph(recoded(sample_radiograph(tmp_path / "a.dcm", image=image), J + syntax))
    assert np.abs(radiograph.image.astype(int) - image).max() < tolerance


def test_eight_bit_jpeg(original):
    eight = smooth(255).astype(np.uint8)
    plain = with_pixels(original, eight, ("WindowCenter", "WindowWidth"), BitsAllocated=8, BitsStored=8, HighBit=7)
    radiograph = read_radiograph(recoded(plain, J + "50"))
    assert np.abs(radiograph.image - eight * (4095 / 255)).max() < 16 * 6


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", J + "90"])
def test_pydicoms_own_encoders_are_read(original, tmp_path, syntax):
    dataset = pydicom.dcmread(original)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "b.dcm").image, gradient())


def test_a_huge_rle_image_is_refused_from_its_header(original, monkeypatch):
    """644 bytes that claim to be 60000 x 60000."""
    dataset = pydicom.dcmread(original)
    dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 60000
    dataset.save_as(original)
    monkeypatch.setattr(decoders, "decode_in_child", lambda *_: pytest.fail("decoded"))
    assert code_of(read_radiograph, original) == "IMAGE_SIZE_UNSUPPORTED"


@pytest.mark.parametrize("syntax", [J + tail for tail in ("50", "51", "57", "70", "80", "81", "90", "91")])
@pytest.mark.parametrize("claimed", [{"Rows": 149}, {"Columns": 61}])
def test_a_codestream_of_another_size_is_refused_before_decoding(original, syntax, claimed, monkeypatch):
    if syntax == J + "50":
        eight = (gradient() // 16).astype(np.uint8)
        original = with_pixels(original, eight, BitsAllocated=8, BitsStored=8, HighBit=7)
    path = edited(recoded(original, syntax), **claimed)
    monkeypatch.setattr(decoders, "decode_in_child", lambda *_: pytest.fail("decoded"))
    assert code_of(read_radiograph, path) == "CODESTREAM_MISMATCH"


def test_sizes_are_read_from_codestreams():
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc3\x00\x0b\x0c" + struct.pack(">HH", 77, 55) + bytes(10)
    j2k = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">IIII", 55, 77, 0, 0) + bytes(20)
    assert codestream_size(jpeg) == (77, 55)
    assert codestream_size(j2k) == (77, 55)
    assert codestream_size(b"nothing of the kind") is None
    assert codestream_size(b"\xff\xd8\xff") is None


@pytest.mark.parametrize("at", [100, 900, 2000])
def test_a_damaged_codestream_costs_one_file(original, tmp_path, at):
    good = recoded(original, J + "90")
    payload = bytearray(good.read_bytes())
    start = payload.index(b"\xff\x4f\xff\x51")
    payload[start + at : start + at + 60] = b"\xff" * 60
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(bytes(payload))
    try:
        read_radiograph(bad)
    except DicomRejected as refusal:
        assert refusal.code in ("DECODE_FAILED", "DECODER_KILLED", "STRUCTURE_INVALID", "TRUNCATED")
    np.testing.assert_array_equal(read_radiograph(good).image, gradient())


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [J + "50", J + "51", J + "70", J + "80", J + "90", "1.2.840.10008.1.2.5"])
def test_damaged_compressed_pixels_cost_at_most_ten_seconds(original, tmp_path, syntax):
    if syntax == J + "50":
        eight = (gradient() // 16).astype(np.uint8)
        original = with_pixels(original, eight, BitsAllocated=8, BitsStored=8, HighBit=7)
    if syntax.startswith(J):
        payload = recoded(original, syntax).read_bytes()
    else:
        dataset = pydicom.dcmread(original)
        dataset.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        dataset.save_as(tmp_path / "rle.dcm")
        payload = (tmp_path / "rle.dcm").read_bytes()
    start = payload.index(b"\xe0\x7f\x10\x00OB")

    @settings(max_examples=60, deadline=10_000, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5))
    def holds(damages):
        damaged = bytearray(payload)
        for place, damage in damages:
            at = start + 12 + int(place * (len(payload) - start - 12))
            damaged[at : at + len(damage)] = damage
        (tmp_path / "damaged.dcm").write_bytes(bytes(damaged))
        try:
            read_radiograph(tmp_path / "damaged.dcm")
        except DicomRejected as refusal:
            assert refusal.code != "READER_FAULT", refusal.__cause__

    holds()


def test_a_decoder_that_dies_or_hangs_is_a_refusal_and_the_next_file_is_read(original):
    path = recoded(original, J + "90")
    assert read_radiograph(path).view == "frontal"
    sandbox._DECODER._child.kill()
    sandbox._DECODER._child.wait()
    np.testing.assert_array_equal(read_radiograph(path).image, gradient())
    sandbox._DECODER._child.send_signal(signal.SIGSTOP)
    layout = PixelLayout((150, 60), 1, 16, 12, False, "MONOCHROME2", J + "90")
    decode = partial(sandbox.decode_in_child, timeout_s=0.2)
    assert code_of(decode, path.read_bytes(), layout, ("pylibjpeg",)) == "DECODER_KILLED"
    np.testing.assert_array_equal(read_radiograph(path).image, gradient())


def test_a_decoder_that_the_kernel_ends_at_its_limit_is_a_refusal_and_the_next_file_is_read(original, tmp_path):
    good = recoded(original, J + "90")
    assert read_radiograph(good).view == "frontal"
    resource.prlimit(sandbox.child_pid(), resource.RLIMIT_CPU, (0, 0))
    (tmp_path / "large").mkdir()
    noise = np.random.default_rng(0).integers(0, 4096, (1000, 1000)).astype(np.uint16)
    large = sample_radiograph(tmp_path / "large" / "a.dcm", image=noise, place=geometry(shape=noise.shape))
    assert code_of(read_radiograph, recoded(large, J + "90")) == "DECODER_KILLED"
    np.testing.assert_array_equal(read_radiograph(good).image, gradient())


def test_a_decoder_cannot_take_more_than_its_memory(original, tmp_path):
    # The header's size bounds the child's memory: an image of 20000 x 7500 in a file that claims 150 x 60.
    rows, columns = 20000, 7500
    dataset = pydicom.dcmread(original)
    dataset.Rows, dataset.Columns = rows, columns
    segment = b"\x81\x00" * (rows * columns // 128 // 8)
    dataset.PixelData = encapsulate([struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    dataset.save_as(tmp_path / "b.dcm")
    layout = PixelLayout((150, 60), 1, 16, 12, False, "MONOCHROME2", "1.2.840.10008.1.2.5")
    code = code_of(sandbox.decode_in_child, (tmp_path / "b.dcm").read_bytes(), layout, ("pydicom",))
    assert code in ("DECODE_FAILED", "DECODER_KILLED", "CODESTREAM_MISMATCH")
    np.testing.assert_array_equal(read_radiograph(recoded(original, J + "90")).image, gradient())


def test_an_unknown_syntax_is_refused_with_a_list_of_the_known_ones(original):
    original.write_bytes(original.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    with pytest.raises(DicomRejected, match=r"TRANSFER_SYNTAX_UNSUPPORTED.*JPEG 2000"):
        read_radiograph(original)


def test_the_matrix_names_a_decoder_for_every_syntax():
    assert {uid for _, uid, _ in decoder_matrix()} == set(SYNTAXES)
    names = [how for _, _, how in decoder_matrix()]
    assert "none installed" not in names
    assert not any("libjpeg" in name.replace("pylibjpeg", "") for name in names)
