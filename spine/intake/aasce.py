"""Source of the public frontal radiographs of AASCE 2019 with corner labels (the layout of data/aasce_training).

    filenames.csv   one image name in each line
    landmarks.csv   x1..x68 as fractions of the image width, y1..y68 as fractions of the image height
    angles.csv      three published angles in degrees; the first is between vertebral mid-lines
    images/         8-bit grey JPEG

The 68 points are the corners of T1..L5 from the top. Each vertebra has its upper left, upper right, lower left and
lower right corner, as seen in the image. The patient's left is on the right of the image, so image left becomes
``_right`` of the landmark set ``corners68``. The images have no pixel spacing, so their calibration is NONE and only
angles are measured. The number in a file name identifies the patient, because radiographs with the same number may be
of the same patient (README of the data).

Contract: each row is one study with only a frontal view. If a row cannot be read, only its study is refused.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spine.errors import DicomRejected, InputRejected, LabelsRejected, ParametersRejected
from spine.intake.records import Contents, LoadedStudy, LoadedView, contents_of, fingerprint_of
from spine.landmarks import VERTEBRAE
from spine.radiograph.header import MAX_PIXELS, MAX_SIDE
from spine.radiograph.intensity import MAXIMUM
from spine.types import Floats

_CORNERS = ("sup_right", "sup_left", "inf_right", "inf_left")
LABEL_NAMES: tuple[str, ...] = tuple(f"{level}_{corner}" for level in VERTEBRAE for corner in _CORNERS)
"""The 68 labels in the order of the file."""

MARGIN = 0.1
"""A label may lie outside the image by at most this fraction of the width or height, because the edge of the image may
cut a corner off. Such a label is absent."""

MAX_OUTSIDE = 8

_NUMBER = re.compile(r"-[A-Za-z]*(\d+)[^-]*$")
"""The number after the last hyphen: ``...-2017-162 A AP``, ``...-2016-coronal16``."""
_MAX_IMAGE_BYTES = 64 * 2**20
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class AasceCandidate:
    """One radiograph with its rows of the tables. ``landmarks`` and ``angles`` are the cells as text."""

    image: Path
    landmarks: tuple[str, ...]
    angles: tuple[str, ...]

    @property
    def key(self) -> str:
        """The file name of the image."""
        return self.image.name

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of the radiograph, if it exists."""
        return (self.image,) if self.image.is_file() else ()

    def fingerprint(self) -> str:
        """Fingerprint of the radiograph and its rows of the tables."""
        return fingerprint_of(self.files, ",".join(self.landmarks), ",".join(self.angles))

    def load(self) -> LoadedStudy:
        """Read the radiograph and its labels, or raise ``InputRejected``, for example ``NAME_INVALID``."""
        number = _NUMBER.search(self.image.stem)
        if number is None:
            found = "an image file name without a patient number"
            raise InputRejected("NAME_INVALID", found, "a name such as NAME-162 A AP.jpg", "rename the image file")
        image = read_grey_image(self.image)
        labels = corner_labels(self.landmarks, (image.shape[0], image.shape[1]))
        facts = {"intensity": "8 bit", "labels_off_image": len(LABEL_NAMES) - len(labels)}
        view = LoadedView(image, self.key, None, "NONE", labels=labels, facts=facts)
        return LoadedStudy(f"aasce:{int(number[1])}", {"frontal": view}, facts=self._published())

    def _published(self) -> dict[str, float]:
        numbers = [_finite(cell) for cell in self.angles]
        return {f"published_angle_{i}_deg": n for i, n in enumerate(numbers, 1) if n is not None}


