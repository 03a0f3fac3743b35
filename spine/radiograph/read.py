"""Reads a DICOM file as a calibrated image in canonical orientation, or refuses it with a code.

Contract: for any bytes, the result is a ``Radiograph`` or a ``DicomRejected`` without identifiers. Accepted files are
CR, DX (both intents) and secondary captures with one frame, in a transfer syntax of ``decoders.SYNTAXES``. Pixels are
grey with 8 or 16 bits, or RGB, which is converted to grey and marked. 3D measurements need a ``geometry``. A CR or DX
image has a geometry if it has PatientOrientation, both source distances, and a spacing that is of type GEOMETRY or fits
the detector's spacing.
"""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from spine.errors import DicomRejected
from spine.landmarks import ViewName
from spine.radiograph.decoders import SYNTAXES, stored_values
from spine.radiograph.header import (
    Identity,
    PixelLayout,
    SpacingTags,
    read_identity,
    read_intensity_tags,
    read_layout,
    read_orientation_tags,
    read_spacing_tags,
)
from spine.radiograph.intensity import scale_intensity
from spine.radiograph.orientation import NOTHING_GIVEN, GivenOrientation, Orientation, decide_orientation
from spine.radiograph.spacing import Spacing, decide_spacing
from spine.radiograph.structure import checked_bytes
from spine.radiograph.tags import CORRECT_TAG, EXPORT_AGAIN, TagReader
from spine.radiograph.technique import technique_facts
from spine.radiograph.write import PRIVATE_CREATOR, PRIVATE_GROUP
from spine.scanner import ViewGeometry
from spine.study import CalibrationType

_CR, _DX, _DX_PROCESSING = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("1", "1.1", "1.1.1"))
_CAPTURES = ("1.2.840.10008.5.1.4.1.1.7",)
_NO_RADIOGRAPHS = ("CT", "MR", "US", "NM", "PT", "MG", "BMD", "ES", "GM", "OP", "SM", "XC")
"""Values of Modality (DICOM Part 3, C.7.3.1.1.1) of sections, other scans and photographs."""
_SECTION_TAGS = ("SliceThickness", "EchoTime", "RepetitionTime", "ImageOrientationPatient")
_ISOCENTRE_AGREEMENT = 0.10
"""Tolerance of a ratio of spacings. It is wide, because the frontal image of a slot scanner may be resampled to the
spacing of the lateral image (7 % apart)."""


@dataclass(frozen=True)
class Radiograph:
    """One radiograph: its image, and what its tags determine.

    Attributes:
        image: (H, W) uint16, 0..4095, bone bright; frontal L\\F, lateral P\\F (columns to the patient's left
            or back, rows to the feet). If ``view`` is None, the orientation is as stored.
        view: ``frontal``, ``lateral``, or None if no tag names the view.
        spacing_mm: (row, column) of ``image`` in mm, or None.
        calibration: source of the spacing.
        geometry: position in the scanner, or None if the tags do not determine it.
        offset_recorded: whether the file contains u0 and z0 of the geometry; otherwise they are zero.
        identity: identifiers for pairing and hashing.
        facts: technical facts without identifiers (JSON values).
        orientation: how the image was turned, and what is known about it.
        contradiction: why the spacing contradicts other tags; the calibration is then UNKNOWN. None if it does not.
    """

    image: NDArray[np.uint16]
    view: ViewName | None
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None
    offset_recorded: bool
    identity: Identity
    facts: Mapping[str, Any]
    orientation: Orientation
    contradiction: str | None = None


def read_radiograph(path: Path, given: GivenOrientation = NOTHING_GIVEN) -> Radiograph:
    """Read one file, or raise ``DicomRejected`` with a code that a module of this package documents.

    ``given`` is what a person states about the view and the orientation. The tags must not contradict it.
    """
    payload = checked_bytes(path)
    try:
        with _pydicom_silent():
            return _from_dataset(_parsed(payload), payload, given)
    except DicomRejected:
        raise
    except Exception as error:
        # Malformed bytes may cause an error that nobody foresaw. The fuzzing tests treat this code as a defect.
        found = f"bytes that make the reader fail ({type(error).__name__})"
        raise DicomRejected("READER_FAULT", found, "DICOM", "report this as a defect of the reader") from error


