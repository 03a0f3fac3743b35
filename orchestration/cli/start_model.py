"""The model that a fit starts from, and the settings that follow from it.

Contract: studies of one's own are few beside the virtual patients of the bundled model, so a new workspace with such
studies starts from the bundled model. A setting or recipe that names another start or another network overrides this.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.bundled import BUNDLED_NAME, find_model_folder
from inference.contract import read_contract

_SMALL_STEPS = 1e-4
_LARGER_STEPS = 3e-4
"""Learning rates of a fit from trained weights: small steps for similar images, larger steps for other images."""

_DECIDES_START = ("init_from", "preset", "width", "heatmap_stride", "input_shape")


def implied_parameters(start: str, learning_rate: float = _SMALL_STEPS) -> dict[str, Any]:
    """The training parameters that follow from the model from which the fit starts."""
    contract = read_contract(find_model_folder(start))
    return {
        "heatmap_stride": contract.heatmap_stride,
        "input_shape": list(contract.input_shape),
        "learning_rate": learning_rate,
    }


def settings_from(start: str, source: str) -> tuple[str, ...]:
    """KEY=VALUE of the input size, resolution, landmarks and learning rate that follow from the model ``start``."""
    radiographs = source == "aasce"
    implied = implied_parameters(start, _LARGER_STEPS if radiographs else _SMALL_STEPS)
    implied["init_from"] = start if start == BUNDLED_NAME else str(Path(start).expanduser().resolve())
    settings = tuple(f"training.{name}={value}" for name, value in implied.items())
    # Labels of real radiographs are vertebral corners (another landmark set), and their level names are inconsistent.
    landmark_set = read_contract(find_model_folder(start)).landmark_set
    return (*settings, "training.label_shift=1" if radiographs else f"dataset.landmark_set={landmark_set}")


def default_start(source: str, settings: Sequence[str], recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of a new workspace with this source that say where training starts; empty for virtual patients."""
    keys = {setting.partition("=")[0] for setting in settings}
    keys |= {f"training.{name}" for name in recipe.get("training", {})}
    chosen = keys & {f"training.{name}" for name in _DECIDES_START}
    return () if source == "virtual" or chosen else settings_from(BUNDLED_NAME, source)
