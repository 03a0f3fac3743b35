"""Corrects labels in which all level names of an image can be shifted, with the shift nearest to the network's output.

If a radiograph does not show the twelfth rib, the level names depend on the way of counting. In many labelled
radiographs, all names are wrong by one level. A network that learns two names for one vertebra learns a map with two
peaks. The mean of such a map lies between two vertebrae. The labels of an image are therefore tried with shifts of -1,
0 and +1 levels. The network learns the shifted labels that lie nearest to its output. The fit needs a warm start from a
network that knows the levels.

Contract: all levels of an image shift together. A landmark whose new name has no label is absent. Landmarks that do not
belong to a vertebra (sacrum, hips) keep their names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from spine.landmarks import VIEWS, shifted_name
from spine.types import Float, Floats, Int
from training.data.dataset import Sample
from training.model.dsnt import euclidean_loss
from training.model.output_map import OutputMap, to_outputs


def label_sources(output_map: OutputMap, names: Sequence[str], most: int) -> Int[Tensor, "shifts V S"]:
    """(2 ``most`` + 1, V, S) int64: for each shift and output, the output whose label it gets, or -1 if there is none.

    The first shift is 0, so that 0 is chosen if several shifts fit equally well.
    """
    shifts = sorted(range(-most, most + 1), key=abs)
    rows = dict(zip(output_map.views, output_map.landmark, strict=True))
    of_views = [rows.get(view, output_map.landmark[0]) for view in VIEWS]
    return torch.tensor([[_sources(row, names, shift) for row in of_views] for shift in shifts])


def _sources(row: Sequence[int], names: Sequence[str], shift: int) -> list[int]:
    at = {names[k]: output for output, k in enumerate(row) if k >= 0}
    return [at.get(shifted_name(names[k], -shift) or "", -1) if k >= 0 else -1 for k in row]


def shift_points(
    found: Mapping[str, Float[Floats, " 2"]], labels: Mapping[str, Float[Floats, " 2"]], most: int
) -> dict[str, Float[Floats, " 2"]]:
    """The ``labels`` of one image, renamed by the shift whose points lie nearest to the points ``found``."""
    options: list[tuple[float, int, dict[str, Floats]]] = []
    for shift in sorted(range(-most, most + 1), key=abs):
        shifted = {new: xy for name, xy in labels.items() if (new := shifted_name(name, shift)) is not None}
        both = found.keys() & shifted.keys()
        distance = float(np.mean([np.hypot(*(found[n] - shifted[n])) for n in both])) if both else float("inf")
        options.append((distance, len(options), shifted))
    return min(options, key=lambda option: option[:2])[2]


def shift_labels(
    batch: Sample, found: Float[Tensor, "B S 2"], sources: Int[Tensor, "shifts V S"], shape: tuple[int, int]
) -> Sample:
    """``batch`` with the labels of each image renamed by the shift whose points lie nearest to the points ``found``.

    The batch has the labels of the outputs. The points ``found`` are normalised, and heat maps have ``shape`` (H, W).
    """
    options = [to_outputs(batch, of_shift) for of_shift in sources]
    distances = torch.stack([_mean_distance(found.detach(), option, shape) for option in options])
    best = distances.argmin(dim=0)
    rows = torch.arange(len(best), device=best.device)
    return batch._replace(
        target=torch.stack([o.target for o in options])[best, rows],
        present=torch.stack([o.present for o in options])[best, rows],
    )


def _mean_distance(found: Tensor, batch: Sample, shape: tuple[int, int]) -> Tensor:
    """(B,) mean distance of the labelled points. It is infinite for an image without labelled points."""
    distance = euclidean_loss(found, batch.target, shape)
    count = batch.present.sum(dim=1)
    total = torch.where(batch.present, distance, torch.zeros_like(distance)).sum(dim=1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.full_like(total, torch.inf))
