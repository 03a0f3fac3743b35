"""The part of a patient that is imaged: whole body, full length, truncated scan, or plain radiograph.

Contract: the detectors of a scan move together, so both views have the same ``z0_mm`` and number of rows. A truncated
scan has fewer rows than a full-length scan. A scan ``without_hips`` does not show the hip centres. A scan
``without_t1`` does not show any landmark of T1.
"""

from dataclasses import dataclass

import numpy as np

from simulation.body.patient import VirtualPatient
from simulation.imaging.rays import PointSource
from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

WHOLE_BODY_SCALE = 1.75
"""Pixel size of a whole-body image relative to a full-length image."""

ROW_STEP = 8
"""The number of rows of a truncated scan is a multiple of this number."""

MIN_RADIOGRAPH_HEIGHT_MM = 330.0
"""Smallest height of a plain radiograph. Divided by the number of rows, it is a lower bound of the pixel size."""

_FROM_BEHIND = 0.75
"""Share of postero-anterior radiographs; a choice. Most radiographs of scoliosis are taken from behind, because this
direction gives the breasts a lower dose."""

_FIELD_STREAM = 2
_CORNER_PARTS = tuple((plate, side) for plate in ("sup", "inf") for side in ("left", "right"))


def scan_geometry(patient: VirtualPatient, shape: tuple[int, int], spacing_mm: float) -> dict[ViewName, ViewGeometry]:
    """The geometry of both views of one scan.

    Args:
        patient: patient to scan; ``parameters.field_of_view`` decides which part is imaged.
        shape: (H, W) of a full-length image in pixels.
        spacing_mm: pixel spacing at the isocentre plane; a whole-body image has larger pixels.
    """
    if patient.parameters.field_of_view == "whole_body":
        spacing_mm = spacing_mm * WHOLE_BODY_SCALE
    rows, z0 = _rows_and_middle(patient, shape[0], spacing_mm)
    return {
        view: ViewGeometry(
            view=view,
            shape=(rows, shape[1]),
            spacing_mm=(spacing_mm, spacing_mm),
            source_to_isocentre_mm=SOURCE_TO_ISOCENTRE_MM[view],
            u0_mm=0.0,
            z0_mm=z0,
        )
        for view in VIEWS
    }


def _rows_and_middle(patient: VirtualPatient, full_rows: int, spacing_mm: float) -> tuple[int, float]:
    """The number of rows, and the height of the middle of the image in mm."""
    kind = patient.parameters.field_of_view
    if kind == "full":
        return full_rows, 0.0
    if kind == "whole_body":  # the image starts at the top of the head; the legs are cut off
        top = float(patient.spine.centre[0, 0, 2]) + 225.0 * patient.parameters.size_factor
        return full_rows, top - full_rows * spacing_mm / 2
    rng = np.random.default_rng([patient.seed, _FIELD_STREAM])
    half = full_rows * spacing_mm / 2
    top = half if kind == "without_hips" else _below_t1(patient, kind == "thoracolumbar", rng)
    bottom = -half if kind == "without_t1" else _above_hips(patient, rng)
    rows = min(full_rows, max(ROW_STEP, int((top - bottom) / spacing_mm) // ROW_STEP * ROW_STEP))
    # The number of rows is rounded down. This moves the edge that is not truncated.
    if kind == "without_t1":
        return rows, top - rows * spacing_mm / 2
    return rows, bottom + rows * spacing_mm / 2


def _below_t1(patient: VirtualPatient, short: bool, rng: np.random.Generator) -> float:
    """A height in mm below all landmarks of T1: the middle of one of T3 to T6, or of one of T4 to T9 if ``short``."""
    low, high = ("T4", "T9") if short else ("T3", "T6")
    first, last = VERTEBRAE.index(low), VERTEBRAE.index(high)
    level = VERTEBRAE[int(rng.integers(first, last + 1))]
    lowest_t1 = min(float(p[2]) for name, p in patient.reconstruction.points.items() if name.startswith("T1_"))
    return min(float(patient.reconstruction.points[f"{level}_body"][2]), lowest_t1 - 3.0)


def _above_hips(patient: VirtualPatient, rng: np.random.Generator) -> float:
    """A height in mm above both hip centres and, if possible, below the S1 plate."""
    hips = float(patient.spine.hips[:, 2].max()) + 0.6 * patient.spine.hip_radius
    wanted = float(patient.spine.s1_centre[2] - rng.uniform(12, 45))
    return max(wanted, hips)


@dataclass(frozen=True)
class RadiographField:
    """The field of a plain frontal radiograph in an image with black borders.

    Attributes:
        geometry: geometry of the whole image.
        bounds: top, bottom, left and right edge of the radiograph in pixels.
        point_source: position of the stationary X-ray tube.
    """

    geometry: ViewGeometry
    bounds: tuple[float, float, float, float]
    point_source: PointSource


def radiograph_field(patient: VirtualPatient, shape: tuple[int, int], rng: np.random.Generator) -> RadiographField:
    """Sample the field of a radiograph from the neck to the sacrum, and fit it into an image of shape (H, W).

    The field is a strip around the spine, slightly wider than in the public frontal radiographs (docs/sources.md,
    images and postures). T1 is near the upper edge, and most of the pelvis is cut off. The width is 0.24 to 0.60 of the
    height.
    """
    points = patient.reconstruction.points
    corners = np.stack([points[f"{level}_{plate}_{side}"] for level in VERTEBRAE for plate, side in _CORNER_PARTS])
    highest, lowest = float(corners[:, 2].max()), float(corners[:, 2].min())
    above = float(np.clip(0.030 * np.exp(0.55 * rng.standard_normal()), 0.005, 0.16))
    below = float(np.clip(0.066 * np.exp(0.65 * rng.standard_normal()), 0.005, 0.30))
    high = (highest - lowest) / (1 - above - below)
    top, bottom = highest + above * high, lowest - below * high
    spread = float(np.ptp(corners[:, 0]))
    wide = max(float(np.clip(rng.normal(0.38, 0.065), 0.24, 0.60)) * high, spread * 1.12)
    aside = float(rng.normal(0.0, 0.055)) * wide
    margin = max(0.0, (wide - spread) / 2)
    middle = float((corners[:, 0].max() + corners[:, 0].min()) / 2) + float(np.clip(aside, -margin, margin))
    spacing = max(high / shape[0], wide / shape[1], MIN_RADIOGRAPH_HEIGHT_MM / shape[0])
    distance = float(rng.uniform(1000, 1900))
    geometry = ViewGeometry("frontal", shape, (spacing, spacing), distance, middle, (top + bottom) / 2)
    half_rows, half_columns = high / spacing / 2, wide / spacing / 2
    bounds = (
        shape[0] / 2 - half_rows,
        shape[0] / 2 + half_rows,
        shape[1] / 2 - half_columns,
        shape[1] / 2 + half_columns,
    )
    from_behind = bool(rng.random() < _FROM_BEHIND)
    point_source = PointSource(float((top + bottom) / 2 + rng.normal(0, 0.15) * high), from_behind)
    return RadiographField(geometry, bounds, point_source)
