"""The position of an image in the scanner, from the source distances and a spacing at the isocentre plane."""

from spine.errors import DicomRejected
from spine.radiograph.header import SpacingTags
from spine.radiograph.orientation import Orientation
from spine.radiograph.spacing import Spacing
from spine.radiograph.tags import CORRECT_TAG, TagReader
from spine.radiograph.write import PRIVATE_CREATOR, PRIVATE_GROUP
from spine.scanner import ViewGeometry

_ISOCENTRE_AGREEMENT = 0.10
"""Tolerance of a ratio of spacings. It is wide, because the frontal image of a slot scanner may be resampled to the
spacing of the lateral image (7 % apart)."""


def read_offset(tags: TagReader) -> tuple[float, float, float] | None:
    """(u0, z0, source to isocentre) in mm from the private block that ``write`` adds to a file, or None."""
    numbers = [tags.private_double(PRIVATE_GROUP, PRIVATE_CREATOR, offset) for offset in range(3)]
    u0, z0, distance = numbers
    return None if u0 is None or z0 is None or distance is None else (u0, z0, distance)


def view_geometry(
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
