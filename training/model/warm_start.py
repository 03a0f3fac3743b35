"""A warm start, which copies the trunk of a fitted model, and the heads of the landmarks that both networks have.

Contract: heads are matched by view and landmark name, so the landmark sets can differ. Heads without a match keep their
random weights. A model with a different trunk is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from inference.contract import read_contract
from spine.errors import ParametersRejected
from training.model.checkpoints import load_weights
from training.model.output_map import OutputMap, output_map_of

_HEADS = ("heads.", "seen.")


def load_warm_start(network: nn.Module, output_map: OutputMap, names: Sequence[str], folder: Path) -> int:
    """Load the weights of the fitted model in ``folder`` into ``network``; returns the number of matched heads.

    ``output_map`` and ``names`` describe the outputs and landmarks of ``network``.

    Raises:
        ParametersRejected: the model has another preset, width, stride or input height, or no landmark in common.
        ContractViolation: there is no fitted model in the folder.
    """
    weights, known = load_weights(folder), read_contract(folder)
    theirs = output_map_of(known.landmark_set, known.names, known.views)
    rows = _matching_rows(output_map, names, theirs, known.names)
    own = network.state_dict()
    differing = [name for name in own if not _fits(name, own[name], weights.get(name))]
    if differing or not rows:
        raise ParametersRejected(
            "WARM_START_DIFFERS",
            found=f"a model in {folder.name!r} that differs in {differing[:3] or 'every landmark'}",
            expected="the same preset, width, heat-map stride and input height, and landmarks in common",
            remedy=f"start from a matching model, or use the values of the model in this folder: --heatmap-stride "
            f"{known.heatmap_stride} --input-shape {known.input_shape[0]}x{known.input_shape[1]}",
        )
    ours_at, theirs_at = torch.tensor(rows).T
    for name, value in own.items():
        if any(part in name for part in _HEADS):
            value[ours_at] = weights[name][theirs_at].to(value.dtype)
        else:
            value.copy_(weights[name])
    network.load_state_dict(own)
    return len(rows)


def _matching_rows(
    ours: OutputMap, our_names: Sequence[str], theirs: OutputMap, their_names: Sequence[str]
) -> list[tuple[int, int]]:
    """Pairs (our row, their row) of the heads for the same view and landmark."""
    their_rows = _rows(theirs, their_names)
    return [(row, their_rows[head]) for head, row in _rows(ours, our_names).items() if head in their_rows]


def _rows(output_map: OutputMap, names: Sequence[str]) -> dict[tuple[str, str], int]:
    """(view, landmark) -> row of the landmark's head in the weights."""
    return {
        (view, names[k]): v * output_map.count + s
        for v, (view, row) in enumerate(zip(output_map.views, output_map.landmark, strict=True))
        for s, k in enumerate(row)
        if k >= 0
    }


def _fits(name: str, own: Tensor, other: Tensor | None) -> bool:
    if other is None or own.dim() != other.dim():
        return False
    skipped = 1 if any(part in name for part in _HEADS) else 0
    return tuple(own.shape[skipped:]) == tuple(other.shape[skipped:])
