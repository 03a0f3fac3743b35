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

from spine.errors import DicomRejected
from spine.landmarks import ViewName
from spine.radiograph.decoders import SYNTAXES, stored_values
from spine.radiograph.geometry import read_offset, view_geometry
from spine.radiograph.header import (
    Identity,
    PixelLayout,
    read_identity,
    read_layout,
    read_orientation_tags,
    read_spacing_tags,
)
from spine.radiograph.intensity import scale_intensity
from spine.radiograph.intensity_tags import read_intensity_tags
from spine.radiograph.orientation import NOTHING_GIVEN, GivenOrientation, Orientation, decide_orientation
from spine.radiograph.pixel_grid import with_square_pixels
from spine.radiograph.sop_classes import DX_FOR_PROCESSING, KIND_OF_CLASS, READABLE, SECONDARY_CAPTURES
from spine.radiograph.spacing import Spacing, decide_spacing
from spine.radiograph.stored_grid import StoredGrid
from spine.radiograph.structure import checked_bytes
from spine.radiograph.tags import EXPORT_AGAIN, TagReader
from spine.radiograph.technique import technique_facts
from spine.scanner import ViewGeometry
from spine.study import CalibrationType

_NO_RADIOGRAPHS = ("CT", "MR", "US", "NM", "PT", "MG", "BMD", "ES", "GM", "OP", "SM", "XC")
"""Values of Modality (DICOM Part 3, C.7.3.1.1.1) of sections, other scans and photographs."""
_SECTION_TAGS = ("SliceThickness", "EchoTime", "RepetitionTime", "ImageOrientationPatient")


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
        grid: where positions of ``image`` lie in the image as the file stores it.
        contradiction: why the spacing contradicts other tags; the calibration is then UNKNOWN. None if it does not.
        burned_in: whether the tags say that the pixels show text that identifies the patient (BurnedInAnnotation).
        remarks: sentences without identifiers about what reading had to change or leave out.
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
    grid: StoredGrid
    contradiction: str | None = None
    burned_in: bool = False
    remarks: tuple[str, ...] = ()


def read_radiograph(content: Path | bytes, given: GivenOrientation = NOTHING_GIVEN) -> Radiograph:
    """Read one file (a path, or its bytes), or raise ``DicomRejected`` with a code that a module here documents.

    ``given`` is what a person states about the view and the orientation. The tags must not contradict it.
    """
    payload = checked_bytes(content)
    try:
        with pydicom_silent():
            dataset = _parsed(payload)
            if not _is_compressed(dataset):
                payload = b""  # the data set has a copy of the pixels, and a large image must not be held twice
            return _from_dataset(dataset, payload, given)
    except DicomRejected:
        raise
    except Exception as error:
        # Malformed bytes may cause an error that nobody foresaw. The fuzzing tests treat this code as a defect.
        found = f"bytes that make the reader fail ({type(error).__name__})"
        raise DicomRejected("READER_FAULT", found, "DICOM", "report this as a defect of the reader") from error


@contextmanager
def pydicom_silent() -> Iterator[None]:
    """Suppress pydicom's warnings and log lines, which quote values and paths. This package checks what matters."""
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
        dataset = dcmread(io.BytesIO(payload))
        dataset.buffer = None  # the bytes of the file
        return dataset
    except Exception as error:
        # The parser may raise anything on malformed bytes; the refusal is the same for all.
        found = f"bytes that the parser rejects ({type(error).__name__})"
        raise DicomRejected("DICOM_UNREADABLE", found, "DICOM", EXPORT_AGAIN) from error


def _is_compressed(dataset: Any) -> bool:
    syntax = SYNTAXES.get(str(dataset.file_meta.TransferSyntaxUID))
    return syntax is not None and bool(syntax.decoders)


