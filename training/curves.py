"""The curves of a fit as charts: one SVG for each group of metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.journal import Measurements
from validation.review.chart_style import chart_style, panels

GROUPS = ("train", "validation")
_MOST = 8
"""Largest number of metrics in one chart. Additional metrics are left out."""


@chart_style()
def draw_curves(measurements: Sequence[Measurements], folder: Path) -> list[Path]:
    """Write ``<group>.svg`` for each group of ``GROUPS`` that has metrics; return the paths."""
    written = []
    for group in GROUPS:
        if series := _series(measurements, group):
            written.append(folder / f"{group}.svg")
            _draw(series, group).savefig(written[-1], metadata={"Date": None}, facecolor="white")
    return written


def _draw(series: dict[str, list[tuple[int, float]]], group: str) -> Any:
    figure, every = panels(len(series), (300.0 * len(series), 240.0), (44.0, 12.0, 34.0, 26.0), gap=0.24)
    for axes, (name, points) in zip(every, series.items(), strict=True):
        axes.plot([step for step, _ in points], [value for _, value in points], marker=".")
        axes.set_title(name.removeprefix(f"{group}/").replace("_", " "))
        axes.set_xlabel("step")
        if all(value > 0 for _, value in points) and "loss" in name + group:
            axes.set_yscale("log")
    return figure


def _series(measurements: Sequence[Measurements], group: str) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) pairs of one group."""
    series: dict[str, list[tuple[int, float]]] = {}
    for m in measurements:
        for name, value in m.values.items():
            if name.startswith(f"{group}/") and name != "train/epoch":
                series.setdefault(name, []).append((m.step, value))
    return dict(sorted(series.items())[:_MOST])
