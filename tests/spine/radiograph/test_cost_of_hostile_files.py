"""Time and memory of a process that reads a hostile file: D1, D2 and D4 of docs/faults.md."""

import struct
import subprocess
import sys

import pydicom
from pydicom.encaps import encapsulate

from tests.spine.radiograph.constructed_radiographs import deflated, edited, nested, sample_radiograph

READ = r"""
import re, sys, time
from pathlib import Path
from spine.errors import DicomRejected
from spine.radiograph.read import read_radiograph

def peak():  # of this program alone, unlike ru_maxrss, which begins at that of the parent
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])

good, *hostile = map(Path, sys.argv[1:])
read_radiograph(good)
for path in hostile:
    before, started = peak(), time.process_time()
    try:
        read_radiograph(path)
    except DicomRejected as refusal:
        print(refusal.code, time.process_time() - started, peak() - before)
"""


def zeros_400_mib(path):
    """About 400 kB that inflate to a trailing padding of 400 MiB."""
    header = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 400 * 2**20)
    return deflated(path, (header, *[bytes(2**20)] * 400))


def many_elements(path):
    """A few kilobytes that inflate to a million private elements."""
    return deflated(path, [struct.pack("<HH2sH", 0x7FF1, 0x1000, b"LO", 0) * 1_000_000])


def claims_60000_rows(syntax, stream):
    def change(dataset):
        dataset.Rows = dataset.Columns = 60_000
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax

    return lambda path: edited(path, change)


RLE = struct.pack("<16I", 2, 64, 68, *[0] * 13) + b"\x81\x00" * 4
J2K = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">IIII", 60_000, 60_000, 0, 0) + bytes(64)
JPEG = b"\xff\xd8\xff\xc3\x00\x0b\x0c" + struct.pack(">HH", 60_000, 60_000) + bytes(64)
_J = "1.2.840.10008.1.2.4."
HOSTILE = {
    "deflated zeros": (zeros_400_mib, "DEFLATE_LIMIT"),
    "deflated elements": (many_elements, "ELEMENT_LIMIT"),
    "RLE": (claims_60000_rows(pydicom.uid.RLELossless, RLE), "IMAGE_SIZE_UNSUPPORTED"),
    "JPEG 2000": (claims_60000_rows(_J + "90", J2K), "IMAGE_SIZE_UNSUPPORTED"),
    "HTJ2K": (claims_60000_rows(_J + "201", J2K), "IMAGE_SIZE_UNSUPPORTED"),
    "JPEG lossless": (claims_60000_rows(_J + "70", JPEG), "IMAGE_SIZE_UNSUPPORTED"),
    "nested sequences": (lambda path: nested(path, 5000), "NESTING_LIMIT"),
    "uncompressed": (lambda path: edited(path, Rows=60_000, Columns=60_000), "IMAGE_SIZE_UNSUPPORTED"),
}


def test_a_small_file_that_claims_to_be_huge_costs_a_second_and_64_mib_at_most(tmp_path):
    good, paths = sample_radiograph(tmp_path / "good.dcm"), []
    for number, (make, _) in enumerate(HOSTILE.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(make(sample_radiograph(folder / "a.dcm")))
        assert paths[-1].stat().st_size < 600_000
    command = [sys.executable, "-c", READ, good, *paths]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=True)
    found = dict(zip(HOSTILE, (line.split() for line in done.stdout.splitlines()), strict=True))
    assert {name: code for name, (code, _, _) in found.items()} == {name: code for name, (_, code) in HOSTILE.items()}
    for name, (_, seconds, bytes_more) in found.items():
        assert float(seconds) < 1.0, name
        assert int(bytes_more) < 64 * 2**20, name
