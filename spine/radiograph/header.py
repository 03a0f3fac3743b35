"""The tags of a radiograph that Plumbline reads, taken out of a data set once and strictly.

Contract: a number is finite or a refusal; no text tag that may carry an identifier leaves this module except inside
``Identity``, whose repr is blank.
"""

import re
from dataclasses import dataclass

from spine.radiograph.tags import BLANKS, TagReader, refuse

MAX_SIDE = 20_000
MAX_PIXELS = 150_000_000

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, repr=False)
class Identity:
    """Identifiers, for pairing and keyed hashing only; never printed, logged or stored."""

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str

    def __repr__(self) -> str:
        return "Identity(...)"


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels are stored.

    Attributes:
        shape: (rows, columns) as stored.
        samples: 1 or 3.
        bits_allocated, bits_stored: 8 or 16, and how many of them count.
        signed: two's complement.
        photometric: photometric interpretation.
        transfer_syntax: UID.
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
    """Everything the spacing decision looks at; lengths in mm, None where the tag is absent or empty."""

    pixel_mm: tuple[float, float] | None = None
    imager_mm: tuple[float, float] | None = None
    calibration_type: str = ""
    magnification: float | None = None
    source_to_detector_mm: float | None = None
    source_to_patient_mm: float | None = None
    source_to_isocentre_mm: float | None = None
    slot: bool = False
    projection: bool = True


@dataclass(frozen=True)
class HangingTags:
    """Everything the orientation looks at."""

    patient_orientation: tuple[str, ...]
    view_position: str
    view_code: str
    flipped: bool
    rotation_deg: float


@dataclass(frozen=True)
class IntensityTags:
    """Everything between stored values and brightness, except the pixels' layout."""

    slope: float
    intercept: float
    window: tuple[float, float] | None
    window_function: str
    has_voi_table: bool
    inverse_shape: bool
    for_processing: bool


def read_identity(tags: TagReader) -> Identity:
    """Identifiers.

    Raises:
        DicomRejected: ``UID_INVALID``.
    """
    uids = {}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        value = tags.raw(keyword)[0].strip(BLANKS).decode("ascii", "replace")
        if len(value) > 64 or not _UID.fullmatch(value):
            refuse("UID_INVALID", f"{keyword} that is no UID", "digits and dots, at most 64", "export the image again")
        uids[keyword] = value
    patient = tags.raw("PatientID")[0].strip(BLANKS).decode("utf-8", "replace")
    return Identity(patient, uids["StudyInstanceUID"], uids["SeriesInstanceUID"], uids["SOPInstanceUID"])


def read_layout(tags: TagReader, transfer_syntax: str) -> PixelLayout:
    """How the pixels are stored, within the limits.

    Raises:
        DicomRejected: ``PIXELS_ABSENT``, ``DIMENSION_LIMIT``, ``FRAMES_UNSUPPORTED``, ``BITS_UNSUPPORTED``,
            ``PHOTOMETRIC_UNSUPPORTED``.
    """
    if not tags.has("PixelData"):
        refuse("PIXELS_ABSENT", "no pixel data", "a radiograph", "send the image object")
    rows, columns = (int(tags.binary(k, "H", "DIMENSION_LIMIT") or 0) for k in ("Rows", "Columns"))
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE and rows * columns <= MAX_PIXELS):
        refuse(
            "DIMENSION_LIMIT", f"{rows} x {columns} pixels", f"1..{MAX_SIDE} a side", "a radiograph is not this size"
        )
    if any(n not in (0.0, 1.0) for n in tags.decimals("NumberOfFrames", "FRAMES_UNSUPPORTED")):
        refuse("FRAMES_UNSUPPORTED", "several frames", "one image a file", "export each view as its own image")
    photometric, samples = tags.text("PhotometricInterpretation"), int(_count(tags, "SamplesPerPixel"))
    grey = photometric in ("MONOCHROME1", "MONOCHROME2") and samples == 1
    if not grey and not (samples == 3 and photometric.startswith(("RGB", "YBR"))):
        refuse(
            "PHOTOMETRIC_UNSUPPORTED", f"{photometric[:16]!r} with {samples} sample(s)", "grey or RGB", "export as grey"
        )
    allocated, stored = _count(tags, "BitsAllocated"), _count(tags, "BitsStored")
    if allocated not in (8, 16) or not 1 <= stored <= allocated or _count(tags, "HighBit") != stored - 1:
        refuse("BITS_UNSUPPORTED", f"{stored} of {allocated} bits", "8 or 16, lowest bits used", "export as 16 bit")
    signed = tags.binary("PixelRepresentation", "H", "BITS_UNSUPPORTED") == 1.0
    return PixelLayout((rows, columns), samples, allocated, stored, signed, photometric, transfer_syntax)


def _count(tags: TagReader, keyword: str) -> int:
    number = tags.binary(keyword, "H", "BITS_UNSUPPORTED")
    if number is None:
        refuse("BITS_UNSUPPORTED", f"no {keyword}", "the pixel description", "export the image again")
    return int(number)


def read_spacing_tags(tags: TagReader, *, projection: bool) -> SpacingTags:
    """Tags of the spacing decision; ``projection``: the SOP class is a projection radiograph.

    Raises:
        DicomRejected: ``SPACING_INVALID``, ``GEOMETRY_INVALID``.
    """
    return SpacingTags(
        pixel_mm=_pair(tags, "PixelSpacing"),
        imager_mm=_pair(tags, "ImagerPixelSpacing"),
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
        refuse("SPACING_INVALID", f"{keyword} of {len(numbers)} value(s)", "row and column", "have the tag corrected")
    return numbers[0], numbers[1]


def read_hanging_tags(tags: TagReader) -> HangingTags:
    """Tags of the orientation."""
    codes = tags.items("ViewCodeSequence")
    return HangingTags(
        patient_orientation=tuple(text.upper() for text in tags.texts("PatientOrientation")),
        view_position=tags.text("ViewPosition"),
        view_code=TagReader(codes[0]).text("CodeValue") if codes else "",
        flipped=tags.text("FieldOfViewHorizontalFlip") == "YES",
        rotation_deg=tags.decimal("FieldOfViewRotation", "ORIENTATION_INVALID") or 0.0,
    )


def read_intensity_tags(tags: TagReader, *, for_processing: bool) -> IntensityTags:
    """Tags between stored values and brightness.

    Raises:
        DicomRejected: ``RESCALE_INVALID``, ``WINDOW_INVALID``.
    """
    slope = tags.decimal("RescaleSlope", "RESCALE_INVALID")
    centre, width = (tags.decimal(keyword, "WINDOW_INVALID") for keyword in ("WindowCenter", "WindowWidth"))
    if slope == 0.0:
        refuse("RESCALE_INVALID", "a rescale slope of 0", "another slope", "have the tag corrected")
    return IntensityTags(
        slope=1.0 if slope is None else slope,
        intercept=tags.decimal("RescaleIntercept", "RESCALE_INVALID") or 0.0,
        window=(centre, width) if centre is not None and width is not None and width > 0 else None,
        window_function=tags.text("VOILUTFunction") or "LINEAR",
        has_voi_table=tags.has("VOILUTSequence"),
        inverse_shape=tags.text("PresentationLUTShape") == "INVERSE",
        for_processing=for_processing,
    )
