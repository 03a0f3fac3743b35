"""Figures of a model on the real radiographs: distances, levels, angles, answered shares.

Contract: the first angle is the number that the product reports. An angle that it does not report is unanswered.
Distances are in heights of the labelled vertebra. They are computed as labelled, and after the level shift that fits
best.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_radiographs.angles import benchmark_angles, smape_percent
from spine.intake.aasce import LABEL_NAMES
from spine.measurement.measure import measure
from spine.measurement.planes import PlanePoints, planes_from_view
from spine.measurement.tilts import plate_centres, plate_tilts, vertebra_tilts
from spine.prediction import Prediction
from spine.types import Floats

SHIFTS = (0, -1, 1, -2, 2)
"""Level shifts; of equally good shifts, the first is chosen."""


@dataclass(frozen=True)
class RadiographFigures:
    """Figures of one radiograph; angles in degrees.

    Attributes:
        corner, centre: (n,) distances of corners and of vertebra centres from their labels, in vertebral heights.
        shift: level shift that fits best.
        corner_shifted, centre_shifted: the same distances after that shift.
        published, found: (3,) angles of the benchmark; ``found`` is NaN if the model does not report them.
        plates_true, plates_found: Cobb angle between end plates, of the labels and of the model (NaN: not reported).
        interval: of the mid-line angle, if the model reports one.
        refused: reason for a refusal, or None.
        uncertain: whether the model warns that its levels may be wrong by one.
    """

    corner: Floats
    centre: Floats
    shift: int
    corner_shifted: Floats
    centre_shifted: Floats
    published: Floats
    found: Floats
    plates_true: float
    plates_found: float
    interval: tuple[float, float] | None
    refused: str | None
    uncertain: bool


def radiograph_figures(
    prediction: Prediction,
    plane: PlanePoints,
    corners: Floats,
    visible: NDArray[np.bool_],
    published: Floats,
    height: float,
) -> RadiographFigures:
    """The figures of one radiograph, from its prediction and its labels.

    Args:
        prediction: with landmarks in pixels of the radiograph.
        plane: the landmarks as ``inference.measure`` measures them, in pixels (``planes_of``).
        corners, visible: (17, 4, 2) and (17, 4) labels in the same pixels.
        published: (3,) angles, degrees.
        height: of the radiograph, pixels.
    """
    points = prediction.points["frontal"]
    found = np.array([points.get(name, (np.nan, np.nan)) for name in LABEL_NAMES]).reshape(17, 4, 2)
    labels = np.where(visible[..., None], corners, np.nan)
    by_shift = {shift: _distances(found, labels, shift) for shift in SHIFTS}
    known = {s: float(np.nanmean(d[1])) for s, d in by_shift.items() if np.isfinite(d[1]).sum() >= 4}
    best = min(known, key=lambda s: known[s]) if known else 0
    plate_truth = measure(planes_from_view("frontal", _named(labels), None, "NONE"))["cobb"].value
    measured = prediction.parameters["cobb_midline"]
    plates = prediction.parameters["cobb"].value
    return RadiographFigures(
        *by_shift[0],
        best,
        *by_shift[best],
        published=published,
        found=_found_angles(prediction, plane, height),
        plates_true=float("nan") if plate_truth is None else plate_truth,
        plates_found=float("nan") if plates is None else plates,
        interval=measured.interval,
        refused=prediction.refused.get("frontal"),
        uncertain=prediction.levels_uncertain,
    )


def _named(labels: Floats) -> dict[str, Floats]:
    return {n: p for n, p in zip(LABEL_NAMES, labels.reshape(-1, 2), strict=True) if np.isfinite(p).all()}


def _distances(found: Floats, labels: Floats, shift: int) -> tuple[Floats, Floats]:
    """Distances in vertebral heights of corners and centres, if found vertebra i is labelled vertebra i + shift."""
    here = np.arange(max(0, -shift), min(17, 17 - shift))
    ours, theirs = found[here], labels[here + shift]
    height = np.linalg.norm(theirs[:, 2:].mean(axis=1) - theirs[:, :2].mean(axis=1), axis=-1)
    corner = np.linalg.norm(ours - theirs, axis=-1) / height[:, None]
    centre = np.linalg.norm(ours.mean(axis=1) - theirs.mean(axis=1), axis=-1) / height
    return corner[np.isfinite(corner)], centre[np.isfinite(centre)]


def _found_angles(prediction: Prediction, plane: PlanePoints, height: float) -> Floats:
    """(3,) angles of the found landmarks: the reported mid-line angle, and two others of the same tilts.

    All are NaN if the model does not report the mid-line angle.
    """
    major = prediction.parameters["cobb_midline"].value
    if major is None:
        return np.full(3, np.nan)
    tilts = vertebra_tilts(plane, plate_tilts(plane))
    centres = plate_centres(plane)
    middles = np.stack([centres[f"{v}_{side}"] for v in tilts for side in ("sup", "inf")]) * [1, -1]
    _, second, third = benchmark_angles(np.array(list(tilts.values())), middles + 0.5, height)
    return np.array([major, second, third])


def summary(radiographs: Sequence[RadiographFigures]) -> dict[str, float | str]:
    """Name -> figure of all these radiographs."""
    found, published = np.stack([f.found for f in radiographs]), np.stack([f.published for f in radiographs])
    answered = np.isfinite(found).all(axis=1)
    error = np.abs(found - published)[answered, 0]
    plates = np.array([f.plates_found - f.plates_true for f in radiographs])
    plates = np.abs(plates[np.isfinite(plates)])
    intervals = [(f.interval, p[0]) for f, p in zip(radiographs, published, strict=True) if f.interval]
    shifts = Counter(f.shift for f in radiographs)
    return {
        "radiographs": len(radiographs),
        "refused": sum(f.refused is not None for f in radiographs),
        "answered": float(answered.mean()),
        "corner, median, as labelled": _median(radiographs, "corner"),
        "corner, median, best shift": _median(radiographs, "corner_shifted"),
        "centre, median, as labelled": _median(radiographs, "centre"),
        "centre, median, best shift": _median(radiographs, "centre_shifted"),
        "radiographs whose best shift is not 0": float(np.mean([f.shift != 0 for f in radiographs])),
        "uncertain levels": _uncertain(radiographs),
        "uncertain levels, best shift not 0": _uncertain([f for f in radiographs if f.shift]),
        "uncertain levels, best shift 0": _uncertain([f for f in radiographs if not f.shift]),
        "shifts": ", ".join(f"{shift:+d}: {shifts[shift]}" for shift in sorted(shifts)),
        "mid-line Cobb, mean": float(error.mean()),
        "mid-line Cobb, median": float(np.median(error)),
        "mid-line Cobb, within 5": float((error <= 5).mean()),
        "mid-line Cobb, largest": float(error.max()),
        "end-plate Cobb, mean": float(plates.mean()),
        "end-plate Cobb, median": float(np.median(plates)),
        "end-plate Cobb, within 5": float((plates <= 5).mean()),
        "SMAPE of three angles, %": smape_percent(found[answered], published[answered]),
        "SMAPE of the major angle, %": float(
            100 * (error / np.maximum(found[answered, 0] + published[answered, 0], 1e-9)).mean()
        ),
        "90 % intervals that contain the angle": float(np.mean([low <= t <= high for (low, high), t in intervals]))
        if intervals
        else float("nan"),
        "90 % intervals, mean width": float(np.mean([high - low for (low, high), _ in intervals]))
        if intervals
        else float("nan"),
    }


def _uncertain(radiographs: Sequence[RadiographFigures]) -> float:
    """The share of radiographs whose levels the model reports as uncertain; NaN without a radiograph."""
    return float(np.mean([f.uncertain for f in radiographs])) if radiographs else float("nan")


def _median(radiographs: Sequence[RadiographFigures], name: str) -> float:
    return float(np.median(np.concatenate([getattr(f, name) for f in radiographs])))
