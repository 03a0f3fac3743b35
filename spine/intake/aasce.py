"""The public frontal radiographs of AASCE 2019 with 2D corner labels (the layout of data/aasce_training).

    filenames.csv   one image name a line      images/   8-bit grey JPEG
    landmarks.csv   x1..x68, y1..y68, divided by the image's width or height
    angles.csv      three published angles in degrees, the first between vertebral mid-lines

68 = T1..L5 from the top, each upper left, upper right, lower left, lower right as seen in the image. The
patient's left is on the image's right, so image left becomes ``_right`` of the landmark set ``corners68``. There
is no spacing: calibration NONE, angles only. The number in a file's name is taken as the patient (radiographs that
share a number may be one patient; README of the data).

Contract: one frontal-only study a row; a row that cannot be read refuses its study alone.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected, InputRejected, LabelsRejected, ParametersRejected
from spine.intake.records import LoadedStudy, LoadedView, fingerprint_of
from spine.landmarks import VERTEBRAE
from spine.radiograph.header import MAX_PIXELS, MAX_SIDE
from spine.radiograph.intensity import MAXIMUM

_CORNERS = ("sup_right", "sup_left", "inf_right", "inf_left")
LABEL_NAMES: tuple[str, ...] = tuple(f"{level}_{corner}" for level in VERTEBRAE for corner in _CORNERS)
"""The 68 labels in the file's order."""

MARGIN = 0.1
"""Labels may lie this share of the pixels outside it: corners cut off by the radiograph's edge, which are then
absent.
"""

MOST_OUTSIDE = 8

_NUMBER = re.compile(r"-[A-Za-z]*(\d+)[^-]*$")
"""The number after the last hyphen: ``...-2017-162 A AP``, ``...-2016-coronal16``."""
_MAX_IMAGE_BYTES = 64 * 2**20
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class AasceCandidate:
    """One row.

    Attributes:
        image: the radiograph.
        landmarks, angles: the row's cells as text.
    """

    image: Path
    landmarks: tuple[str, ...]
    angles: tuple[str, ...]

    @property
    def key(self) -> str:
        """The image's name."""
        return self.image.name

    @property
    def files(self) -> tuple[Path, ...]:
        """The radiograph, where it is there."""
        return (self.image,) if self.image.is_file() else ()

    def fingerprint(self) -> str:
        """Over the radiograph and its row."""
        return fingerprint_of(self.files, ",".join(self.landmarks), ",".join(self.angles))

    def load(self) -> LoadedStudy:
        """Read radiograph and labels.

        Raises:
            InputRejected: ``NAME_INVALID``.
            DicomRejected: see ``read_grey_image``.
            LabelsRejected: see ``corner_labels``.
        """
        number = _NUMBER.search(self.image.stem)
        if number is None:
            raise InputRejected(
                "NAME_INVALID",
                found="a name without a number",
                expected="...-162 A AP.jpg",
                remedy="rename the radiograph",
            )
        pixels = read_grey_image(self.image)
        labels = corner_labels(self.landmarks, (pixels.shape[0], pixels.shape[1]))
        facts = {"intensity": "8 bit", "labels_off_image": len(LABEL_NAMES) - len(labels)}
        view = LoadedView(pixels, self.key, None, "NONE", labels=labels, facts=facts)
        return LoadedStudy(f"aasce:{int(number[1])}", {"frontal": view}, facts=self._published())

    def _published(self) -> dict[str, float]:
        numbers = [_finite(cell) for cell in self.angles]
        return {f"published_angle_{i}_deg": n for i, n in enumerate(numbers, 1) if n is not None}


