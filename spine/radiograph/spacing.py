"""Decides from which tag the pixel spacing is read, and its calibration type (docs/sources.md, DICOM spacing decision).

    1. not a projection radiograph (secondary capture)              PixelSpacing, else that    UNKNOWN
                                                                    of the detector or scan
    2. PixelSpacingCalibrationType is FIDUCIAL                      PixelSpacing               FIDUCIAL
    3. PixelSpacingCalibrationType is GEOMETRY                      PixelSpacing               GEOMETRY
       PixelSpacing differs from ImagerPixelSpacing                 PixelSpacing               ERMF
    4. ImagerPixelSpacing with a magnification (its own tag, or     ImagerPixelSpacing / m     ERMF
       source-detector over source-patient distance)
    5. ImagerPixelSpacing alone                                     ImagerPixelSpacing         PROJECTION
    6. PixelSpacing alone                                           PixelSpacing               UNKNOWN
    7. none, or only PixelAspectRatio                               none                       NONE
    8. PixelSpacing contradicts the detector's spacing (below)      PixelSpacing               UNKNOWN
    9. NominalScannedPixelSpacing alone (a digitised sheet)         this spacing               PROJECTION

The table follows cornerstone's ``calculateRadiographicPixelSpacing``. A slot scanner magnifies across but not along its
travel, so rule 5 applies to it instead of rule 4. Rule 8 goes before rules 2 and 3. It applies if PixelSpacing differs
from ImagerPixelSpacing by another factor than the magnification of the header, or without a magnification by a factor
that no radiograph has. Then no length is measured, but angles are.

A magnification below ``MAGNIFICATION[0]`` is not believed: it puts the spine onto the detector, as the default of a
console does. Rule 5 applies. The same holds for a PixelSpacing that is the detector's, equal or rounded: no
magnification was taken out of it (PS3.3 10.7.1), so rules 4 and 5 apply to it, and rule 3 does not.

Contract: pairs are (row, column). An image with an impossible value is refused. The value of another tag is not used
instead. If no tag gives a spacing, ``aspect`` is the row to column size of a pixel, and the caller makes pixels square.
"""

import math
from dataclasses import dataclass, replace

from spine.errors import DicomRejected
from spine.radiograph.header import SpacingTags
from spine.radiograph.magnification import (
    MAGNIFICATION,
    magnification_at_isocentre,
    magnification_by_distance,
    magnification_of,
    unbelievable_magnification,
)
from spine.radiograph.tags import CORRECT_TAG
from spine.study import LENGTHS_ALLOWED, CalibrationType

SPACING_MM = (0.02, 4.0)
"""Bounds of a plausible spacing in the patient. The upper bound exceeds the 1.0 mm of scanners, because images may be
scaled down before export. At the detector, the bound is larger by a magnification of 1.5. The image height in mm is the
stricter check."""
DETECTOR_MM = (SPACING_MM[0], 1.5 * SPACING_MM[1])
ASPECT = (0.8, 1.25)
"""Bounds of row to column size. Scanners and digitisers stay within; beyond, a tag is wrong or the image is no
radiograph (a video frame has 0.5 or 2)."""
ASPECT_AGREEMENT = 0.02
"""Two tags whose shapes of a pixel differ by more contradict each other. 2 % changes an angle by at most 0.6
degrees."""
HEIGHT_MM = (200.0, 2200.0)
CONTRADICTION, CONTRADICTION_SLOT = 0.05, 0.10
"""A spacing that differs by more than this share from that of the header's magnification contradicts it. The frontal
image of a slot scanner may be resampled to the spacing of the lateral image, which is 7 % apart."""


@dataclass(frozen=True)
class Spacing:
    """The (row, column) spacing in mm, its calibration type, and the rule of the table, e.g. ``3 GEOMETRY``.

    ``contradiction`` says which tags contradict each other, if rule 8 applies. ``aspect`` is the row to column size of
    a pixel where it is not 1 and the spacing is not known; else 1.
    """

    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    rule: str
    contradiction: str | None = None
    aspect: float = 1.0

    @property
    def lengths_allowed(self) -> bool:
        """Whether lengths in the patient may be reported."""
        return self.calibration in LENGTHS_ALLOWED


