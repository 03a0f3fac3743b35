"""Measured virtual patients for the tests of results, and the programs that check DICOM objects."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from inference.bundled import open_bundled
from inference.measured_study import MeasuredStudy, measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from spine.landmarks import VIEWS, ViewName

DCIODVFY = Path(sys.executable).parent / "dciodvfy"
ORIENTATIONS = [(across, down) for across in ("x", "-x", "z", "-z") for down in ("x", "-x", "z", "-z")]
ORIENTATIONS = [(across, down) for across, down in ORIENTATIONS if across[-1] != down[-1]]
"""The eight ways to store an image: directions along a row and down a column; canonical is x, z."""


def read(case: Path, view: ViewName, **tags: Any) -> pydicom.Dataset:
    """A radiograph of a case with other values of some tags; None deletes a tag."""
    dataset = pydicom.dcmread(case / f"{view}.dcm")
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: pydicom.Dataset) -> bytes:
    """The bytes of a DICOM file."""
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def stored_as(dataset: pydicom.Dataset, across: str, down: str) -> pydicom.Dataset:
    """The same canonical radiograph, stored in another orientation with the tag that says so."""
    letters = {"frontal": "LR", "lateral": "PA"}["frontal" if dataset.PatientOrientation[0] == "L" else "lateral"]
    names = {"x": letters[0], "-x": letters[1], "z": "F", "-z": "H"}
    pixels = dataset.pixel_array
    pixels = pixels[:, ::-1] if "-x" in (across, down) else pixels
    pixels = pixels[::-1] if "-z" in (across, down) else pixels
    pixels = pixels.T if across[-1] == "z" else pixels
    dataset.PatientOrientation = [names[across], names[down]]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    return dataset


def measured(contents: dict[ViewName, Path | bytes | pydicom.Dataset], **stated: Any) -> MeasuredStudy:
    """What the bundled model measures in radiographs: paths, bytes or pydicom data sets."""
    files = []
    for view in [view for view in VIEWS if view in contents]:
        content = contents[view]
        known = encoded(content) if isinstance(content, pydicom.Dataset) else content
        files.append(RadiographFile(known, f"{view}.dcm", **stated))
    return measure_radiographs(open_bundled(), open_radiographs(files))


def complaints(content: bytes, folder: Path) -> list[str]:
    """The errors that dciodvfy finds in a DICOM file."""
    path = folder / "checked.dcm"
    path.write_bytes(content)
    done = subprocess.run([DCIODVFY, path], capture_output=True, text=True, timeout=60)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
