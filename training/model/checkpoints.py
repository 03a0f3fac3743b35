"""Checkpoints, which are states of a fit on disk.

Contract: a checkpoint is the file ``step-<n>.pt``, followed by its SHA-256 in ``step-<n>.json``. The digest is verified
when a checkpoint is loaded. If it is wrong, the next older checkpoint is loaded. Files contain only tensors and plain
values. They are read with ``weights_only=True``, so that nothing in them is executed.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spine.errors import ContractViolation
from spine.storage import sha256_of_file, write_bytes_atomically, write_text_atomically

KEPT = 2
"""Number of checkpoints that are kept: the newest checkpoint, and an older one in case the newest is damaged."""


def save_state(state: dict[str, Any], path: Path) -> str:
    """Write a state of tensors and plain values atomically; returns its SHA-256."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    write_bytes_atomically(path, payload)
    return hashlib.sha256(payload).hexdigest()


def load_state(path: Path) -> dict[str, Any]:
    """Read a state without executing anything in it.

    Raises:
        ContractViolation: the file contains something other than tensors and plain values.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # For a foreign, truncated or executable file, torch raises errors of unrelated classes.
    except Exception as error:
        raise ContractViolation(
            "STATE_UNREADABLE",
            found=f"{path.name}: {type(error).__name__}",
            expected="a file that a fit wrote, with tensors and plain values only",
            remedy="delete the file; load only weights that a fit of Plumbline wrote",
        ) from error
    return state


def save_checkpoint(state: dict[str, Any], folder: Path, step: int) -> None:
    """Write the checkpoint of ``step`` and delete all but the newest ``KEPT``."""
    digest = save_state(state, folder / f"step-{step:09d}.pt")
    write_text_atomically(folder / f"step-{step:09d}.json", json.dumps({"sha256": digest, "step": step}))
    for record in sorted(folder.glob("step-*.json"))[:-KEPT]:
        record.unlink(missing_ok=True)
        record.with_suffix(".pt").unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint whose file has the recorded digest, or None."""
    for record in sorted(folder.glob("step-*.json"), reverse=True):
        path = record.with_suffix(".pt")
        if path.is_file() and sha256_of_file(path) == json.loads(record.read_text())["sha256"]:
            return load_state(path)
    return None


def save_weights(weights: dict[str, Tensor], folder: Path) -> None:
    """Write ``weights.safetensors``, or ``weights.pt`` if safetensors is not installed.

    Kernels are stored in half precision. Vectors (normalisation, biases) are stored unchanged.
    """
    plain = {name: _stored(tensor) for name, tensor in weights.items()}
    try:
        from safetensors.torch import save
    except ImportError:
        save_state(dict(plain), folder / "weights.pt")
    else:
        write_bytes_atomically(folder / "weights.safetensors", save(plain))


def _stored(tensor: Tensor) -> Tensor:
    plain = tensor.detach().cpu().contiguous()
    return plain.half() if plain.dim() > 1 and plain.is_floating_point() else plain


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a fitted model.

    Raises:
        ContractViolation: there are no weights, or the weights are unreadable.
    """
    if (folder / "weights.safetensors").is_file():
        from safetensors.torch import load

        return dict(load((folder / "weights.safetensors").read_bytes()))
    if (folder / "weights.pt").is_file():
        return load_state(folder / "weights.pt")
    raise ContractViolation(
        "WEIGHTS_MISSING",
        found=f"neither weights.safetensors nor weights.pt in {folder.name!r}",
        expected="the folder of a finished fit",
        remedy="finish the training first, or name another folder",
    )
