"""Shares of 90 % intervals that contain the true value, on images as they are and on changed ones.

    python -m benchmarks.interval_coverage -w WORKSPACE [--model FOLDER] [--splits train,validation]

The changed images have other grey values and other fields of view (``training.data.changed_examples``), with another
seed than those of a calibration. *Without limits* is the same calibration with the widths of unchanged images for every
image.

Contract: the model must not be calibrated on these patients. The frozen test split is never read.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.figures import print_table
from benchmarks.workspace_arguments import read_arguments
from inference.calibration import WIDTH_OF, Calibration
from inference.measure import measure_views
from inference.model import Model, load_model
from spine.dataset import Example
from spine.landmarks import ViewName
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from training.data.changed_examples import changed_example, unchanged_example
from training.export.interval_widths import Known

SHOWN = (*PAPER_PARAMETERS, *WIDTH_OF.values(), *WIDTH_OF)
"""The paper's parameters, and those whose width stands in for another, beside this other."""
SEED = 1000
"""Seed of the changed versions; a calibration uses the seeds from 0."""


@dataclass
class _Intervals:
    """Intervals of one parameter: whether each contains the true value, and its width; the number of values without."""

    inside: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    withheld: int = 0

    @property
    def text(self) -> str:
        """Share, mean width and number of intervals, and the number of values without an interval."""
        if not self.inside:
            return f"none of {self.withheld}"
        absent = f", {self.withheld} without" if self.withheld else ""
        return f"{100 * np.mean(self.inside):.0f} %, {np.mean(self.widths):.1f} deg ({len(self.inside)}{absent})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return 0."""
    model_folder, folder, examples = read_arguments("interval_coverage", __doc__.splitlines()[0], arguments)
    model = load_model(model_folder)
    calibration = model.contract.calibration
    if calibration is None:
        sys.stderr.write(f"{model_folder}: the model is not calibrated, so it has no intervals\n")
        return 2
    rows = []
    for kind, known in (
        ("as they are", _plain(model, folder, examples)),
        ("changed", _changed(model, folder, examples)),
    ):
        for limits, used in (("", calibration), (", without limits", replace(calibration, clear={}, shifted=()))):
            found = _intervals(used, known)
            rows.append([f"{kind}{limits}", *(found[name].text for name in SHOWN)])
    sys.stdout.write(f"share of 90 % intervals with the true value, mean width (number); {len(examples)} patients\n")
    print_table(["images", *(PARAMETERS[name].label for name in SHOWN)], rows)
    return 0


def _plain(model: Model, folder: Path, examples: Sequence[Example]) -> Known:
    given = [unchanged_example(folder, example) for example in examples]
    return [(measure_views(model, each.inputs), each.example) for each in given]


def _changed(model: Model, folder: Path, examples: Sequence[Example]) -> Known:
    known = []
    for example in examples:
        changed = changed_example(folder, example, SEED)
        prediction = measure_views(model, changed.inputs)
        known.append((prediction, changed.reference(prediction)))
    return known


def _intervals(calibration: Calibration, known: Known) -> dict[str, _Intervals]:
    found = {name: _Intervals() for name in SHOWN}
    for prediction, example in known:
        shifts: dict[ViewName, float] = {view: basis.shift for view, basis in prediction.interval_basis.items()}
        bare = {name: replace(measured, interval=None) for name, measured in prediction.parameters.items()}
        for name, measured in calibration.with_intervals(bare, shifts).items():
            truth = example.truth.get(name)
            if name not in found or measured.value is None or truth is None or truth.value is None:
                continue
            if measured.interval is None:
                found[name].withheld += 1
                continue
            low, high = measured.interval
            found[name].inside.append(low <= truth.value <= high)
            found[name].widths.append(high - low)
    return found


if __name__ == "__main__":
    sys.exit(main())
