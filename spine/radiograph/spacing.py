"""Decides from which tag the pixel spacing is read, and its calibration type (docs/sources.md, DICOM spacing decision).

    1. not a projection radiograph (secondary capture)              PixelSpacing, if any       UNKNOWN
    2. PixelSpacingCalibrationType is FIDUCIAL                      PixelSpacing               FIDUCIAL
    3. PixelSpacingCalibrationType is GEOMETRY                      PixelSpacing               GEOMETRY
       PixelSpacing differs from ImagerPixelSpacing                 PixelSpacing               ERMF
    4. ImagerPixelSpacing with a magnification (its own tag, or     ImagerPixelSpacing / m     ERMF
       source-detector over source-patient distance)
    5. ImagerPixelSpacing alone                                     ImagerPixelSpacing         PROJECTION
    6. PixelSpacing alone                                           PixelSpacing               UNKNOWN
    7. neither                                                      none                       NONE
    8. PixelSpacing contradicts the detector's spacing (below)      PixelSpacing               UNKNOWN

The table follows cornerstone's ``calculateRadiographicPixelSpacing``. A slot scanner magnifies across but not along its
travel, so rule 5 applies to it instead of rule 4. Rule 8 goes before rules 2 and 3. It applies if PixelSpacing differs
from ImagerPixelSpacing by another factor than the magnification of the header, or without a magnification by a factor
that no radiograph has. Then no length is measured, but angles are. Contract: pairs are (row, column). An image with an
impossible value is refused. The value of another tag is not used instead.
"""

import math
from dataclasses import dataclass

from spine.errors import DicomRejected
from spine.radiograph.header import SpacingTags
from spine.radiograph.tags import CORRECT_TAG
from spine.study import LENGTHS_ALLOWED, CalibrationType

SPACING_MM = (0.02, 4.0)
"""Bounds of a plausible spacing. The upper bound exceeds the 1.0 mm of scanners, because images may be scaled down
before export. The image height in mm is the stricter check."""
ASPECT = (0.8, 1.25)
HEIGHT_MM = (200.0, 2200.0)
MAGNIFICATION = (1.0, 2.0)
AGREEMENT = 0.02
CONTRADICTION, CONTRADICTION_SLOT = 0.05, 0.10
"""A spacing that differs by more than this share from that of the header's magnification contradicts it. The frontal
image of a slot scanner may be resampled to the spacing of the lateral image, which is 7 % apart."""


@dataclass(frozen=True)
class Spacing:
    """The (row, column) spacing in mm, its calibration type, and the rule of the table, e.g. ``3 GEOMETRY``.

    ``contradiction`` says which tags contradict each other, if rule 8 applies.
    """

    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    rule: str
    contradiction: str | None = None

    @property
    def lengths_allowed(self) -> bool:
        """Whether lengths in the patient may be reported."""
        return self.calibration in LENGTHS_ALLOWED


def decide_spacing(tags: SpacingTags, shape: tuple[int, int]) -> Spacing:
    """Choose the spacing of an image of ``shape`` (rows, columns) as stored.

    Raises:
        DicomRejected: ``SPACING_INVALID`` (not finite, not positive, out of bounds, impossible aspect ratio or image
            height), ``MAGNIFICATION_INVALID``, ``MAGNIFICATION_CONFLICT``.
    """
    for name, pair in (("PixelSpacing", tags.pixel_mm), ("ImagerPixelSpacing", tags.imager_mm)):
        if pair is not None:
            _check_pair(name, pair)
    spacing = _choose(tags)
    if spacing.spacing_mm is not None:
        _check_height(spacing.spacing_mm[0] * shape[0])
    return spacing


def _choose(tags: SpacingTags) -> Spacing:
    pixel, imager = tags.pixel_mm, tags.imager_mm
    if not tags.projection:
        return Spacing(pixel, "UNKNOWN" if pixel else "NONE", "1 not a projection")
    if pixel and imager and (contradiction := _contradiction(pixel, imager, tags)):
        return Spacing(pixel, "UNKNOWN", "8 PixelSpacing contradicts ImagerPixelSpacing", contradiction)
    if pixel and tags.calibration_type == "FIDUCIAL":
        return Spacing(pixel, "FIDUCIAL", "2 FIDUCIAL")
    if pixel and tags.calibration_type == "GEOMETRY":
        return Spacing(pixel, "GEOMETRY", "3 GEOMETRY")
    if pixel and imager and not _same(pixel, imager):
        return Spacing(pixel, "ERMF", "3 PixelSpacing differs from ImagerPixelSpacing")
    if imager:
        return _from_imager(imager, tags)
    if pixel:
        return Spacing(pixel, "UNKNOWN", "6 PixelSpacing alone")
    return Spacing(None, "NONE", "7 none")


