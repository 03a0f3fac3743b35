"""How far a fit moved the weights of the model that it started from."""

from pathlib import Path

from inference.bundled import find_model_folder
from training.model.checkpoints import load_weights


def relative_change(candidate: Path, start: str) -> float:
    """The norm of the difference between two models' weights, relative to the norm of the start's.

    Weights whose shapes differ, such as those of another landmark set, and the statistics of normalisation layers are
    left out.
    """
    ours, theirs = load_weights(candidate), load_weights(find_model_folder(start))
    moved = whole = 0.0
    for name, before in theirs.items():
        now = ours.get(name)
        learnt = before.is_floating_point() and ".running_" not in name
        if learnt and now is not None and now.shape == before.shape:
            moved += float(((now.double() - before.double()) ** 2).sum())
            whole += float((before.double() ** 2).sum())
    return float((moved / whole) ** 0.5) if whole else 0.0