def decide_spacing(tags: SpacingTags, shape: tuple[int, int]) -> Spacing:
    """Choose the spacing of an image of ``shape`` (rows, columns) as stored.

    Raises:
        DicomRejected: ``SPACING_INVALID`` (not finite, not positive, out of bounds, impossible aspect ratio or image
            height), ``ASPECT_INVALID`` (PixelAspectRatio out of bounds), ``ASPECT_CONFLICT`` (two tags state different
            shapes of a pixel), ``MAGNIFICATION_INVALID``, ``MAGNIFICATION_CONFLICT``.
    """
    for name, pair, bounds in (
        ("PixelSpacing", tags.pixel_mm, SPACING_MM),
        ("ImagerPixelSpacing", tags.imager_mm, DETECTOR_MM),
        ("NominalScannedPixelSpacing", tags.nominal_mm, DETECTOR_MM),
    ):
        if pair is not None:
            _check_pair(name, pair, bounds)
    spacing = _choose(tags)
    spacing = replace(spacing, aspect=_aspect(tags, spacing.spacing_mm))
    if spacing.spacing_mm is not None:
        _check_height(spacing.spacing_mm[0] * shape[0])
    return spacing


def _choose(tags: SpacingTags) -> Spacing:
    pixel, imager = tags.pixel_mm, tags.imager_mm
    if not tags.projection:
        only = pixel or imager or tags.nominal_mm
        return Spacing(only, "UNKNOWN" if only else "NONE", "1 not a projection")
    if pixel and imager and (contradiction := _contradiction(pixel, imager, tags)):
        return Spacing(pixel, "UNKNOWN", "8 PixelSpacing contradicts ImagerPixelSpacing", contradiction)
    if pixel and tags.calibration_type == "FIDUCIAL":
        return Spacing(pixel, "FIDUCIAL", "2 FIDUCIAL")
    if pixel and imager and _of_the_detector(pixel, imager, tags):
        return _from_imager(imager, tags)
    if pixel and tags.calibration_type == "GEOMETRY":
        if not imager and not tags.slot and (magnification := unbelievable_magnification(tags)) is not None:
            return Spacing(
                pixel, "PROJECTION", f"5 at the detector (magnification {magnification:.4g} is not believed)"
            )
        return Spacing(pixel, "GEOMETRY", "3 GEOMETRY")
    if pixel and imager:
        return Spacing(pixel, "ERMF", "3 PixelSpacing differs from ImagerPixelSpacing")
    if imager:
        return _from_imager(imager, tags)
    if pixel:
        return Spacing(pixel, "UNKNOWN", "6 PixelSpacing alone")
    if tags.nominal_mm:
        return Spacing(tags.nominal_mm, "PROJECTION", "9 NominalScannedPixelSpacing")
    return Spacing(None, "NONE", "7 none")


def _of_the_detector(pixel: tuple[float, float], imager: tuple[float, float], tags: SpacingTags) -> bool:
    """Whether PixelSpacing is the detector's, so that no magnification was taken out of it.

    The images of a slot scanner that claim a calibration may be resampled to the detector's spacing.
    """
    if tags.slot and (tags.calibration_type == "GEOMETRY" or not _same(pixel, imager)):
        return False
    return all(_hardly_differ(p, i) for p, i in zip(pixel, imager, strict=True))


def _hardly_differ(pixel: float, imager: float) -> bool:
    low = MAGNIFICATION[0]
    rounded = math.isclose(pixel, round(pixel, 2), abs_tol=1e-9) and abs(pixel - imager) <= 0.005 + 1e-9
    return rounded or 1 / low < imager / pixel < low


def _from_imager(imager: tuple[float, float], tags: SpacingTags) -> Spacing:
    if tags.slot:
        return Spacing(imager, "PROJECTION", "5 at the detector (slot scanner)")
    if (unbelievable := unbelievable_magnification(tags)) is not None:
        return Spacing(imager, "PROJECTION", f"5 at the detector (magnification {unbelievable:.4g} is not believed)")
    magnification = magnification_of(tags)
    if magnification is None:
        return Spacing(imager, "PROJECTION", "5 at the detector")
    return Spacing((imager[0] / magnification, imager[1] / magnification), "ERMF", "4 ImagerPixelSpacing / ERMF")


