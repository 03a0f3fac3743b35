"""Landmark errors of a network on the validation split. The checkpoint with the smallest error is chosen.

Contract: a point is the expectation of its heat map, as in ``inference``. Errors are in mm if every image is
calibrated, else in image pixels. The name of each figure contains the unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spine.study import LENGTHS_ALLOWED
from spine.types import Int
from training.data.dataset import ImageItem, Sample
from training.model.dsnt import expected_coordinates, spatial_softmax
from training.model.label_shift import shift_labels
from training.model.output_map import OutputMap, to_outputs

LARGE_ERROR = 10.0
"""A landmark error above this number of mm or pixels counts as large."""


@dataclass(frozen=True)
class Score:
    """The landmark errors in ``unit``, and the fraction of landmarks whose visibility was predicted correctly."""

    mean: float
    median: float
    over_10: float
    visibility_accuracy: float
    unit: str

    def metrics(self) -> dict[str, float]:
        """``validation/<name>`` -> value of the figure."""
        return {
            f"validation/landmark_error_{self.unit}": self.mean,
            f"validation/landmark_error_median_{self.unit}": self.median,
            f"validation/landmarks_over_10_{self.unit}": self.over_10,
            "validation/visibility_accuracy": self.visibility_accuracy,
        }


def unit_of(items: Iterable[ImageItem]) -> str:
    """``mm`` if every image is calibrated to the patient, else ``px``."""
    calibrated = all(i.record.spacing_mm is not None and i.record.calibration in LENGTHS_ALLOWED for i in items)
    return "mm" if calibrated else "px"


@dataclass(frozen=True)
class Scoring:
    """The settings with which the networks of one fit are scored.

    Attributes:
        output_map: the landmark of each output.
        unit: unit of ``Sample.unit_per_px``.
        device: device of the networks.
        dtype: number format of autocast, or None.
        sources: result of ``label_shift.label_sources``.
    """

    output_map: OutputMap
    unit: str
    device: torch.device
    dtype: torch.dtype | None
    sources: Int[Tensor, "shifts V S"]

    @torch.no_grad()
    def score(self, network: nn.Module, batches: Iterable[Sample]) -> Score:
        """Score ``network`` on ``batches`` without augmentation, then restore the training mode of the network."""
        was_training = network.training
        network.eval()
        errors, right, table = [], [], self.output_map.table(self.device)
        for batch in batches:
            sample = to_outputs(Sample(*(t.to(self.device) for t in batch)), table)
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
                logits, visibility = network(sample.pixels, sample.view)
            errors.append(_errors(logits.float(), sample, self.sources))
            right.append(((visibility > 0) == sample.present).float().flatten())
        network.train(was_training)
        error, correct = torch.cat(errors).cpu(), torch.cat(right).cpu()
        if not len(error):
            error = torch.zeros(1)
        large = float((error > LARGE_ERROR).float().mean())
        return Score(float(error.mean()), float(error.median()), large, float(correct.mean()), self.unit)


def _errors(logits: Tensor, sample: Sample, sources: Tensor) -> Tensor:
    """(n,) distances of the present landmarks from their targets, in the sample's unit."""
    found = expected_coordinates(spatial_softmax(logits))
    if len(sources) > 1:
        sample = shift_labels(sample, found, sources, (logits.shape[-2], logits.shape[-1]))
    half = torch.tensor([sample.pixels.shape[-1] / 2, sample.pixels.shape[-2] / 2], device=found.device)
    distance = ((found - sample.target) * half).norm(dim=-1) * sample.unit_per_px[:, None]
    kept: Tensor = distance[sample.present]
    return kept
