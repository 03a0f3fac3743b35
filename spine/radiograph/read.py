"""Read a radiograph: DICOM bytes in, a calibrated image in canonical orientation out, or a named refusal.

Contract: every refusal is a ``DicomRejected`` with a code and without identifiers; nothing else is raised for any
bytes. Accepted: CR, DX (both intents) and secondary captures; one frame; grey 8 or 16 bit, or RGB turned to grey and
marked; the transfer syntaxes of ``decoders.SYNTAXES``. The strict 3D path opens only for CR and DX with
PatientOrientation, both source distances and a spacing of type GEOMETRY or calibrated against the detector's: a
secondary capture never has a ``geometry``.
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

from spine.errors import DicomRejected
from spine.landmarks import ViewName
from spine.radiograph.decoders import SYNTAXES, stored_values
from spine.radiograph.header import (
    Identity,
    PixelLayout,
    SpacingTags,
    read_hanging_tags,
    read_identity,
    read_intensity_tags,
    read_layout,
    read_spacing_tags,
)
from spine.radiograph.intensity import brightness
from spine.radiograph.orientation import Hanging, decide_hanging
from spine.radiograph.spacing import Spacing, decide_spacing
from spine.radiograph.structure import checked_bytes
from spine.radiograph.tags import TagReader, refuse
from spine.radiograph.technique import safe_facts
from spine.radiograph.write import PRIVATE_CREATOR, PRIVATE_GROUP
from spine.scanner import ViewGeometry
from spine.study import CalibrationType

_CR, _DX, _DX_PROCESSING = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("1", "1.1", "1.1.1"))
_CAPTURES = ("1.2.840.10008.5.1.4.1.1.7",)
_ISOCENTRE_AGREEMENT = 0.10
"""Wide, because the frontal image of a slot scanner may be resampled to the lateral's spacing (7 % apart)."""


@dataclass(frozen=True)
class Radiograph:
    """One image.

    Attributes:
        image: (H, W) uint16, 0..4095, bone bright; frontal L\\F, lateral P\\F (columns to the patient's left
            or back, rows to the feet). With ``view`` None the hanging is as stored.
        view: ``frontal``, ``lateral``, or None when no tag tells.
        spacing_mm: (row, column) of ``image`` in mm, or None.
        calibration: what the spacing is worth.
        geometry: place in the scanner where the strict 3D path is open, else None.
        offset_recorded: whether the geometry's u0 and z0 were in the file; otherwise they are zero.
        identity: identifiers for pairing and hashing.
        facts: safe technique facts (JSON values).
    """

    image: NDArray[np.uint16]
    view: ViewName | None
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None
    offset_recorded: bool
    identity: Identity
    facts: Mapping[str, Any]


def read_radiograph(path: Path) -> Radiograph:
    """Read one file.

    Raises:
        DicomRejected: see the modules named above for the codes.
    """
    payload = checked_bytes(path)
    try:
        with _pydicom_silent():
            return _from_dataset(_parsed(payload), payload)
    except DicomRejected:
        raise
    except Exception as error:
        # Hostile bytes may find a way that nobody thought of; the tests' fuzzing counts this code as a defect.
        raise DicomRejected(
            "READER_FAULT", found=f"bytes that fail the reader ({type(error).__name__})", expected="DICOM",
            remedy="report the file as a defect of the reader",
        ) from error  # fmt: skip


@contextmanager
def _pydicom_silent() -> Iterator[None]:
    """Neither warnings nor log lines from pydicom: they quote values. What matters is checked here, strictly."""
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
    from pydicom import dcmread

    try:
        return dcmread(io.BytesIO(payload))
    except Exception as error:
        # The parser may fail in any way on hostile bytes; each is the same refusal.
        raise DicomRejected(
            "DICOM_UNREADABLE", found=f"bytes the parser refuses ({type(error).__name__})", expected="DICOM",
            remedy="export the image again",
        ) from error  # fmt: skip