def _from_dataset(dataset: Any, payload: bytes, given: GivenOrientation) -> Radiograph:
    tags = TagReader(dataset)
    sop_class = _sop_class(tags)
    is_capture = sop_class in SECONDARY_CAPTURES
    layout = read_layout(tags, str(dataset.file_meta.TransferSyntaxUID))
    identity = read_identity(tags)
    spacing_tags = read_spacing_tags(tags, projection=not is_capture)
    spacing = decide_spacing(spacing_tags, layout.shape)
    orientation = decide_orientation(read_orientation_tags(tags), given)
    offset = read_offset(tags)
    burned_in = tags.text("BurnedInAnnotation") == "YES"
    facts = technique_facts(tags, is_capture=is_capture)
    stored, intensity_facts = _image(dataset, tags, layout, payload, sop_class)
    if spacing.aspect != 1.0:
        stored = with_square_pixels(stored, spacing.aspect)
    image = orientation.apply(stored).astype(np.uint16, copy=False)
    return Radiograph(
        image=image,
        view=orientation.view,
        spacing_mm=orientation.turn_pair(spacing.spacing_mm),
        calibration=spacing.calibration,
        geometry=view_geometry(image.shape, orientation, spacing, spacing_tags, offset),
        offset_recorded=offset is not None,
        identity=identity,
        facts={
            **facts,
            "transfer_syntax": SYNTAXES[layout.transfer_syntax].name,
            "photometric": layout.photometric,
            **intensity_facts,
            "spacing_rule": spacing.rule,
            **({"pixels": f"made square, aspect {spacing.aspect:.4g}"} if spacing.aspect != 1.0 else {}),
            "orientation_found": orientation.found or "unverified",
            "orientation_applied": orientation.applied,
        },
        orientation=orientation,
        grid=StoredGrid(layout.shape, (stored.shape[0], stored.shape[1]), orientation),
        contradiction=spacing.contradiction,
        burned_in=burned_in,
        remarks=_remarks(spacing, intensity_facts["intensity"], burned_in=burned_in),
    )


def _remarks(spacing: Spacing, intensity_rule: str, *, burned_in: bool) -> tuple[str, ...]:
    remarks = []
    if spacing.aspect != 1.0:
        remarks.append(
            f"PixelAspectRatio says that pixels are {spacing.aspect:.4g} times as high as wide; the image was "
            "resampled to square pixels, and positions in pixels refer to the resampled image"
        )
    if "not believed" in spacing.rule:
        remarks.append("no lengths: a magnification this small would put the spine onto the detector")
    if "malformed" in intensity_rule:
        remarks.append("the window or VOI table for display is malformed and was not used")
    if burned_in:
        remarks.append("BurnedInAnnotation is YES: the image, and every picture of it, may show the patient's name")
    return tuple(remarks)


def _sop_class(tags: TagReader) -> str:
    sop_class = tags.text("SOPClassUID").rstrip("\0")
    if not sop_class and not tags.has("PixelData"):
        found = "neither SOPClassUID nor PixelData"
        raise DicomRejected("PIXELS_ABSENT", found, "a radiograph", "send the file again: it may be cut off")
    if sop_class not in READABLE:
        found = (
            f"the SOP class of a {KIND_OF_CLASS[sop_class]}" if sop_class in KIND_OF_CLASS else "an unknown SOP class"
        )
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
    dataset: Any, tags: TagReader, layout: PixelLayout, payload: bytes, sop_class: str
) -> tuple[NDArray[np.uint16], dict[str, str]]:
    raw = sop_class == DX_FOR_PROCESSING or tags.text("PresentationIntentType") == "FOR PROCESSING"
    intensity_tags = read_intensity_tags(tags, layout, for_processing=raw)
    stored = stored_values(dataset, layout, payload)
    dataset.clear()  # the encoded pixels
    image, rule = scale_intensity(stored, layout, intensity_tags)
    return image, {"intensity": rule, **({"colour": "turned to grey"} if layout.samples == 3 else {})}