class AasceSource:
    """All rows of a folder of this layout."""

    def __init__(self, location: Path) -> None:
        self._location = location

    @property
    def name(self) -> str:
        """``aasce``."""
        return "aasce"

    def candidates(self) -> Sequence[AasceCandidate]:
        """One for each row.

        Raises:
            ParametersRejected: ``SOURCE_LAYOUT``: a table is missing or the tables differ in length.
        """
        names = ["".join(row) for row in self._rows("filenames.csv")]
        landmarks, angles = self._rows("landmarks.csv"), self._rows("angles.csv")
        if not len(names) == len(landmarks) == len(angles):
            found = f"{len(names)} names, {len(landmarks)} rows of landmarks, {len(angles)} of angles"
            raise ParametersRejected("SOURCE_LAYOUT", found=found, expected="one row each", remedy="get the set again")
        images = self._location / "images"
        rows = zip(names, landmarks, angles, strict=True)
        # Only the last part of a name is used: a row cannot point outside the folder.
        return [AasceCandidate(images / Path(n).name, tuple(xy), tuple(a)) for n, xy, a in rows]

    def _rows(self, table: str) -> list[list[str]]:
        path = self._location / table
        if not path.is_file():
            raise ParametersRejected(
                "SOURCE_LAYOUT", found=f"no {table}", expected="filenames.csv, landmarks.csv, angles.csv, images/",
                remedy="give the folder that holds them",
            )  # fmt: skip
        with path.open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.reader(stream) if row]


def corner_labels(cells: Sequence[str], shape: tuple[int, int]) -> dict[str, NDArray[np.float64]]:
    """Landmark -> (2,) (column, row) pixels of a pixels of ``shape`` (H, W); points off the pixels are absent.

    Raises:
        LabelsRejected: ``LABELS_COUNT``, ``LABELS_NOT_FINITE``, ``LABELS_OUTSIDE``.
    """
    if len(cells) != 2 * len(LABEL_NAMES):
        _refuse("LABELS_COUNT", f"{len(cells)} numbers", f"{2 * len(LABEL_NAMES)}")
    numbers = [_finite(cell) for cell in cells]
    if any(n is None for n in numbers):
        _refuse("LABELS_NOT_FINITE", f"{numbers.count(None)} values that are no finite number", "numbers")
    relative = np.array(numbers, dtype=np.float64).reshape(2, -1).T
    outside = np.any((relative < 0) | (relative > 1), axis=1)
    far = bool(np.any((relative < -MARGIN) | (relative > 1 + MARGIN)))
    if far or outside.sum() > MOST_OUTSIDE:
        found = f"{int(outside.sum())} points outside the pixels, {'some' if far else 'none'} of them far"
        _refuse("LABELS_OUTSIDE", found, "shares of width and height, 0 to 1")
    pixels = relative * (shape[1], shape[0])
    return {name: xy for name, xy, absent in zip(LABEL_NAMES, pixels, outside, strict=True) if not absent}


def read_grey_image(path: Path) -> NDArray[np.uint16]:
    """(H, W) uint16, 0..4095, of an 8-bit grey or colour JPEG or PNG.

    Raises:
        DicomRejected: ``IMAGE_MISSING``, ``EMPTY_FILE``, ``FILE_TOO_LARGE``, ``IMAGE_INVALID``, ``IMAGE_SIZE_UNSUPPORTED``,
            ``IMAGE_ROTATED``, ``IMAGE_BLANK``.
    """
    from PIL import Image

    size = path.stat().st_size if path.is_file() else -1
    if not 0 < size <= _MAX_IMAGE_BYTES:
        code = {-1: "IMAGE_MISSING", 0: "EMPTY_FILE"}.get(size, "FILE_TOO_LARGE")
        _refuse_image(code, f"{size} bytes" if size >= 0 else "no file", f"1 to {_MAX_IMAGE_BYTES} bytes")
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
                _refuse_image("IMAGE_SIZE_UNSUPPORTED", f"{height} x {width} pixels", f"at most {MAX_SIDE} a side")
            if image.getexif().get(_ORIENTATION_TAG, 1) != 1:
                _refuse_image("IMAGE_ROTATED", "an EXIF orientation", "pixels as they are shown; labels would not fit")
            grey = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DicomRejected(
            "IMAGE_INVALID", found=f"an image that does not open ({type(error).__name__})", expected="JPEG or PNG",
            remedy="get the radiograph again",
        ) from error  # fmt: skip
    if grey.min() == grey.max():
        _refuse_image("IMAGE_BLANK", "a pixels of one value", "a radiograph")
    return np.rint(grey * np.float32(MAXIMUM / 255)).astype(np.uint16)


def _finite(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse(code: str, found: str, expected: str) -> None:
    raise LabelsRejected(code, found=found, expected=expected, remedy="correct the row of landmarks.csv")


def _refuse_image(code: str, found: str, expected: str) -> None:
    raise DicomRejected(code, found=found, expected=expected, remedy="get the radiograph again")