def _from_imager(imager: tuple[float, float], tags: SpacingTags) -> Spacing:
    magnification = _magnification(tags)
    if magnification is None or tags.slot:
        return Spacing(imager, "PROJECTION", "5 at the detector" + (" (slot scanner)" if tags.slot else ""))
    return Spacing((imager[0] / magnification, imager[1] / magnification), "ERMF", "4 ImagerPixelSpacing / ERMF")


def _magnification(tags: SpacingTags) -> float | None:
    """The magnification from its own tag or from the distances. If both values exist, they must agree."""
    stated, by_distance = tags.magnification, _magnification_by_distance(tags)
    for value in (stated, by_distance):
        if value is not None and not MAGNIFICATION[0] <= value <= MAGNIFICATION[1]:
            expected = f"{MAGNIFICATION[0]} to {MAGNIFICATION[1]}"
            raise DicomRejected("MAGNIFICATION_INVALID", f"magnification {value:.4g}", expected, CORRECT_TAG)
    if stated and by_distance and abs(stated / by_distance - 1) > AGREEMENT:
        found = f"magnification {stated:.4g} in its tag and {by_distance:.4g} from the distances"
        raise DicomRejected("MAGNIFICATION_CONFLICT", found, "equal values", CORRECT_TAG)
    return stated or by_distance


def _magnification_by_distance(tags: SpacingTags) -> float | None:
    if tags.source_to_detector_mm and tags.source_to_patient_mm:
        return tags.source_to_detector_mm / tags.source_to_patient_mm
    return None


def _contradiction(pixel: tuple[float, float], imager: tuple[float, float], tags: SpacingTags) -> str | None:
    """Why ``pixel`` cannot be ``imager`` scaled to the patient, or None.

    Equal spacings of an image that does not claim a calibration are those of the detector. A slot scanner magnifies
    across its travel only, so one axis that agrees is enough, and the spacings of its resampled images may be equal.
    """
    if _same(pixel, imager) and (tags.slot or tags.calibration_type not in ("FIDUCIAL", "GEOMETRY")):
        return None
    factors = [detector / patient for detector, patient in zip(imager, pixel, strict=True)]
    expected = tags.magnification or _magnification_by_distance(tags) or _magnification_at_isocentre(tags)
    limit = CONTRADICTION_SLOT if tags.slot else CONTRADICTION
    if expected is None:
        low, high = MAGNIFICATION
        wrong = [not low / (1 + limit) <= factor <= high for factor in factors]
        expected_text = f"a factor of {low:g} to {high:g}"
    else:
        wrong = [abs(expected / factor - 1) > limit for factor in factors]
        expected_text = f"the header's magnification is {expected:.3g}"
    if not (all(wrong) if tags.slot else any(wrong)):
        return None
    return (
        f"PixelSpacing {pixel[0]:.4g} mm and ImagerPixelSpacing {imager[0]:.4g} mm differ by a factor of "
        f"{factors[0]:.3g}, but {'expected is ' if expected is None else ''}{expected_text}"
    )


def _magnification_at_isocentre(tags: SpacingTags) -> float | None:
    if tags.source_to_detector_mm and tags.source_to_isocentre_mm:
        return tags.source_to_detector_mm / tags.source_to_isocentre_mm
    return None


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-4) for x, y in zip(a, b, strict=True))


def _check_pair(name: str, pair: tuple[float, float]) -> None:
    low, high = SPACING_MM
    if not all(math.isfinite(s) and low <= s <= high for s in pair):
        found = f"{name} {pair[0]:.4g} x {pair[1]:.4g} mm"
        remedy = "correct the spacing, or remove it and measure angles only"
        raise DicomRejected("SPACING_INVALID", found, f"{low} to {high} mm", remedy)
    if not ASPECT[0] <= pair[0] / pair[1] <= ASPECT[1]:
        found = f"{name} with a row to column ratio of {pair[0] / pair[1]:.3g}"
        raise DicomRejected("SPACING_INVALID", found, f"a ratio of {ASPECT[0]} to {ASPECT[1]}", CORRECT_TAG)


def _check_height(height_mm: float) -> None:
    if not HEIGHT_MM[0] <= height_mm <= HEIGHT_MM[1]:
        found = f"an image {height_mm:.0f} mm high"
        raise DicomRejected("SPACING_INVALID", found, f"{HEIGHT_MM[0]:.0f} to {HEIGHT_MM[1]:.0f} mm", CORRECT_TAG)
