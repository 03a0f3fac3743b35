"""What a registered model says of itself: its card, and the curves of its training.

Contract: figures come from the records, none is typed by hand.
"""

from collections.abc import Sequence
from pathlib import Path

from inference.contract import ModelContract
from training.export.candidate import FitSummary
from training.journal import Measurements


def model_card(summary: FitSummary, contract: ModelContract) -> str:
    """The card as Markdown."""
    simulated = {
        True: "simulated images only",
        False: "real images only",
        None: "images of mixed or unknown origin",
    }
    shape = " x ".join(str(n) for n in contract.input_shape)
    return f"""# Landmarks of the spine, preset `{summary.config.preset}`

Finds {len(contract.names)} landmarks (`{contract.landmark_set}`) in {" and ".join(contract.views)} radiographs of the
whole spine, from which alignment parameters are measured. **Not for diagnosis.**

| | |
|---|---|
| digest | `{summary.model_digest}` |
| input | one grey image, {shape} px, preprocessing version {contract.preprocessing_version} |
| output | a heat map per landmark (stride {contract.heatmap_stride} px) and a visibility |
| trained on | {contract.training_note}: {summary.images} images, {simulated[contract.simulated_training_data]} |
| data set | `{summary.dataset_digest}` |
| frozen test set | `{summary.test_digest}` |
| validation landmark error | {summary.validation_error:.2f} {summary.error_unit} (mean; chose the checkpoint) |
| cost | {summary.epochs} epochs, {summary.seconds:.0f} s on {summary.device}, {summary.precision} |
| energy | {summary.energy} |
| seed | {summary.config.seed} |

Known limits: a model trained on simulated images says nothing about real radiographs until it was tested on them;
levels are named by counting, so an unusual number of vertebrae shifts every name below it.
"""


def draw_curves(measurements: Sequence[Measurements], folder: Path) -> list[Path]:
    """One PNG per group of metrics (``train``, ``validation``) in ``folder``; the paths."""
    from matplotlib.figure import Figure

    written = []
    for group in ("train", "validation"):
        series = _series(measurements, group)
        if not series:
            continue
        figure = Figure(figsize=(4.2 * len(series), 3.4), layout="constrained")
        for axes, (name, points) in zip(figure.subplots(1, len(series), squeeze=False)[0], series.items(), strict=True):
            axes.plot([step for step, _ in points], [value for _, value in points], marker=".")
            axes.set_title(name.removeprefix(f"{group}/").replace("_", " "), fontsize=9)
            axes.set_xlabel("step")
            if all(value > 0 for _, value in points) and "loss" in name + group:
                axes.set_yscale("log")
            axes.grid(alpha=0.3)
        written.append(folder / f"{group}.png")
        figure.savefig(written[-1], dpi=110)
    return written


def _series(measurements: Sequence[Measurements], group: str) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) pairs of one group; at most eight metrics, those of many networks left out."""
    series: dict[str, list[tuple[int, float]]] = {}
    for m in measurements:
        for name, value in m.values.items():
            if name.startswith(f"{group}/") and name != "train/epoch":
                series.setdefault(name, []).append((m.step, value))
    return dict(sorted(series.items())[:8])
