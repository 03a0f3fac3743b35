"""Small radiographs with known content, and ways to damage them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from spine.radiograph.write import write_radiograph
from spine.scanner import ViewGeometry

SHAPE = (150, 60)
SPACING = (1.75, 1.6)


def gradient(shape=SHAPE, top=4000):
    """(H, W) uint16 without any symmetry: every pixel value shows its place."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return ((rows * 7 + columns * 31) * top // (shape[0] * 7 + shape[1] * 31)).astype(np.uint16)


def geometry(view="frontal", shape=SHAPE, spacing=SPACING, u0=1.25, z0=-30.5):
    return ViewGeometry(view, shape, spacing, {"frontal": 987.0, "lateral": 918.0}[view], u0, z0)


def sample_radiograph(path: Path, view="frontal", image=None, place=None, **tags) -> Path:
    place = place or geometry(view)
    image = gradient(place.shape) if image is None else image
    given: dict[str, Any] = {"patient_id": "vp-1", "study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": "2.25.3"}
    given |= {"simulated": True, "kvp": 90.0}
    write_radiograph(path, image, place, **(given | tags))
    return path


def edited(path: Path, change=lambda dataset: None, without=(), **tags) -> Path:
    """A copy without some tags, with others set and changed; values are written without pydicom's validation."""
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(path)
        for name in without:
            if name in dataset:
                delattr(dataset, name)
        for name, value in tags.items():
            setattr(dataset, name, value)
        change(dataset)
        out = io.BytesIO()
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    target = path.with_name("edited.dcm")
    target.write_bytes(out.getvalue())
    return target


def with_pixels(path: Path, pixels, without=(), **tags) -> Path:
    """A copy with other pixels."""

    def change(ds):
        ds.PixelData = np.ascontiguousarray(pixels).tobytes()
        ds["PixelData"].VR = "OW"

    return edited(path, change, without, **{"Rows": pixels.shape[0], "Columns": pixels.shape[1]} | tags)


def with_raw(path: Path, tag: int, vr: str, value: bytes) -> Path:
    """A copy in which one element's value is exactly these bytes (padded to even length)."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    value = value + b" " * (len(value) % 2)

    def change(ds):
        ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    return edited(path, change)


def deflated(path, extra=()):
    """The radiograph's data set deflated, with chunks of ``extra`` appended before compression."""
    payload = path.read_bytes()
    length = struct.unpack_from("<I", payload, 140)[0]
    meta, body = payload[: 144 + length], payload[144 + length :]
    old, new = b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99"
    at = meta.index(b"\x02\x00\x10\x00UI")
    meta = meta[:at] + b"\x02\x00\x10\x00UI" + struct.pack("<H", len(new)) + new + meta[at + 8 + len(old) :]
    meta = meta[:140] + struct.pack("<I", length + len(new) - len(old)) + meta[144:]
    machine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + b"".join(machine.compress(chunk) for chunk in (body, *extra)) + machine.flush())
    return path


def nested(path, depth, undefined=False):
    """The radiograph with sequences in sequences, of defined or undefined length, after its last element."""
    content = b""
    for _ in range(depth):
        if undefined:
            item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + content + b"\xfe\xff\x0d\xe0\0\0\0\0"
            content = b"\x40\x00\x55\x05SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
        else:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content
            content = b"\x40\x00\x55\x05SQ\0\0" + struct.pack("<I", len(item)) + item
    path.write_bytes(path.read_bytes() + content)
    return path