@contextmanager
def _pydicom_silent() -> Iterator[None]:
    """Suppress pydicom's warnings and log lines, which quote values. This package checks what matters, strictly."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _parsed(payload: bytes) -> Any:
    try:
        return dcmread(io.BytesIO(payload))
    except Exception as error:
        # The parser may raise anything on malformed bytes; the refusal is the same for all.
        found = f"bytes that the parser rejects ({type(error).__name__})"
        raise DicomRejected("DICOM_UNREADABLE", found, "DICOM", EXPORT_AGAIN) from error


def _from_dataset(dataset: Any, payload: bytes, given: GivenOrientation) -> Radiograph:
    tags = TagReader(dataset)
    sop_class = _sop_class(tags)
    is_capture = sop_class.startswith(_CAPTURES)
    layout = read_layout(tags, str(dataset.file_meta.TransferSyntaxUID))
    identity = read_identity(tags)
    spacing_tags = read_spacing_tags(tags, projection=not is_capture)
    spacing = decide_spacing(spacing_tags, layout.shape)
    orientation = decide_orientation(read_orientation_tags(tags), given)
    stored, intensity_facts = _image(dataset, tags, layout, payload, for_processing=sop_class == _DX_PROCESSING)
    image = orientation.apply(stored).astype(np.uint16, copy=False)
    offset = _offset(tags)
    return Radiograph(
        image=image,
        view=orientation.view,
        spacing_mm=orientation.turn_pair(spacing.spacing_mm),
        calibration=spacing.calibration,
        geometry=_geometry(image.shape, orientation, spacing, spacing_tags, offset),
        offset_recorded=offset is not None,
        identity=identity,
        facts={
            **technique_facts(tags, is_capture=is_capture),
            "transfer_syntax": SYNTAXES[layout.transfer_syntax].name,
            "photometric": layout.photometric,
            **intensity_facts,
            "spacing_rule": spacing.rule,
            "orientation_found": orientation.found or "unverified",
            "orientation_applied": orientation.applied,
        },
        orientation=orientation,
        contradiction=spacing.contradiction,
    )


def _sop_class(tags: TagReader) -> str:
    sop_class = tags.text("SOPClassUID").rstrip("\0")
    if not sop_class and not tags.has("PixelData"):
        found = "neither SOPClassUID nor PixelData"
        raise DicomRejected("PIXELS_ABSENT", found, "a radiograph", "send the file again: it may be cut off")
    if not sop_class.startswith(_CAPTURES) and sop_class not in (_CR, _DX, _DX_PROCESSING):
        found = "an unsupported SOP class"
        raise DicomRejected("SOP_CLASS_UNSUPPORTED", found, "CR, DX or secondary capture", "send the radiograph")
    if tags.text("Modality") in _NO_RADIOGRAPHS:
        found = f"an image of the modality {tags.text('Modality')}, saved as a radiograph"
        raise DicomRejected("MODALITY_UNSUPPORTED", found, "a radiograph", "send the radiograph")
    section = [keyword for keyword in _SECTION_TAGS if tags.raw(keyword)[0]]
    if section:
        found = f"the tag {section[0]}, which only a section through the body has"
        raise DicomRejected("MODALITY_UNSUPPORTED", found, "a radiograph", "send the radiograph")
    return sop_class


def _image(
    dataset: Any, tags: TagReader, layout: PixelLayout, payload: bytes, *, for_processing: bool
) -> tuple[NDArray[np.uint16], dict[str, str]]:
    intensity_tags = read_intensity_tags(tags, for_processing=for_processing)
    stored = stored_values(dataset, layout, payload)
    colour = {}
    if stored.ndim == 3:
        # Rec. 601 luma; equal channels, the usual case, keep their value.
        stored = np.rint(stored @ np.array([0.299, 0.587, 0.114])).astype(stored.dtype)
        colour = {"colour": "turned to grey"}
    table = _after_voi_table(dataset, stored) if intensity_tags.has_voi_table else None
    image, rule = scale_intensity(stored, layout, intensity_tags, table)
    return image, {"intensity": rule, **colour}


def _after_voi_table(dataset: Any, stored: NDArray[np.generic]) -> NDArray[np.generic]:
    try:
        values: NDArray[np.generic] = apply_voi(apply_modality_lut(stored, dataset), dataset)
    except Exception as error:
        found = f"a VOI table that cannot be applied ({type(error).__name__})"
        raise DicomRejected("WINDOW_INVALID", found, "a table as in DICOM Part 3, C.11.2", EXPORT_AGAIN) from error
    return values


def _offset(tags: TagReader) -> tuple[float, float, float] | None:
    """(u0, z0, source to isocentre) in mm from the private block that ``write`` adds to a file, or None."""
    numbers = [tags.private_double(PRIVATE_GROUP, PRIVATE_CREATOR, offset) for offset in range(3)]
    u0, z0, distance = numbers
    return None if u0 is None or z0 is None or distance is None else (u0, z0, distance)


def _geometry(
    shape: tuple[int, ...],
    orientation: Orientation,
    spacing: Spacing,
    tags: SpacingTags,
    offset: tuple[float, float, float] | None,
) -> ViewGeometry | None:
    """The position in the scanner, or None if a necessary tag is missing. Impossible values are refused."""
    distance, to_detector = tags.source_to_isocentre_mm, tags.source_to_detector_mm
    if not tags.projection or orientation.view is None or not orientation.verified:
        return None
    if distance is None or to_detector is None:
        return None
    if not 0 < distance < to_detector:
        found = f"source to isocentre {distance:.4g} mm, source to detector {to_detector:.4g} mm"
        raise DicomRejected("GEOMETRY_INVALID", found, "an isocentre between source and detector", CORRECT_TAG)
    spacing_mm = orientation.turn_pair(spacing.spacing_mm)
    if spacing_mm is None or not _scaled_to_isocentre(spacing, tags, distance / to_detector):
        return None
    u0_mm, z0_mm, exact = offset or (0.0, 0.0, distance)
    if abs(exact - distance) > 0.01:
        raise DicomRejected("GEOMETRY_INVALID", "two different source distances", "equal values", CORRECT_TAG)
    return ViewGeometry(orientation.view, (shape[0], shape[1]), spacing_mm, exact, u0_mm, z0_mm)


def _scaled_to_isocentre(spacing: Spacing, tags: SpacingTags, scale: float) -> bool:
    """Whether the spacing applies to the isocentre plane: type GEOMETRY, or ``scale`` times the detector's spacing."""
    if spacing.calibration == "GEOMETRY":
        return True
    if spacing.calibration != "ERMF" or tags.imager_mm is None or tags.pixel_mm is None:
        return False
    ratio = tags.pixel_mm[1] / tags.imager_mm[1]
    return abs(ratio / scale - 1) <= _ISOCENTRE_AGREEMENT
