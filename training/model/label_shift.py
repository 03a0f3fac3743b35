"""Labels whose level names may be off as a whole: the network's own reading says by how much.

Counting vertebrae from the top of a radiograph that shows no twelfth rib is a convention, and on real radiographs it
is not always the same one: the whole chain of labels is one level off in many of them. A network that is asked to
learn both names of one vertebra learns a map with two peaks, whose mean lies between two vertebrae. So of an image's
labels, moved by -1, 0 or +1 levels, those are learnt which lie nearest to what the network finds: its start has to
know levels already.

Contract: all levels of an image move together; a landmark whose new name has no label is absent; points that belong
to no vertebra (sacrum, hips) keep their names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from spine.landmarks import VIEWS, shifted_name
from spine.scanner import Floats
from training.data.dataset import Sample
from training.model.dsnt import euclidean_loss
from training.model.output_map import OutputMap


def label_sources(output_map: OutputMap, names: Sequence[str], most: int) -> Tensor:
    """(2 ``most`` + 1, V, S) int64: the slot whose label each slot takes when all names move, -1 for none.

    The first of the shifts is 0, so that it wins a tie.
    """
    shifts = sorted(range(-most, most + 1), key=abs)
    rows = dict(zip(output_map.views, output_map.landmark, strict=True))
    of_views = [rows.get(view, output_map.landmark[0]) for view in VIEWS]
    return torch.tensor([[_sources(row, names, shift) for row in of_views] for shift in shifts])


def _sources(row: Sequence[int], names: Sequence[str], shift: int) -> list[int]:
    at = {names[k]: slot for slot, k in enumerate(row) if k >= 0}
    return [at.get(shifted_name(names[k], -shift) or "", -1) if k >= 0 else -1 for k in row]


def shift_points(found: Mapping[str, Floats], labels: Mapping[str, Floats], most: int) -> dict[str, Floats]:
    """``labels`` of one image, (2,) each, under the names that lie nearest to what was found."""
    options: list[tuple[float, int, dict[str, Floats]]] = []
    for shift in sorted(range(-most, most + 1), key=abs):
        named = {moved: xy for name, xy in labels.items() if (moved := shifted_name(name, shift)) is not None}
        both = found.keys() & named.keys()
        distance = float(np.mean([np.hypot(*(found[n] - named[n])) for n in both])) if both else float("inf")
        options.append((distance, len(options), named))
    return min(options, key=lambda option: option[:2])[2]


def renamed(batch: Sample, found: Tensor, sources: Tensor, shape: tuple[int, int]) -> Sample:
    """``batch`` with each image's labels under the names that are nearest to what was found.

    Args:
        batch: of output_map (``output_map.of_views``).
        found: (B, S, 2) normalised.
        sources: of ``label_sources``.
        shape: of the heat maps.
    """
    options = [_under(batch, of_shift[batch.view]) for of_shift in sources]
    distances = torch.stack([_mean_distance(found.detach(), option, shape) for option in options])
    best = distances.argmin(dim=0)
    rows = torch.arange(len(best), device=best.device)
    return batch._replace(
        target=torch.stack([o.target for o in options])[best, rows],
        present=torch.stack([o.present for o in options])[best, rows],
    )


def _under(batch: Sample, source: Tensor) -> Sample:
    at = source.clamp(min=0)
    present = batch.present.gather(1, at) & (source >= 0)
    return batch._replace(target=batch.target.gather(1, at[..., None].expand(-1, -1, 2)), present=present)


def _mean_distance(found: Tensor, batch: Sample, shape: tuple[int, int]) -> Tensor:
    """(B,) mean distance of the labelled points; infinite where there is none."""
    distance = euclidean_loss(found, batch.target, shape)
    count = batch.present.sum(dim=1)
    total = torch.where(batch.present, distance, torch.zeros_like(distance)).sum(dim=1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.full_like(total, torch.inf))
