"""Measures the radiographs of one study from their files: the one way from files to a measurement.

The command line, the HTTP service, the loop with a PACS and the MLflow model all call ``measure_radiographs``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from inference.facing import turned_to_canonical
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.measurement_json import report_json
from inference.model import Model
from inference.overlay import draw_overlay, interval_lines, warnings_of
from inference.radiograph_files import OpenedRadiograph, input_of
from spine.errors import InputRejected
from spine.landmarks import ViewName
from spine.prediction import Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

    from spine.radiograph.stored_grid import StoredGrid


@dataclass(frozen=True)
class MeasuredStudy:
    """The radiographs of one study with what a model measured in them.

    Attributes:
        opened: view -> the radiograph and its file.
        inputs: view -> the image that was measured, in canonical orientation.
        grids: view -> where positions of this image lie in the image as the file stores it.
    """

    model: Model
    opened: Mapping[ViewName, OpenedRadiograph]
    inputs: Mapping[ViewName, ImageInput]
    grids: "Mapping[ViewName, StoredGrid]"
    prediction: Prediction

    def report(self) -> dict[str, Any]:
        """The measurement as plain JSON values (docs/measurement-json.md)."""
        return report_json(self.prediction, self.model, self.inputs)

    @property
    def interval_remark(self) -> str | None:
        """What restricts the intervals; None if nothing does, or if there are no intervals."""
        calibration = self.model.contract.calibration
        return (
            calibration.remark if calibration and any(m.interval for m in self.prediction.parameters.values()) else None
        )

    def overlay(
        self, *, model: str | None = None, identification: str | None = None, measured_on: str | None = None
    ) -> "Image":
        """The overlay image of the measurement. It names no patient, unless ``identification`` does.

        Args:
            model: how the footer calls the model; by default by its digest.
            identification: text that identifies the study, at the upper right.
            measured_on: date of the measurement for the footer. Without it, equal measurements give equal images.
        """
        named = model or f"model {self.model.digest[:12]}"
        dated = [f"measured {measured_on}"] if measured_on else []
        return draw_overlay(
            self.inputs,
            self.prediction.points,
            self.prediction.parameters,
            title="Plumbline measurement",
            identification=identification,
            footer=", ".join([named, f"Plumbline {version('plumbline')}", *dated]),
            provenance="model trained on simulated data" if self.model.contract.simulated_training_data else None,
            rough_intervals=self.interval_remark,
            intervals=interval_lines(self.prediction),
            warnings=warnings_of(self.prediction),
            unscaled=self.prediction.lengths_withheld,
            classes=self.prediction.classes,
        )


def measure_radiographs(model: Model, opened: Mapping[ViewName, OpenedRadiograph]) -> MeasuredStudy:
    """Measure the radiographs of one study.

    Raises:
        InputRejected: ``FACING_UNCLEAR``, ``NO_SPINE_FOUND``, ``NOTHING_MEASURED``.
        ContractViolation: see ``measure_views``.
    """
    inputs = {view: input_of(view, each) for view, each in opened.items()}
    grids = {view: each.radiograph.grid for view, each in opened.items()}
    for view in [view for view, each in opened.items() if each.needs_facing]:
        turned = turned_to_canonical(model, inputs[view])
        inputs[view], grids[view] = turned.image, grids[view].mirror() if turned.mirrored else grids[view]
    prediction = measure_views(model, inputs)
    require_measurements(prediction, [each.file.name for each in opened.values()])
    return MeasuredStudy(model, opened, inputs, grids, prediction)


def require_measurements(prediction: Prediction, names: list[str]) -> None:
    """Refuse files in which no spine was found or nothing was measured; ``names`` are those of the files.

    Raises:
        InputRejected: ``NO_SPINE_FOUND``, ``NOTHING_MEASURED``.
    """
    if prediction.refused and not any(prediction.points.values()):
        why = "; ".join(f"{view}: {reason}" for view, reason in prediction.refused.items())
        raise InputRejected(
            "NO_SPINE_FOUND",
            found=f"{', '.join(names)}: {why}",
            expected="frontal or lateral radiographs of the whole, the thoracolumbar or the lumbar spine",
            remedy="check that this is the right file and that the image is upright; nothing was measured",
        )
    if all(measured.is_absent for measured in prediction.parameters.values()):
        raise InputRejected(
            "NOTHING_MEASURED",
            found=f"{', '.join(names)}: {_describe_visible(prediction)}",
            expected="radiographs that show enough of an upright spine for at least one parameter",
            remedy="check that the image is upright, complete and not covered; nothing was measured",
        )


def _describe_visible(prediction: Prediction) -> str:
    """For each view, the number of landmarks that were found, or the reason why the view was refused."""
    seen = [f"{view}: {len(at)} landmarks" for view, at in prediction.points.items() if view not in prediction.refused]
    return "; ".join([*seen, *(f"{view}: refused, {why}" for view, why in prediction.refused.items())])
