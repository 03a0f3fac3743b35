"""The context of a fit: hardware, data, config, journal and process group.

Contract: a device or a number format that the machine does not support is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from spine.dataset import Example, Manifest
from spine.errors import ParametersRejected
from spine.landmarks import ViewName
from training.config import TrainingConfig
from training.journal import Journal
from training.packed_examples import packed
from training.process_group import SINGLE_PROCESS, ProcessGroup

_SMALLEST_BF16_INPUT = 128
"""Smallest number of rows and columns for bfloat16. With a smaller input, the coarsest level is one pixel wide. At this
width, oneDNN's bfloat16 convolution of stride two reads memory that it never wrote (torch 2.13, measured: NaN forward
or backward)."""


@dataclass(frozen=True)
class Hardware:
    """The hardware of a fit: ``accelerator`` is cpu or cuda, ``dtype`` is the autocast type, or None for 32 bit."""

    accelerator: str
    dtype: torch.dtype | None

    @property
    def precision(self) -> Literal["32-true", "bf16-mixed"]:
        """Lightning's name for the number format."""
        return "32-true" if self.dtype is None else "bf16-mixed"


@dataclass(frozen=True)
class FitContext:
    """The context of one stage of a fit.

    Attributes:
        folder: folder of the data set.
        out: folder of the stage; for the last stage, the folder of the candidate.
        config: config of the stage.
        asked: config of the complete fit, with all its stages.
        views: views that the model learns.
        earlier: folders of the earlier stages. Only the last stage has them.
    """

    folder: Path
    out: Path
    config: TrainingConfig
    asked: TrainingConfig
    manifest: Manifest
    views: tuple[ViewName, ...]
    hardware: Hardware
    journal: Journal
    process_group: ProcessGroup = SINGLE_PROCESS
    earlier: tuple[Path, ...] = ()

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """The examples of the train split, packed, read once."""
        return tuple(packed(example) for example in self.manifest.examples("train"))

    @cached_property
    def validation(self) -> tuple[Example, ...]:
        """The examples of the validation split, read once."""
        return self.manifest.in_split("validation")

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        accelerator = self.hardware.accelerator
        return torch.device(accelerator, self.process_group.rank if accelerator == "cuda" else 0)


def hardware_of(config: TrainingConfig) -> Hardware:
    """The hardware on which a fit with this config runs.

    Raises:
        ParametersRejected: the device does not exist, or the number format gives wrong results on this device.
    """
    cuda = torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        remedy = "use --device auto or --device cpu"
        raise ParametersRejected("DEVICE_MISSING", found="no GPU", expected="a CUDA device", remedy=remedy)
    accelerator = "cuda" if cuda and config.device != "cpu" else "cpu"
    native = torch.cuda.is_bf16_supported() if accelerator == "cuda" else _cpu_multiplies_bf16(config)
    if accelerator == "cpu" and config.precision == "bf16-mixed" and not native:
        raise ParametersRejected(
            "PRECISION_UNSOUND",
            found=f"bf16 on this processor with input {config.input_shape}",
            expected=f"a processor with AMX, and an input of at least {_SMALLEST_BF16_INPUT} rows and columns",
            remedy="use --precision 32 or auto",
        )
    use_bf16 = native and config.precision != "32"
    return Hardware(accelerator, torch.bfloat16 if use_bf16 else None)


def _cpu_multiplies_bf16(config: TrainingConfig) -> bool:
    """Whether bfloat16 is fast and correct on this processor. Matrix units make it 2.5 times as fast (measured)."""
    probe: Callable[[], bool] | None = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return probe is not None and bool(probe()) and min(config.input_shape) >= _SMALLEST_BF16_INPUT


def require_data_set(folder: Path) -> None:
    """Raise ``ParametersRejected`` if ``folder`` has no manifest."""
    if not (folder / "manifest.json").is_file():
        raise ParametersRejected(
            "DATASET_MISSING",
            found=f"no manifest.json in {folder}",
            expected="a data set folder, such as data/dataset of the pipeline",
            remedy="name the folder of the data set with --dataset",
        )