def _from_dataset(dataset: Any, payload: bytes) -> Radiograph:
    tags = TagReader(dataset)
    sop_class = tags.text("SOPClassUID").rstrip("\0")
    is_capture = sop_class.startswith(_CAPTURES)
    if not sop_class and not tags.has("PixelData"):
        refuse("PIXELS_ABSENT", "neither a kind of object nor pixels", "a radiograph", "the file may be cut: resend it")
    if not is_capture and sop_class not in (_CR, _DX, _DX_PROCESSING):
        refuse("SOP_CLASS_UNSUPPORTED", "another kind of object", "CR, DX or secondary capture", "send the radiograph")
    layout = read_layout(tags, str(dataset.file_meta.TransferSyntaxUID))
    identity = read_identity(tags)
    spacing_tags = read_spacing_tags(tags, projection=not is_capture)
    spacing = decide_spacing(spacing_tags, layout.shape)
    hanging = decide_hanging(read_hanging_tags(tags))
    image, intensity_facts = _image(dataset, tags, layout, payload, for_processing=sop_class == _DX_PROCESSING)
    turned = hanging.apply(image).astype(np.uint16, copy=False)
    offset = _offset(tags)
    return Radiograph(
        image=turned,
        view=hanging.view,
        spacing_mm=hanging.turn_pair(spacing.spacing_mm),
        calibration=spacing.calibration,
        geometry=_geometry(turned.shape, hanging, spacing, spacing_tags, offset),
        offset_recorded=offset is not None,
        identity=identity,
        facts={
            **safe_facts(tags, is_capture=is_capture),
            "transfer_syntax": SYNTAXES[layout.transfer_syntax].name,
            "photometric": layout.photometric,
            **intensity_facts,
            "spacing_rule": spacing.rule,
            "orientation_found": hanging.found or "unverified",
            "orientation_done": hanging.done,
        },
    )


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
    result = brightness(stored, layout, intensity_tags, table)
    return result.image, {"intensity": result.policy, **colour}


def _after_voi_table(dataset: Any, stored: NDArray[np.generic]) -> NDArray[np.generic] | None:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    try:
        values: NDArray[np.generic] = apply_voi(apply_modality_lut(stored, dataset), dataset)
    except Exception as error:
        raise DicomRejected(
            "WINDOW_INVALID", found=f"a VOI table that does not apply ({type(error).__name__})",
            expected="a table of Part 3 C.11.2", remedy="export the image again",
        ) from error  # fmt: skip
    return values


def _offset(tags: TagReader) -> tuple[float, float, float] | None:
    """(u0, z0, source to isocentre) in mm from our own private block, or None."""
    numbers = [tags.private_double(PRIVATE_GROUP, PRIVATE_CREATOR, offset) for offset in range(3)]
    u0, z0, distance = numbers
    return None if u0 is None or z0 is None or distance is None else (u0, z0, distance)


def _geometry(
    shape: tuple[int, ...],
    hanging: Hanging,
    spacing: Spacing,
    tags: SpacingTags,
    offset: tuple[float, float, float] | None,
) -> ViewGeometry | None:
    """The strict 3D path; None where a tag it needs is missing, a refusal where one is impossible."""
    distance, to_detector = tags.source_to_isocentre_mm, tags.source_to_detector_mm
    if not tags.projection or hanging.view is None or not hanging.verified or distance is None or to_detector is None:
        return None
    if not 0 < distance < to_detector:
        found = f"source to isocentre {distance:.4g} mm, to detector {to_detector:.4g} mm"
        refuse("GEOMETRY_INVALID", found, "0 < isocentre < detector", "have the distances corrected")
    spacing_mm = hanging.turn_pair(spacing.spacing_mm)
    if spacing_mm is None or not _scaled_to_isocentre(spacing, tags, distance / to_detector):
        return None
    u0_mm, z0_mm, exact = offset or (0.0, 0.0, distance)
    if abs(exact - distance) > 0.01:
        refuse("GEOMETRY_INVALID", "two source distances that differ", "one distance", "have the tags corrected")
    return ViewGeometry(hanging.view, (shape[0], shape[1]), spacing_mm, exact, u0_mm, z0_mm)


def _scaled_to_isocentre(spacing: Spacing, tags: SpacingTags, scale: float) -> bool:
    """Whether the spacing is that of the isocentre plane: said so, or the detector's spacing times the scale."""
    if spacing.calibration == "GEOMETRY":
        return True
    if spacing.calibration != "ERMF" or tags.imager_mm is None or tags.pixel_mm is None:
        return False
    ratio = tags.pixel_mm[1] / tags.imager_mm[1]
    return abs(ratio / scale - 1) <= _ISOCENTRE_AGREEMENT