@dataclass(frozen=True)
class AasceSource:
    """The source of all studies in a folder with this layout."""

    location: Path
    name: str = "aasce"

    def contents(self) -> Contents:
        """One candidate for each row. A missing table or tables of unequal length raise ``SOURCE_LAYOUT_INVALID``."""
        names = ["".join(row) for row in self._rows("filenames.csv")]
        landmarks, angles = self._rows("landmarks.csv"), self._rows("angles.csv")
        if not len(names) == len(landmarks) == len(angles):
            found = f"{len(names)} names, {len(landmarks)} rows of landmarks, {len(angles)} rows of angles"
            raise ParametersRejected("SOURCE_LAYOUT_INVALID", found, "equal numbers", "download the dataset again")
        images, rows = self.location / "images", zip(names, landmarks, angles, strict=True)
        # Only the last part of a name is used, so that no row points outside the folder.
        candidates = [AasceCandidate(images / Path(n).name, tuple(xy), tuple(a)) for n, xy, a in rows]
        return contents_of(self.location, candidates)

    def _rows(self, table: str) -> list[list[str]]:
        path = self.location / table
        if not path.is_file():
            expected = "filenames.csv, landmarks.csv, angles.csv, images/"
            remedy = "set the location to the folder that contains these files"
            raise ParametersRejected("SOURCE_LAYOUT_INVALID", f"no {table}", expected, remedy)
        with path.open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.reader(stream) if row]


def corner_labels(cells: Sequence[str], shape: tuple[int, int]) -> dict[str, Floats]:
    """Landmark -> (2,) (column, row) in pixels of an image of ``shape`` (H, W); points outside the image are absent.

    Raises:
        LabelsRejected: ``LABEL_COUNT_WRONG``, ``LABELS_NOT_FINITE``, ``LABELS_OUTSIDE_IMAGE``.
    """
    if len(cells) != 2 * len(LABEL_NAMES):
        raise _labels("LABEL_COUNT_WRONG", f"{len(cells)} numbers", f"{2 * len(LABEL_NAMES)} numbers")
    numbers = [_finite(cell) for cell in cells]
    if any(n is None for n in numbers):
        found = f"{numbers.count(None)} values that are not finite numbers"
        raise _labels("LABELS_NOT_FINITE", found, "finite numbers")
    relative = np.array(numbers, dtype=np.float64).reshape(2, -1).T
    outside = np.any((relative < 0) | (relative > 1), axis=1)
    far = bool(np.any((relative < -MARGIN) | (relative > 1 + MARGIN)))
    if far or outside.sum() > MAX_OUTSIDE:
        found = f"{int(outside.sum())} points outside the image, {'some' if far else 'none'} of them far outside"
        raise _labels("LABELS_OUTSIDE_IMAGE", found, "positions from 0 to 1, as fractions of width and height")
    xy_px = relative * (shape[1], shape[0])
    return {name: xy for name, xy, absent in zip(LABEL_NAMES, xy_px, outside, strict=True) if not absent}


def read_grey_image(path: Path) -> NDArray[np.uint16]:
    """The (H, W) uint16 image, 0..4095, in an 8-bit grey or colour JPEG or PNG file.

    Raises:
        DicomRejected: ``IMAGE_MISSING``, ``EMPTY_FILE``, ``FILE_TOO_LARGE``, ``IMAGE_INVALID``,
            ``IMAGE_SIZE_UNSUPPORTED``, ``IMAGE_ROTATED``, ``IMAGE_BLANK``.
    """
    if not path.is_file():
        raise _image("IMAGE_MISSING", "no image file", "the image that filenames.csv names")
    size = path.stat().st_size
    if not 0 < size <= _MAX_IMAGE_BYTES:
        code = "FILE_TOO_LARGE" if size else "EMPTY_FILE"
        raise _image(code, f"{size} bytes", f"1 to {_MAX_IMAGE_BYTES} bytes")
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
                found = f"{height} x {width} pixels"
                raise _image("IMAGE_SIZE_UNSUPPORTED", found, f"at most {MAX_SIDE} pixels a side")
            if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
                expected = "pixels that are stored upright, because the labels refer to the stored pixels"
                raise _image("IMAGE_ROTATED", "an image with an EXIF rotation", expected)
            grey = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _image("IMAGE_INVALID", f"an unreadable image ({type(error).__name__})", "JPEG or PNG") from error
    if grey.min() == grey.max():
        raise _image("IMAGE_BLANK", "an image in which all pixels are equal", "a radiograph")
    return np.rint(grey * np.float32(MAXIMUM / 255)).astype(np.uint16)


def _finite(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels(code: str, found: str, expected: str) -> LabelsRejected:
    return LabelsRejected(code, found, expected, "correct the row of landmarks.csv")


def _image(code: str, found: str, expected: str) -> DicomRejected:
    return DicomRejected(code, found, expected, "download the radiograph again")
