"""Predictions of a model for the packed radiographs, and overlays of the worst radiographs.

Contract: ``inference.measure`` gets each radiograph separately, without the black margins of the pack.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.real_radiographs.figures import RadiographFigures, radiograph_figures
from benchmarks.real_radiographs.folds import radiograph_of
from benchmarks.sim_to_real.pack import Pack
from inference.calibration import Calibration
from inference.inputs import ImageInput
from inference.measure import PerView, measure_views, planes_of, uncertainty_px
from inference.model import Model
from inference.overlay import draw_overlay
from spine.intake.aasce import LABEL_NAMES
from spine.landmarks import ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.planes import PlanePoints
from spine.prediction import Prediction
from spine.study import Points2D


def predict(
    model: Model, radiographs: Pack, rows: Sequence[int]
) -> tuple[dict[int, RadiographFigures], dict[int, Prediction]]:
    """Row -> figures, and row -> prediction (landmarks in pixels of the radiograph), of the radiographs in ``rows``."""
    figures: dict[int, RadiographFigures] = {}
    predictions: dict[int, Prediction] = {}
    for i in rows:
        radiograph, first = radiograph_of(radiographs.images[i])
        given: Mapping[ViewName, ImageInput] = {"frontal": ImageInput(radiograph)}
        prediction = predictions[i] = measure_views(model, given, str(i))
        figures[i] = radiograph_figures(
            prediction,
            frontal_plane(prediction, given, model.contract.calibration),
            radiographs.corners[i].astype(np.float64) - first,
            radiographs.visible[i],
            radiographs.facts["angle_deg"][i].astype(np.float64),
            float(radiograph.shape[0]),
        )
    return figures, predictions


def frontal_plane(
    prediction: Prediction, given: Mapping[ViewName, ImageInput], calibration: Calibration | None
) -> PlanePoints:
    """The points of a frontal radiograph in the coronal plane, as ``inference.measure`` measures them."""
    cell = prediction.cell_px["frontal"]
    spread: PerView = {"frontal": {name: s / cell for name, s in prediction.spread_px["frontal"].items()}}
    sigma_px, _ = uncertainty_px(calibration, spread, prediction.cell_px)
    width = calibration.neighbour_width if calibration else NEIGHBOUR_WIDTH
    return planes_of(prediction.points, None, given, sigma_px, width)["coronal"]


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
            {"frontal": ImageInput(radiograph)},
            {"frontal": points},
            predictions[i].parameters,
            truth_points={"frontal": labels},
            title=f"row {i}: found {figures[i].found[0]:.1f}, published {figures[i].published[0]:.1f} deg",
        ).save(folder / f"worst-{place:02d}-row-{i}.png")
    return worst
