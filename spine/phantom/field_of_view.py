"""What part of a patient is scanned: full length, or cut off above, below or both.

What belongs here: picture geometry of one scan. What does not: who gets which field (``population``). Contract:
both views of a scan share their rows' heights (the chains travel together), so they share ``z0_mm`` and the number
of rows; a truncated scan has fewer rows than asked for. Without hips means that no hip centre is on the picture,
without T1 that no T1 landmark is.
"""

import numpy as np

from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.phantom.patient import VirtualPatient
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

ROW_STEP = 8
"""Rows of a truncated scan are a multiple of this."""

_FIELD_STREAM = 2


def scan_geometry(patient: VirtualPatient, shape: tuple[int, int], spacing_mm: float) -> dict[ViewName, ViewGeometry]:
    """Geometry of both views of one scan.

    Args:
        patient: whom; ``parameters.field_of_view`` says how much is scanned.
        shape: (H, W) of a full-length picture in pixels.
        spacing_mm: pixel spacing at the isocentre plane.
    """
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
    """Number of rows and height of the picture's middle, mm."""
    kind = patient.parameters.field_of_view
    if kind == "full":
        return full_rows, 0.0
    rng = np.random.default_rng([patient.seed, _FIELD_STREAM])
    half = full_rows * spacing_mm / 2
    top = half if kind == "without_hips" else _below_t1(patient, kind == "thoracolumbar", rng)
    bottom = -half if kind == "without_t1" else _above_hips(patient, rng)
    rows = min(full_rows, max(ROW_STEP, int((top - bottom) / spacing_mm) // ROW_STEP * ROW_STEP))
    # Rounding down moves the edge that cuts nothing off, so that what is cut stays cut.
    if kind == "without_t1":
        return rows, top - rows * spacing_mm / 2
    return rows, bottom + rows * spacing_mm / 2


def _below_t1(patient: VirtualPatient, short: bool, rng: np.random.Generator) -> float:
    """A height below every T1 landmark: the middle of a vertebra from T3 to T6 (short: T4 to T9)."""
    low, high = ("T4", "T9") if short else ("T3", "T6")
    first, last = VERTEBRAE.index(low), VERTEBRAE.index(high)
    level = VERTEBRAE[int(rng.integers(first, last + 1))]
    lowest_t1 = min(float(p[2]) for name, p in patient.reconstruction.points.items() if name.startswith("T1_"))
    return min(float(patient.reconstruction.points[f"{level}_body"][2]), lowest_t1 - 3.0)


def _above_hips(patient: VirtualPatient, rng: np.random.Generator) -> float:
    """A height above both femoral head centres and, where there is room, below the S1 plate."""
    hips = float(patient.spine.hips[:, 2].max()) + 0.6 * patient.spine.hip_radius
    wanted = float(patient.spine.s1_centre[2] - rng.uniform(12, 45))
    return max(wanted, hips)
