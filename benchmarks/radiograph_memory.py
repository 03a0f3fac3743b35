"""Peak memory for reading one large radiograph, in the reading process and in the process that decodes.

``python -m benchmarks.radiograph_memory`` prints a table for grey and colour images of 20 and 60 million samples, in
each kind of transfer syntax. The memory is the peak of the resident set above that after a small image of the same
kind, so it leaves out the interpreter and its libraries. The last column is the largest address space of the decoding
process.
``python -m benchmarks.radiograph_memory one SMALL LARGE`` reads two files and prints these numbers as JSON.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID

from benchmarks.figures import print_table
from spine.radiograph.decoders import SYNTAXES
from spine.radiograph.read import read_radiograph
from spine.radiograph.sandbox import child_pid
from spine.radiograph.write import write_radiograph
from spine.scanner import ViewGeometry

SMALL, SHAPES = (400, 200), ((6667, 3000), (10000, 6000))
COLOUR_SHAPES = ((4444, 1500), (5000, 4000))
_J2K, _J2K_LOSSY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
GREY = {
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.5": "pydicom",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "gdcm",
    _J2K: "pylibjpeg",
}
COLOUR = {"1.2.840.10008.1.2.1": "", "1.2.840.10008.1.2.5": "pydicom", _J2K: "pylibjpeg", _J2K_LOSSY: "pylibjpeg"}


def main(arguments: list[str]) -> int:
    """Print the table, or with ``one SMALL LARGE`` the figures of one file."""
    if arguments[:1] == ["one"]:
        sys.stdout.write(json.dumps(_peaks(Path(arguments[1]), Path(arguments[2]))))
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for shapes, syntaxes, colour in ((SHAPES, GREY, False), (COLOUR_SHAPES, COLOUR, True)):
            for syntax, encoder in syntaxes.items():
                for shape in shapes:
                    rows.append(_measured(Path(folder), shape, syntax, encoder, colour=colour))
    head = ("image", "pixels", "file", "reading process", "decoding process", "its address space")
    print_table(head, rows)
    return 0


def _measured(folder: Path, shape: tuple[int, int], syntax: str, encoder: str, *, colour: bool) -> tuple[str, ...]:
    files = []
    for size in (SMALL, shape):
        file = folder / f"{size[0]}.dcm"
        write_image(file, size, syntax, encoder, colour=colour)
        files.append(file)
    call = [sys.executable, "-m", "benchmarks.radiograph_memory", "one", *map(str, files)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    peaks = json.loads(done.stdout)
    pixels = shape[0] * shape[1]
    kind = "colour" if colour else "grey"
    return (
        f"{kind}, {SYNTAXES[syntax].name}",
        f"{pixels / 1e6:.0f} million",
        f"{files[1].stat().st_size / 1e6:.1f} MB",
        *(f"{peaks[name] / 1e6:.0f} MB ({peaks[name] / pixels:.1f} bytes a pixel)" for name in ("parent", "child")),
        f"{peaks['space'] / 2**20:.0f} MiB",
    )


def _peaks(small: Path, large: Path) -> dict[str, Any]:
    read_radiograph(small)
    before = [_status("self", "VmHWM"), _status(child_pid(), "VmHWM")]
    read_radiograph(large)
    after = [_status("self", "VmHWM"), _status(child_pid(), "VmHWM")]
    parent, child = (b - a for a, b in zip(before, after, strict=True))
    return {"parent": parent, "child": child, "space": _status(child_pid(), "VmPeak")}


def _status(process: int | str | None, name: str) -> int:
    """Bytes that the kernel reports for a process; 0 without a process."""
    if process is None:
        return 0
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def write_image(path: Path, shape: tuple[int, int], syntax: str, encoder: str, *, colour: bool) -> None:
    """A smooth image with a little noise, which compresses about as well as a radiograph."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = (2000 + 1500 * np.sin(columns / shape[1] * 6) * np.cos(rows / shape[0] * 4)).astype(np.uint16)
    image[::3, ::2] += 9
    place = ViewGeometry("frontal", shape, (1400 / shape[0], 1400 / shape[0]), 987.0, 0.0, 0.0)
    uids: dict[str, Any] = {"patient_id": "m", "study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": "2.25.3"}
    write_radiograph(path, image, place, simulated=True, kvp=90.0, **uids)
    dataset = pydicom.dcmread(path)
    if colour:
        dataset.PixelData = np.repeat((image >> 4).astype(np.uint8)[..., None], 3, axis=2).tobytes()
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        del dataset.WindowCenter, dataset.WindowWidth
    if encoder == "gdcm":
        _by_gdcm(path, syntax)
        return
    if encoder:
        more: dict[str, Any] = {"j2k_cr": [40]} if syntax == _J2K_LOSSY else {}
        if "J2K" in SYNTAXES[syntax].name or syntax in (_J2K, _J2K_LOSSY):
            dataset.PhotometricInterpretation = ("YBR_ICT" if more else "YBR_RCT") if colour else "MONOCHROME2"
        dataset.compress(UID(syntax), encoding_plugin=encoder, generate_instance_uid=False, **more)
    dataset.save_as(path)


def _by_gdcm(path: Path, syntax: str) -> None:
    import gdcm  # an optional decoder

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    kinds = {"70": gdcm.TransferSyntax.JPEGLosslessProcess14_1, "80": gdcm.TransferSyntax.JPEGLSLossless}
    change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax.rpartition(".")[2]]))
    change.SetInput(reader.GetImage())
    change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.Write()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
