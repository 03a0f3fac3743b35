"""The rows of one study in the tables ``studies``, ``landmarks`` and ``levels``, which ``tables`` describes.

Contract: a row follows from one example; it compares the study with no other study.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.dataset import Example, ExampleView
from spine.landmarks import HIPS, S1_MARGINS, S1_PLATE, VERTEBRAE, ViewName, mirrored_name
from spine.measurement.registry import PARAMETERS
from spine.projection import derive_points
from spine.reconstruction.names import EXTRA_LEVELS
from spine.types import Floats
from validation.dataset.spine_shape import centre_measures, corner_measures, typical_gap, vertebrae_of, wrap_deg

MIN_CONTIGUOUS_LEVELS = 6
"""A vertebra is compared with its neighbours if at least this many levels are seen without a gap."""

Row = dict[str, Any]
"""One row of a table, before the rows become a DataFrame."""


def study_row(example: Example, damaged: int = 0) -> Row:
    """The row of one study: its images, reference parameters and sizes."""
    points = derive_points(example.points_3d)
    frontal = example.views.get("frontal")
    vertebrae = vertebrae_of(frontal.points) if frontal else None
    truth = {name: t.value for name, t in example.truth.items()}
    cobb = example.truth.get("cobb")
    return {
        "study_id": example.study_id,
        "split": example.split,
        "has_frontal": frontal is not None,
        "has_lateral": "lateral" in example.views,
        "label_weight": example.label_weight,
        "landmarks_seen": sum(len(view.points) for view in example.views.values()),
        "damaged_images": damaged,
        "typical_gap": _finite(typical_gap(vertebrae)) if vertebrae else None,
        "levels_without_gap": _longest_run(vertebrae.seen) if vertebrae else None,
        "levels_seen": int(vertebrae.seen.sum()) if vertebrae else None,
        "spine_length_mm": _distance(points, "T1_sup", S1_PLATE),
        "hip_distance_mm": _distance(points, *HIPS),
        "s1_depth_mm": _distance(points, *S1_MARGINS),
        "s1_to_hips_mm": _s1_to_hips(points),
        "is_projected": any(v.geometry is not None and v.points.keys() & points.keys() for v in example.views.values()),
        "projection_error_px": _projection_error(example),
        "pelvic_sum_known": all(truth.get(n) is not None for n in ("pelvic_tilt", "sacral_slope")),
        "pelvic_sum_residual_deg": _pelvic_residual(truth),
        **{name: truth.get(name) for name in PARAMETERS},
        "cobb_from_centres": cobb.value if cobb is not None and cobb.definition == "centres" else None,
    }


def landmark_rows(example: Example, view: ExampleView) -> list[Row]:
    """One row for each landmark of a view."""
    height, width = view.shape
    rows: list[Row] = []
    for landmark, (column, row) in view.points.items():
        other = view.points.get(_outward_partner(landmark, view.view) or "")
        rows.append(
            {
                "study_id": example.study_id,
                "view": view.view,
                "landmark": landmark,
                "column_px": float(column),
                "row_px": float(row),
                "inside_px": float(min(column + 0.5, width - 0.5 - column, row + 0.5, height - 0.5 - row)),
                "has_partner": other is not None,
                "beyond_partner_px": float(column - other[0]) if other is not None else None,
            }
        )
    return rows


def level_rows(example: Example, view: ExampleView) -> list[Row]:
    """One row for each visible vertebra of a view."""
    vertebrae = vertebrae_of(view.points)
    seen = vertebrae.seen
    cornered = seen & np.isfinite(vertebrae.widths) & (view.view == "frontal")
    above, below = np.append(False, seen[:-1]), np.append(seen[1:], False)
    contiguous = seen & (_longest_run(seen) >= MIN_CONTIGUOUS_LEVELS) & (_longest_run(seen) == seen.sum())
    columns: dict[str, Floats] = centre_measures(vertebrae)
    if cornered.any():
        columns |= corner_measures(vertebrae)
    columns |= _millimetres(derive_points(example.points_3d))
    inner = np.isin(np.arange(len(VERTEBRAE)), np.arange(1, len(VERTEBRAE) - 1))
    flags = {
        "has_plates": seen,
        "has_step": seen & above,
        "has_level_above": seen & (np.cumsum(seen) > 1),
        "has_corners": cornered,
        "has_corner_step": cornered & np.append(False, cornered[:-1]),
        "is_inner": contiguous & inner,
        "is_end": contiguous & ~inner,
        "is_contiguous_step": contiguous & above,
        "is_between": contiguous & above & below & inner,
        "is_contiguous_corner": contiguous & cornered,
        "has_mm": seen & np.isfinite(columns["height_mm"]),
        "has_step_mm": seen & np.isfinite(columns["step_mm"]),
    }
    return [
        {
            "study_id": example.study_id,
            "view": view.view,
            "level": level,
            **{flag: bool(values[i]) for flag, values in flags.items()},
            **{column: _finite(values[i]) for column, values in columns.items()},
        }
        for i, level in enumerate(VERTEBRAE)
        if seen[i]
    ]


def _outward_partner(landmark: str, view: ViewName) -> str | None:
    """The point that must have a smaller column than ``landmark`` in a canonical image, or None."""
    if view == "frontal" and (landmark.endswith("_left") or landmark == "HIP_L"):
        return mirrored_name(landmark)
    if view == "lateral" and landmark.endswith("_post"):
        return landmark.removesuffix("_post") + "_ant"
    return None


def _longest_run(seen: NDArray[np.bool_]) -> int:
    """Number of levels in the longest run without a gap."""
    return max(sum(map(bool, run)) for _, run in groupby(seen))


def _millimetres(points: dict[str, Floats]) -> dict[str, Floats]:
    """Heights of the vertebrae and distances to the vertebra above, (17,) mm; NaN where a 3D point is not known.

    In patients with T13, the vertebra above L1 is T13.
    """
    upper, lower = (_plates(points, VERTEBRAE, side) for side in ("sup", "inf"))
    middle = (upper + lower) / 2
    above = np.concatenate([np.full((1, 3), np.nan), middle[:-1]])
    for level, extra in EXTRA_LEVELS.items():
        below = VERTEBRAE.index(level) + 1
        if below < len(VERTEBRAE) and {f"{extra}_sup", f"{extra}_inf"} <= points.keys():
            above[below] = (_plates(points, (extra,), "sup") + _plates(points, (extra,), "inf"))[0] / 2
    return {
        "height_mm": np.linalg.norm(upper - lower, axis=1),
        "plate_above_plate_mm": (upper - lower)[:, 2],
        "step_mm": np.linalg.norm(above - middle, axis=1),
        "below_previous_mm": (above - middle)[:, 2],
    }


def _plates(points: dict[str, Floats], levels: Sequence[str], side: str) -> Floats:
    """(L, 3) centres of the upper or lower plates; NaN where a plate is not known."""
    absent = np.full(3, np.nan)
    return np.stack([points.get(f"{level}_{side}", absent) for level in levels])


def _distance(points: dict[str, Floats], first: str, second: str) -> float | None:
    if first not in points or second not in points:
        return None
    return float(np.linalg.norm(points[first] - points[second]))


def _s1_to_hips(points: dict[str, Floats]) -> float | None:
    if S1_PLATE not in points or any(hip not in points for hip in HIPS):
        return None
    return float(np.linalg.norm((points[HIPS[0]] + points[HIPS[1]]) / 2 - points[S1_PLATE]))


def _projection_error(example: Example) -> float | None:
    """Largest distance between a landmark and the projection of its 3D point, pixels."""
    points = derive_points(example.points_3d)
    errors = [
        float(np.linalg.norm(view.geometry.project(points[name]) - point))
        for view in example.views.values()
        if view.geometry is not None
        for name, point in view.points.items()
        if name in points
    ]
    return max(errors, default=None)


def _pelvic_residual(truth: dict[str, float | None]) -> float | None:
    """PI - (PT + SS), wrapped to [-180, 180) degrees; each angle is measured from the points independently."""
    incidence, tilt, slope = (truth.get(n) for n in ("pelvic_incidence", "pelvic_tilt", "sacral_slope"))
    if incidence is None or tilt is None or slope is None:
        return None
    return float(wrap_deg(np.array(incidence - (tilt + slope))))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
