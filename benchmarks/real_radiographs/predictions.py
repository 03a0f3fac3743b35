"""Predictions of a model for the packed radiographs, and overlays of the worst radiographs.

Contract: ``inference.measure`` gets each radiograph separately, without the black margins of the pack.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.real_radiographs.figures import RadiographFigures, radiograph_figures
from benchmarks.real_radiographs.folds import radiograph_of
from benchmarks.sim_to_real.pack import Pack
from inference.calibration import Calibration
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model
from inference.overlay import draw_overlay
from spine.intake.aasce import LABEL_NAMES
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.prediction import Prediction
from spine.study import Points2D


def predict(
    model: Model, radiographs: Pack, rows: Sequence[int]
) -> tuple[dict[int, RadiographFigures], dict[int, Prediction]]:
    """Row -> figures, and row -> prediction (landmarks in pixels of the radiograph), of the radiographs in ``rows``."""
    figures, predictions, calibration = {}, {}, model.contract.calibration
    for i in rows:
        radiograph, first = radiograph_of(radiographs.images[i])
        prediction = measure_views(model, {"frontal": ImageInput(radiograph)}, str(i))
        predictions[i] = prediction
        figures[i] = radiograph_figures(
            prediction,
            _sigma_px(prediction, calibration),
            radiographs.corners[i].astype(np.float64) - first,
            radiographs.visible[i],
            radiographs.facts["angle_deg"][i].astype(np.float64),
            float(radiograph.shape[0]),
            calibration.neighbour_width if calibration else NEIGHBOUR_WIDTH,
        )
    return figures, predictions


def _sigma_px(prediction: Prediction, calibration: Calibration | None) -> dict[str, float]:
    if calibration is None:
        return {}
    cell = prediction.cell_px["frontal"]
    spread = {name: s / cell for name, s in prediction.spread_px["frontal"].items()}
    return {name: s * cell for name, s in calibration.sigma_cells("frontal", spread).items()}


def draw_worst(
    radiographs: Pack,
    figures: dict[int, RadiographFigures],
    predictions: dict[int, Prediction],
    folder: Path,
    count: int = 10,
) -> list[int]:
    """Draw the radiographs with the largest errors of the major angle; return their rows."""

    def miss(i: int) -> float:
        error = abs(figures[i].found[0] - figures[i].published[0])
        return float(error) if np.isfinite(error) else 1e3

    worst = sorted(figures, key=miss, reverse=True)[:count]
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("worst-*.png"):
        stale.unlink()
    for place, i in enumerate(worst, start=1):
        radiograph, first = radiograph_of(radiographs.images[i])
        corners = (radiographs.corners[i].astype(np.float64) - first).reshape(-1, 2)
        labels: Points2D = dict(zip(LABEL_NAMES, corners, strict=True))
        points = {n: p for n, p in predictions[i].points["frontal"].items() if n in labels}
        draw_overlay(
            {"frontal": radiograph},
            {"frontal": points},
            predictions[i].parameters,
            truth_points={"frontal": labels},
            title=f"row {i}: found {figures[i].found[0]:.1f}, published {figures[i].published[0]:.1f} deg",
        ).save(folder / f"worst-{place:02d}-row-{i}.png")
    return worst
