"""Starting from a fitted model: its trunk, and its heads for every landmark that both know.

Contract: heads are matched by view and landmark name, so a model of one landmark set can be the start of another's;
what the other model does not know keeps its fresh weights; trunks that differ are refused.
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
    """Put the weights of the model in ``folder`` into ``network``; returns how many maps were taken over.

    Args:
        network: of ``networks``, changed in place.
        output_map, names: of ``network``.
        folder: of a fitted model.

    Raises:
        ParametersRejected: another preset, width, stride or input height, or no landmark in common.
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
            expected="one of the same preset, width, heat-map stride and input height, with landmarks in common",
            remedy=f"start from a matching model, or give --heatmap-stride {known.heatmap_stride} --input-shape "
            f"{known.input_shape[0]}x{known.input_shape[1]}, which are this one's",
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
    """(our row, their row) of heads for the same view and landmark."""
    at = {
        (view, their_names[k]): v * theirs.count + s
        for v, (view, row) in enumerate(zip(theirs.views, theirs.landmark, strict=True))
        for s, k in enumerate(row)
        if k >= 0
    }
    return [
        (v * ours.count + s, at[view, our_names[k]])
        for v, (view, row) in enumerate(zip(ours.views, ours.landmark, strict=True))
        for s, k in enumerate(row)
        if k >= 0 and (view, our_names[k]) in at
    ]


def _fits(name: str, own: Tensor, other: Tensor | None) -> bool:
    if other is None or own.dim() != other.dim():
        return False
    skipped = 1 if any(part in name for part in _HEADS) else 0
    return tuple(own.shape[skipped:]) == tuple(other.shape[skipped:])
