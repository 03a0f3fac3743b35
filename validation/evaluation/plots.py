"""Plots of an evaluation record: regression, Bland-Altman, landmark error by level; PNG, drawn without a screen.

Contract: a plot names parameter, unit, n and whether the patients are virtual, and a parameter that cannot be plotted
yields no image instead of an empty one.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from spine.storage import write_bytes_atomically
from validation.evaluation.agreement import Agreement
from validation.evaluation.landmark_errors import LandmarkSummary
from validation.evaluation.record import EvaluationRecord

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e3e7eb"
POINT, LINE, BAND = "#2a6f97", "#b5412b", "#f3ddd6"
DPI = 110
LANDMARK_PLOT = "Landmark error by level"


def write_plots(
    record: EvaluationRecord, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Mapping[str, Path]:
    """Write every plot that can be drawn into ``folder``: title -> PNG, the paper's parameters first."""
    names = [*PAPER_PARAMETERS, *(name for name in PARAMETERS if name not in PAPER_PARAMETERS)]
    plots: dict[str, Path] = {}
    for done, name in enumerate(names, start=1):
        if (image := draw_agreement(record, name)) is not None:
            plots[PARAMETERS[name].label] = _write(image, folder / f"agreement_{name}.png")
        if progress:
            progress(done, len(names) + 1)
    if (image := draw_landmark_errors(record)) is not None:
        plots[LANDMARK_PLOT] = _write(image, folder / "landmark_errors.png")
    return plots


def draw_agreement(record: EvaluationRecord, parameter: str) -> bytes | None:
    """PNG with regression (left) and Bland-Altman plot (right) of one parameter; None below two answered studies."""
    outcomes = [study.parameter(parameter) for study in record.studies]
    pairs = [(o.truth, o.predicted) for o in outcomes if o.truth is not None and o.predicted is not None]
    if len(pairs) < 2:
        return None
    truth, predicted = np.array(pairs).T
    agreement = record.statistics[parameter]
    figure, (left, right) = _panels(2, (8.2, 3.9), {"left": 0.075, "right": 0.875, "bottom": 0.135, "top": 0.865})
    _regression(left, truth, predicted, agreement)
    _bland_altman(right, truth, predicted, agreement)
    unanswered = agreement.n_truth - agreement.n
    missing = f", {unanswered} not answered" if unanswered else ""
    title = f"{PARAMETERS[parameter].label}   (n = {agreement.n} {record.patients_are}{missing})"
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK)
    return _png(figure)


def draw_landmark_errors(record: EvaluationRecord) -> bytes | None:
    """PNG with median and 95th percentile of the landmark error for each level and view; None without any."""
    spaces = [s for s in ("frontal", "lateral", "3d") if _levels(record, s)]
    if not spaces:
        return None
    size = (2.4 + 3.1 * len(spaces), 5.2)
    margins = {"left": 1.1 / size[0], "right": 1 - 0.25 / size[0], "bottom": 0.1, "top": 0.87}
    figure, axes = _panels(len(spaces), size, margins, gap=0.42)
    for axis, space in zip(axes, spaces, strict=True):
        rows = _levels(record, space)
        in_mm = all(row.median_mm is not None for row in rows)
        medians = [row.median_mm if in_mm else row.median_px for row in rows]
        places = np.arange(len(rows))
        if in_mm:
            axis.hlines(places, 0, [row.p95_mm for row in rows], color=GRID, linewidth=5, zorder=1)
            axis.plot([row.p95_mm for row in rows], places, "|", color=MUTED, markersize=9, label="95th percentile")
        axis.plot(medians, places, "o", color=POINT, markersize=5, label="median", zorder=3)
        axis.set_yticks(places, [f"{row.group}  ({row.n_found}/{row.n_visible})" for row in rows], fontsize=7.5)
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        _label(axis, f"error, {'mm' if in_mm else 'px'}", "level (found/visible)" if space == spaces[0] else "")
        axis.set_title("in space" if space == "3d" else space, fontsize=10, color=INK, loc="left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="upper right", ncols=2)
    title = f"{LANDMARK_PLOT}   ({len(record.studies)} studies, {record.patients_are})"
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK)
    return _png(figure)


def _regression(axis: Any, truth: Any, predicted: Any, agreement: Agreement) -> None:
    low, high = _limits(np.concatenate([truth, predicted]))
    axis.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="agreement")
    axis.plot(truth, predicted, "o", color=POINT, alpha=0.65, markersize=4.5, markeredgewidth=0)
    slope, intercept = _value(agreement, "slope"), _value(agreement, "intercept")
    see, r = _value(agreement, "standard_error_of_estimate"), _value(agreement, "pearson_r")
    if slope is not None and intercept is not None:
        ends = np.array([truth.min(), truth.max()])
        axis.plot(ends, intercept + slope * ends, color=LINE, linewidth=1.8, label="regression")
        told = f"y = {intercept:.1f} + {slope:.2f} x\nSEE {see:.2f} {agreement.unit}\nr {r:.3f}"
        axis.text(0.04, 0.96, told, transform=axis.transAxes, va="top", fontsize=8.5, color=INK)
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    axis.set_box_aspect(1)
    axis.legend(fontsize=7.5, frameon=False, loc="lower right")
    _label(axis, f"truth, {agreement.unit}", f"predicted, {agreement.unit}")


def _bland_altman(axis: Any, truth: Any, predicted: Any, agreement: Agreement) -> None:
    difference, mean = predicted - truth, (predicted + truth) / 2
    bias, low, high = (_value(agreement, name) for name in ("bias", "loa_low", "loa_high"))
    axis.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    if bias is not None and low is not None and high is not None:
        axis.axhspan(low, high, color=BAND, alpha=0.45, linewidth=0)
        for level, name in ((high, "+1.96 SD"), (bias, "bias"), (low, "-1.96 SD")):
            axis.axhline(level, color=LINE, linewidth=1.6 if name == "bias" else 1.0)
            axis.annotate(
                f"{name}  {round(level, 1) + 0.0:+.1f}",
                (1.0, level),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=LINE,
                annotation_clip=False,
            )
    axis.plot(mean, difference, "o", color=POINT, alpha=0.65, markersize=4.5, markeredgewidth=0)
    reach = max(abs(difference).max(), abs(low or 0), abs(high or 0), 1e-6) * 1.15
    axis.set_ylim(-reach, reach)
    _label(axis, f"mean of truth and predicted, {agreement.unit}", f"predicted - truth, {agreement.unit}")


def _levels(record: EvaluationRecord, space: str) -> list[LandmarkSummary]:
    rows = [s for s in record.landmarks if s.space == space and s.group != "all" and "_" not in s.group]
    return [row for row in rows if row.n_found and (row.median_mm is not None or row.median_px is not None)]


def _panels(count: int, size: tuple[float, float], margins: Mapping[str, float], gap: float = 0.24) -> tuple[Any, Any]:
    """A figure and its axes; margins are set by hand, because a layout engine draws everything twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI)
    figure.subplots_adjust(**margins, wspace=gap)
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, count))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(MUTED)
        axis.grid(color=GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8, colors=MUTED)
    return figure, axes


def _label(axis: Any, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=9, color=INK)
    axis.set_ylabel(y, fontsize=9, color=INK)


def _limits(values: Any) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * max(high - low, 1.0)
    return low - pad, high + pad


def _value(agreement: Agreement, figure: str) -> float | None:
    return agreement.figures[figure].value


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _write(image: bytes, path: Path) -> Path:
    write_bytes_atomically(path, image)
    return path
