"""The DICOM tags that Plumbline reads from a radiograph. Each tag is read once, and a malformed value is refused.

Contract: a file with a number that is not finite is refused. A text tag that may contain an identifier leaves this
module only inside ``Identity``, whose ``repr`` shows nothing.
"""

import re
from dataclasses import dataclass

from spine.errors import DicomRejected
from spine.radiograph.tags import BLANKS, CORRECT_TAG, EXPORT_AGAIN, TagReader

COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_PHOTOMETRIC = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "HSV", "ARGB", "CMYK", "XYB", *COLOURS})
"""The terms of PS3.3 C.7.6.3.1.2. A message quotes no other value, because a wrong tag may hold an identifier."""
MAX_SIDE = 20_000
MAX_PIXELS = 60_000_000
"""A stitched image of 43 x 130 cm at 0.1 mm has 56 million pixels; colour counts each sample as a pixel."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, repr=False)
class Identity:
    """Identifiers, for pairing and keyed hashing only; they are never printed, logged or stored.

    ``study_date`` is YYYY-MM-DD, or empty. It is shown only to a person who asks for it.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    study_date: str = ""

    def __repr__(self) -> str:
        return "Identity(...)"


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels are stored: ``shape`` (rows, columns), 1 or 3 samples per pixel, and 8 or 16 bits per sample.

    The lowest ``bits_stored`` bits contain the value. ``transfer_syntax`` is a UID.
    """

    shape: tuple[int, int]
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    transfer_syntax: str


@dataclass(frozen=True)
class SpacingTags:
    """The tags that determine the spacing. Lengths are in mm, pairs are (row, column). An absent or empty tag is None.

    Attributes:
        pixel_mm, imager_mm, nominal_mm: PixelSpacing, ImagerPixelSpacing, NominalScannedPixelSpacing.
        aspect: PixelAspectRatio (row to column), which says nothing of the scale.
        slot: whether the image comes from a slot scanner.
        projection: whether the SOP class is a projection radiograph.
    """

    pixel_mm: tuple[float, float] | None = None
    imager_mm: tuple[float, float] | None = None
    nominal_mm: tuple[float, float] | None = None
    aspect: float | None = None
    calibration_type: str = ""
    magnification: float | None = None
    source_to_detector_mm: float | None = None
    source_to_patient_mm: float | None = None
    source_to_isocentre_mm: float | None = None
    slot: bool = False
    projection: bool = True


@dataclass(frozen=True)
class OrientationTags:
    """The tags that determine the view and the orientation."""

    patient_orientation: tuple[str, ...]
    view_position: str
    view_code: str
    flipped: bool
    rotation_deg: float


def read_identity(tags: TagReader) -> Identity:
    """Read the identifiers, or raise ``UID_INVALID``."""
    uids = {}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        value = tags.raw(keyword)[0].strip(BLANKS).decode("latin-1")
        if len(value) > 64 or not _UID.fullmatch(value):
            found = f"{keyword} that is not a UID" if value else f"no {keyword}"
            raise DicomRejected("UID_INVALID", found, "at most 64 digits and dots", EXPORT_AGAIN)
        uids[keyword] = value
    patient = _lossless(tags.raw("PatientID")[0].strip(BLANKS))
    date = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", tags.text("StudyDate"))
    return Identity(
        patient,
        uids["StudyInstanceUID"],
        uids["SeriesInstanceUID"],
        uids["SOPInstanceUID"],
        "-".join(date.groups()) if date else "",
    )


def _lossless(value: bytes) -> str:
    """Text of an identifier. Different bytes give different text, except for one text in UTF-8 and in Latin-1.

    The character set that the file names is not used: it is often wrong, and characters that it lacks would be replaced
    by one and the same mark, which merges patients.
    """
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def read_layout(tags: TagReader, transfer_syntax: str) -> PixelLayout:
    """Read how the pixels are stored, and check the layout against the limits.

    Raises:
        DicomRejected: ``PIXELS_ABSENT``, ``IMAGE_SIZE_UNSUPPORTED``, ``FRAMES_UNSUPPORTED``, ``BITS_UNSUPPORTED``,
            ``PHOTOMETRIC_UNSUPPORTED``.
    """
    if not tags.has("PixelData"):
        raise DicomRejected("PIXELS_ABSENT", "no pixel data", "a radiograph", "send the image itself")
    shape = _shape(tags)
    if any(n not in (0.0, 1.0) for n in tags.decimals("NumberOfFrames", "FRAMES_UNSUPPORTED")):
        raise DicomRejected("FRAMES_UNSUPPORTED", "several frames", "one frame", "export each view separately")
    photometric, samples = tags.text("PhotometricInterpretation"), _count(tags, "SamplesPerPixel")
    grey = photometric in ("MONOCHROME1", "MONOCHROME2") and samples == 1
    if not grey and not (samples == 3 and photometric in COLOURS):
        name = photometric if photometric in _PHOTOMETRIC else "an unknown PhotometricInterpretation"
        found = f"{name} with {samples} sample(s)"
        raise DicomRejected("PHOTOMETRIC_UNSUPPORTED", found, "grey or RGB", "export the image in greyscale")
    allocated, stored = _count(tags, "BitsAllocated"), _count(tags, "BitsStored")
    if allocated not in (8, 16) or not 1 <= stored <= allocated or _count(tags, "HighBit") != stored - 1:
        found = f"{stored} stored of {allocated} allocated bits"
        expected = "8 or 16 allocated bits, with the value in the lowest bits"
        raise DicomRejected("BITS_UNSUPPORTED", found, expected, "export the image with 16 bits a pixel")
    signed = tags.binary("PixelRepresentation", "H", "BITS_UNSUPPORTED") == 1.0
    return PixelLayout(shape, samples, allocated, stored, signed, photometric, transfer_syntax)


def _shape(tags: TagReader) -> tuple[int, int]:
    rows, columns = (int(tags.binary(k, "H", "IMAGE_SIZE_UNSUPPORTED") or 0) for k in ("Rows", "Columns"))
    samples = 3 if tags.binary("SamplesPerPixel", "H", "BITS_UNSUPPORTED") == 3.0 else 1
    if 1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE and rows * columns * samples <= MAX_PIXELS:
        return rows, columns
    found = f"{rows} x {columns} pixels" + (" in colour" if samples == 3 else "")
    expected = f"1 to {MAX_SIDE} pixels a side, at most {MAX_PIXELS // samples} in all"
    raise DicomRejected("IMAGE_SIZE_UNSUPPORTED", found, expected, "send a radiograph; no radiograph has this size")


def _count(tags: TagReader, keyword: str) -> int:
    number = tags.binary(keyword, "H", "BITS_UNSUPPORTED")
    if number is None:
        raise DicomRejected("BITS_UNSUPPORTED", f"no {keyword}", "a number in this tag", EXPORT_AGAIN)
    return int(number)


def read_spacing_tags(tags: TagReader, *, projection: bool) -> SpacingTags:
    """Read the tags that determine the spacing. ``projection`` is whether the SOP class is a projection radiograph.

    Raises:
        DicomRejected: ``SPACING_INVALID``, ``ASPECT_INVALID``, ``GEOMETRY_INVALID``.
    """
    return SpacingTags(
        pixel_mm=_pair(tags, "PixelSpacing"),
        imager_mm=_pair(tags, "ImagerPixelSpacing"),
        nominal_mm=_pair(tags, "NominalScannedPixelSpacing"),
        aspect=_aspect(tags),
        calibration_type=tags.text("PixelSpacingCalibrationType"),
        magnification=tags.decimal("EstimatedRadiographicMagnificationFactor", "SPACING_INVALID"),
        source_to_detector_mm=tags.decimal("DistanceSourceToDetector", "GEOMETRY_INVALID"),
        source_to_patient_mm=tags.decimal("DistanceSourceToPatient", "GEOMETRY_INVALID"),
        source_to_isocentre_mm=tags.binary("DistanceSourceToIsocenter", "f", "GEOMETRY_INVALID"),
        slot=tags.text("DetectorConfiguration") == "SLOT",
        projection=projection,
    )


def _pair(tags: TagReader, keyword: str) -> tuple[float, float] | None:
    numbers = tags.decimals(keyword, "SPACING_INVALID")
    if not numbers:
        return None
    if len(numbers) != 2:
        found = f"{keyword} of {len(numbers)} value(s)"
        raise DicomRejected("SPACING_INVALID", found, "row and column spacing", CORRECT_TAG)
    return numbers[0], numbers[1]


def _aspect(tags: TagReader) -> float | None:
    """Vertical over horizontal size of a pixel (PS3.3 C.7.6.3.1.7), two whole numbers."""
    numbers = tags.decimals("PixelAspectRatio", "ASPECT_INVALID")
    if not numbers:
        return None
    if len(numbers) != 2 or min(numbers) <= 0:
        found = "PixelAspectRatio that is not two positive numbers"
        raise DicomRejected("ASPECT_INVALID", found, "two positive numbers, e.g. 5\\4", CORRECT_TAG)
    return numbers[0] / numbers[1]


def read_orientation_tags(tags: TagReader) -> OrientationTags:
    """Read the tags that determine view and orientation, or raise ``ORIENTATION_INVALID`` or ``TAG_INVALID``."""
    codes = tags.items("ViewCodeSequence")
    return OrientationTags(
        patient_orientation=tuple(text.upper() for text in tags.texts("PatientOrientation")),
        view_position=tags.text("ViewPosition"),
        view_code=TagReader(codes[0]).text("CodeValue") if codes else "",
        flipped=tags.text("FieldOfViewHorizontalFlip") == "YES",
        rotation_deg=tags.decimal("FieldOfViewRotation", "ORIENTATION_INVALID") or 0.0,
    )