def _aspect(tags: SpacingTags, spacing_mm: tuple[float, float] | None) -> float:
    """Row to column size of a pixel where the spacing is unknown, or 1. Two tags must not state different shapes.

    PS3.3 C.7.6.3.1.7: PixelAspectRatio is not present beside a spacing. Some writers add 1\\1 to every image.
    """
    stated = tags.aspect
    if stated is not None and not _within_aspect(stated):
        found = f"PixelAspectRatio with a row to column ratio of {stated:.3g}"
        raise DicomRejected("ASPECT_INVALID", found, f"a ratio of {ASPECT[0]} to {ASPECT[1]}", CORRECT_TAG)
    pairs = [("PixelSpacing", tags.pixel_mm), ("ImagerPixelSpacing", tags.imager_mm)]
    pairs += [("NominalScannedPixelSpacing", tags.nominal_mm)]
    shapes = [(name, pair[0] / pair[1]) for name, pair in pairs if pair is not None]
    if tags.projection:
        # The spacings of a radiograph are compared by rule 8, whose bounds know the slot scanner.
        shapes = shapes[:1]
    if stated is not None and (stated != 1.0 or spacing_mm is None):
        shapes.append(("PixelAspectRatio", stated))
    for name, shape in shapes[1:]:
        if abs(shape / shapes[0][1] - 1) > ASPECT_AGREEMENT:
            found = f"{shapes[0][0]} with a row to column ratio of {shapes[0][1]:.4g} and {name} with {shape:.4g}"
            raise DicomRejected("ASPECT_CONFLICT", found, "tags that agree", CORRECT_TAG)
    return stated if stated is not None and spacing_mm is None else 1.0


def _within_aspect(ratio: float) -> bool:
    return ASPECT[0] * (1 - 1e-9) <= ratio <= ASPECT[1] * (1 + 1e-9)


def _contradiction(pixel: tuple[float, float], imager: tuple[float, float], tags: SpacingTags) -> str | None:
    """Why ``pixel`` cannot be ``imager`` scaled to the patient, or None.

    Equal spacings of an image that does not claim a calibration are those of the detector. A slot scanner magnifies
    across its travel only, so one axis that agrees is enough, and the spacings of its resampled images may be equal.
    """
    unclaimed = tags.calibration_type not in ("FIDUCIAL", "GEOMETRY")
    if (_same(pixel, imager) and tags.slot) or (unclaimed and _of_the_detector(pixel, imager, tags)):
        return None
    factors = [detector / patient for detector, patient in zip(imager, pixel, strict=True)]
    expected = tags.magnification or magnification_by_distance(tags) or magnification_at_isocentre(tags)
    limit = CONTRADICTION_SLOT if tags.slot else CONTRADICTION
    if expected is None:
        low, high = MAGNIFICATION
        wrong = [not low / (1 + limit) <= factor <= high for factor in factors]
        wrong += [not tags.slot and abs(factors[0] / factors[1] - 1) > limit]
        expected_text = f"a factor of {low:g} to {high:g} in both directions"
    else:
        wrong = [abs(expected / factor - 1) > limit for factor in factors]
        expected_text = f"the header's magnification is {expected:.3g}"
    if not (all(wrong) if tags.slot else any(wrong)):
        return None
    return (
        f"PixelSpacing {pixel[0]:.4g} mm and ImagerPixelSpacing {imager[0]:.4g} mm differ by a factor of "
        f"{factors[0]:.3g}, but {'expected is ' if expected is None else ''}{expected_text}"
    )


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-4) for x, y in zip(a, b, strict=True))


def _check_pair(name: str, pair: tuple[float, float], bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not all(math.isfinite(s) and low <= s <= high for s in pair):
        found = f"{name} {pair[0]:.4g} x {pair[1]:.4g} mm"
        remedy = "correct the spacing, or remove it and measure angles only"
        raise DicomRejected("SPACING_INVALID", found, f"{low} to {high} mm", remedy)
    if not _within_aspect(pair[0] / pair[1]):
        found = f"{name} with a row to column ratio of {pair[0] / pair[1]:.3g}"
        raise DicomRejected("SPACING_INVALID", found, f"a ratio of {ASPECT[0]} to {ASPECT[1]}", CORRECT_TAG)


def _check_height(height_mm: float) -> None:
    if not HEIGHT_MM[0] <= height_mm <= HEIGHT_MM[1]:
        found = f"an image {height_mm:.0f} mm high"
        raise DicomRejected("SPACING_INVALID", found, f"{HEIGHT_MM[0]:.0f} to {HEIGHT_MM[1]:.0f} mm", CORRECT_TAG)
