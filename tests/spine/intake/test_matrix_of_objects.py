"""What becomes of a study whose frontal image is another object: the matrix of what intake accepts (D22, D25, D6)."""

import io
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from spine.intake.folder import FolderSource
from spine.landmarks import VIEWS
from tests.spine.intake.constructed_studies import write_study
from tests.spine.radiograph.constructed_radiographs import edited, with_pixels
from tests.spine.refusals import code_of

STORAGE = "1.2.840.10008.5.1.4.1.1."
WINDOW = ("WindowCenter", "WindowWidth")
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, **EIGHT}


def pixels_of(path):
    return pydicom.dcmread(path).pixel_array


def eight_bit(path):
    return (pixels_of(path) // 16).astype(np.uint8)


def of_class(tail, **tags):
    uid = STORAGE + tail

    def change(path):
        return edited(path, lambda ds: setattr(ds.file_meta, "MediaStorageSOPClassUID", uid), SOPClassUID=uid, **tags)

    return change


def in_colour(path, tinted=False):
    colour = np.repeat(eight_bit(path)[..., None], 3, axis=-1)
    if tinted:
        colour[..., 0] //= 2
    return with_pixels(path, colour, WINDOW, SOPClassUID=STORAGE + "7", **RGB)


def frames(path, count, **tags):
    repeated = np.concatenate([pixels_of(path)] * count)
    rows = pixels_of(path).shape[0]
    return with_pixels(path, repeated, NumberOfFrames=str(count), **({"Rows": rows} | tags))


def compressed(path):
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(path)
    return path


def jpeg_inside(path):
    stream = io.BytesIO()
    Image.fromarray(eight_bit(path)).save(stream, "JPEG", quality=95)

    def change(dataset):
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    return edited(path, change, WINDOW, **EIGHT)


def picture(kind):
    def change(path):
        Image.fromarray(eight_bit(path)).save(path, kind)
        return path

    return change


def written(payload):
    def change(path):
        path.write_bytes(payload)
        return path

    return change


def beginning_with(start):
    return lambda path: written(start + path.read_bytes()[len(start) :])(path)


def cut(share):
    return lambda path: written(path.read_bytes()[: int(share * path.stat().st_size)])(path)


BOTH, LATERAL = VIEWS, VIEWS[1:]
MATRIX = {
    "Digital X-Ray for presentation": (lambda path: path, BOTH),
    "Digital X-Ray for processing": (of_class("1.1.1"), BOTH),
    "Computed Radiography": (of_class("1", Modality="CR"), BOTH),
    "Secondary Capture, grey": (of_class("7", Modality="OT"), BOTH),
    "Secondary Capture in RGB": (in_colour, BOTH),
    "Secondary Capture in a tint": (lambda path: in_colour(path, tinted=True), BOTH),
    "multi-frame capture of one frame": (of_class("7.3", NumberOfFrames="1"), BOTH),
    "an export with 8 bits": (lambda path: with_pixels(path, eight_bit(path), WINDOW, **EIGHT), BOTH),
    "run-length encoded": (compressed, BOTH),
    "a JPEG in DICOM": (jpeg_inside, BOTH),
    "several frames": (lambda path: frames(path, 2), "FRAMES_UNSUPPORTED"),
    "palette colour": (lambda path: edited(path, PhotometricInterpretation="PALETTE COLOR"), "PHOTOMETRIC_UNSUPPORTED"),
    "32 bits": (lambda path: edited(path, BitsAllocated=32, BitsStored=32, HighBit=31), "BITS_UNSUPPORTED"),
    "a CT section": (of_class("2", Modality="CT"), LATERAL),
    "a CT section saved as a radiograph": (lambda path: edited(path, SliceThickness="1.0"), "MODALITY_UNSUPPORTED"),
    "a photograph": (of_class("77.1.4"), LATERAL),
    "a report": (of_class("88.33"), LATERAL),
    "a dose report": (of_class("88.67"), LATERAL),
    "a presentation state": (of_class("11.1"), LATERAL),
    "an unknown class": (of_class("9999"), "SOP_CLASS_UNSUPPORTED"),
    "a JPEG named .dcm": (picture("JPEG"), "NOT_DICOM"),
    "a PNG named .dcm": (picture("PNG"), "NOT_DICOM"),
    "an empty file": (written(b""), "EMPTY_FILE"),
    "text": (written(b"radiograph of the spine\n" * 40), "NOT_DICOM"),
    "a preamble alone": (written(bytes(128) + b"DICM"), "TRUNCATED"),
    "a cut file": (cut(0.6), "TRUNCATED"),
    "a Windows program": (beginning_with(b"MZ\x90\0"), "PREAMBLE_EXECUTABLE"),
    "a Linux program": (beginning_with(b"\x7fELF"), "PREAMBLE_EXECUTABLE"),
    "a macOS program": (beginning_with(b"\xcf\xfa\xed\xfe"), "PREAMBLE_EXECUTABLE"),
    "a script in the preamble": (beginning_with(b"#!/bin/sh\nrm -rf /\n"), BOTH),
}


@pytest.mark.parametrize("kind", MATRIX)
def test_what_becomes_of_a_study_with_this_object(tmp_path, kind):
    change, expected = MATRIX[kind]
    study = write_study(tmp_path / "drop" / "a", 1, reconstruction=False)
    changed = change(study / "frontal.dcm")
    if changed != study / "frontal.dcm":
        shutil.move(changed, study / "frontal.dcm")
    (candidate,) = FolderSource(tmp_path / "drop").contents().candidates
    if isinstance(expected, str):
        assert code_of(candidate.load) == expected
    else:
        assert tuple(candidate.load().views) == expected
