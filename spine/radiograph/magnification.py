"""The magnification of a radiograph from its header, and whether a spine can have it.

EstimatedRadiographicMagnificationFactor (PS3.3 C.8.11.5) is the ratio of the distances from the source to the detector
and to the patient, which have tags of their own.
"""

from spine.errors import DicomRejected
from spine.radiograph.header import SpacingTags
from spine.radiograph.tags import CORRECT_TAG

MAGNIFICATION = (1.03, 2.0)
"""Bounds of a spine's magnification. Its centre is at least 60 mm from the skin, and with the cover and the grid about
100 mm from the detector: 1.034 at the longest distance in use, 3 m."""
AGREEMENT = 0.02


def magnification_of(tags: SpacingTags) -> float | None:
    """The magnification from its own tag or from the distances, or None. If both values exist, they must agree.

    Raises:
        DicomRejected: ``MAGNIFICATION_INVALID``, ``MAGNIFICATION_CONFLICT``.
    """
    stated, by_distance = tags.magnification, magnification_by_distance(tags)
    for value in (stated, by_distance):
        if value is not None and value > MAGNIFICATION[1]:
            expected = f"at most {MAGNIFICATION[1]}"
            raise DicomRejected("MAGNIFICATION_INVALID", f"magnification {value:.4g}", expected, CORRECT_TAG)
    if stated and by_distance and abs(stated / by_distance - 1) > AGREEMENT:
        found = f"magnification {stated:.4g} in its tag and {by_distance:.4g} from the distances"
        raise DicomRejected("MAGNIFICATION_CONFLICT", found, "equal values", CORRECT_TAG)
    return stated or by_distance


def magnification_by_distance(tags: SpacingTags) -> float | None:
    """Source to detector over source to patient, or None."""
    if tags.source_to_detector_mm and tags.source_to_patient_mm:
        return tags.source_to_detector_mm / tags.source_to_patient_mm
    return None


def magnification_at_isocentre(tags: SpacingTags) -> float | None:
    """Source to detector over source to isocentre, or None."""
    if tags.source_to_detector_mm and tags.source_to_isocentre_mm:
        return tags.source_to_detector_mm / tags.source_to_isocentre_mm
    return None


def unbelievable_magnification(tags: SpacingTags) -> float | None:
    """The magnification of the header that no spine has, or None."""
    given = [value for value in (tags.magnification, magnification_by_distance(tags)) if value is not None]
    return next((value for value in given if value < MAGNIFICATION[0]), None)
