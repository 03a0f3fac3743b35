"""What a training run is asked to do: every choice in one frozen record.

Contract: a config holds plain values only, so that it can be journalled, compared and stored in a checkpoint that
loads with ``weights_only=True``; two runs of equal config, data and device give equal weights.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spine.errors import ParametersRejected
from spine.landmarks import LANDMARK_SETS

Preset = Literal["shared", "galbusera2019"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16-mixed"]

DRAWN_TOGETHER = 32
"""Virtual patients in one batch of the renderer."""


@dataclass(frozen=True)
class Augmentation:
    """Strengths of augmentation; zero switches one off.

    Attributes:
        rotation_deg: standard deviation of the rotation.
        scale: standard deviation of log2 of the enlargement.
        stretch: standard deviation of log2 of width over height: a spine made slimmer is one more strongly curved.
        shift: standard deviation of the shift, as a fraction of the input's size.
        mirror: probability of mirroring a frontal view (laterals are never mirrored: front would become back).
        contrast: standard deviation of log2 of the contrast.
        brightness: standard deviation of the offset, in normalised grey values.
        gamma: standard deviation of log2 of the exponent.
        noise: largest standard deviation of white noise, in normalised grey values.
    """

    rotation_deg: float = 4.0
    scale: float = 0.1
    shift: float = 0.04
    mirror: float = 0.5
    contrast: float = 0.25
    brightness: float = 0.1
    gamma: float = 0.25
    noise: float = 0.08
    stretch: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    Attributes:
        preset: ``shared`` (one network for all landmarks of all views) or ``galbusera2019`` (one network per
            landmark and view).
        landmark_set: registry key; has to be the data set's.
        landmark_subset: train these landmarks only; None for all.
        input_shape: (H, W) of the network's input, multiples of 64.
        heatmap_stride: input pixels per heat-map cell, 8, or 4 (half the speed, no better within minutes).
        epochs, minutes: the budget; with both, whichever ends first. One of them is needed.
        batch_size: images per step.
        learning_rate: peak of the schedule (warm-up, then cosine to zero over the budget).
        weight_decay: of AdamW.
        coordinate_weight: weight of the Euclidean against the Jensen-Shannon loss.
        sigma_cells: standard deviation of the Gaussian the heat maps are pulled towards, in cells.
        device: ``auto`` takes CUDA where there is one.
        precision: ``auto`` takes bfloat16 where the hardware multiplies it natively.
        workers: loader processes; 0 loads in the training process.
        seed: of weights, order and augmentation.
        deterministic: refuse operations without a deterministic form.
        width: multiplies the channels of the ``shared`` network.
        augmentation: strengths.
        virtual_pairs: learn from this many virtual patients at a time, drawn on the training device, instead of the
            data set's training split (``virtual``); 0 for the data set's.
        virtual_radiographs: besides them, this many plain frontal radiographs of patients of their own.
        reuse: how many epochs a virtual patient stays; 0: all of them, as in a data set of real patients.
        devices: processes that fit together, each on a GPU of its own (started by torchrun, see ``team``).
        held: keep the data set's images on the training device, prepared once, instead of loading them every epoch.
        label_shift: how many levels the names of an image's labels may be off as a whole (``renaming``); 0: none.
        init_from: folder of a fitted model whose weights are the start, ``released`` for the model in the box, or None.
    """

    preset: Preset = "shared"
    landmark_set: str = "galbusera39"
    landmark_subset: tuple[str, ...] | None = None
    input_shape: tuple[int, int] = (512, 256)
    heatmap_stride: int = 8
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    coordinate_weight: float = 10.0
    sigma_cells: float = 1.0
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int = 0
    seed: int = 0
    deterministic: bool = True
    width: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    virtual_pairs: int = 0
    virtual_radiographs: int = 0
    devices: int = 1
    reuse: int = 8
    held: bool = False
    label_shift: int = 0
    init_from: str | None = None

    def __post_init__(self) -> None:
        violations = [text for holds, text in self._checks() if not holds]
        if self.held and self.virtual_pairs:
            violations.append("virtual patients and held images together")
        if violations:
            raise ParametersRejected(
                "TRAINING_CONFIG",
                found="; ".join(violations),
                expected="a possible training configuration (see training.config)",
                remedy="correct the named parameters",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The landmarks to be trained, in the set's order."""
        every = LANDMARK_SETS[self.landmark_set].names
        return tuple(n for n in every if n in self.landmark_subset) if self.landmark_subset else every

    def _divides(self, count: int) -> bool:
        """Whether whole batches of virtual patients can be drawn, ``1 / reuse`` of ``count`` an epoch, by every process."""
        return count == 0 or (self.reuse >= 0 and self.devices > 0 and count % self._drawn_at_once == 0)

    @property
    def _drawn_at_once(self) -> int:
        return DRAWN_TOGETHER * max(self.reuse, 1) * self.devices

    def replaced(self, count: int) -> int:
        """How many of ``count`` virtual patients are replaced by new ones each epoch."""
        return count // self.reuse if self.reuse else 0

    def _wanted_multiple(self) -> str:
        return f"a multiple of {DRAWN_TOGETHER} x reuse x devices = {self._drawn_at_once}"

    def _checks(self) -> list[tuple[bool, str]]:
        known = LANDMARK_SETS.get(self.landmark_set)
        strangers = [n for n in self.landmark_subset or () if known is None or n not in known.index]
        strengths = asdict(self.augmentation)
        return [
            (self.preset in ("shared", "galbusera2019"), f"preset {self.preset!r}"),
            (known is not None, f"landmark set {self.landmark_set!r} (known: {', '.join(LANDMARK_SETS)})"),
            (not strangers, f"landmarks outside the set: {strangers[:5]}"),
            (
                len(self.input_shape) == 2 and all(n > 0 and n % 64 == 0 for n in self.input_shape),
                f"input {self.input_shape}, not two positive multiples of 64",
            ),
            (self.heatmap_stride in (4, 8), f"heat-map stride {self.heatmap_stride}"),
            (
                self.epochs is not None or self.minutes is not None,
                "no budget: give minutes or epochs",
            ),
            (self.epochs is None or self.epochs > 0, f"epochs {self.epochs}"),
            (self.minutes is None or 0 < self.minutes < float("inf"), f"minutes {self.minutes}"),
            (self.batch_size > 0, f"batch size {self.batch_size}"),
            (0 < self.learning_rate < 1, f"learning rate {self.learning_rate}"),
            (0 <= self.weight_decay < 1, f"weight decay {self.weight_decay}"),
            (0 <= self.coordinate_weight < float("inf"), f"coordinate weight {self.coordinate_weight}"),
            (0.3 <= self.sigma_cells <= 8, f"sigma {self.sigma_cells} cells"),
            (self.device in ("auto", "cpu", "cuda"), f"device {self.device!r}"),
            (self.precision in ("auto", "32", "bf16-mixed"), f"precision {self.precision!r}"),
            (self.workers >= 0, f"workers {self.workers}"),
            (0.125 <= self.width <= 8, f"width {self.width}"),
            (all(0 <= s < 90 for s in strengths.values()), f"augmentation {strengths}"),
            (self.devices > 0, f"devices {self.devices}"),
            (self._divides(self.virtual_pairs), f"{self.virtual_pairs} virtual pairs ({self._wanted_multiple()})"),
            (
                self._divides(self.virtual_radiographs),
                f"{self.virtual_radiographs} virtual radiographs ({self._wanted_multiple()})",
            ),
            (
                self.virtual_radiographs == 0 or self.virtual_pairs > 0,
                f"{self.virtual_radiographs} virtual radiographs without pairs",
            ),
            (self.reuse >= 0, f"reuse {self.reuse}"),
            (0 <= self.label_shift <= 2, f"label shift {self.label_shift}, not 0, 1 or 2 levels"),
            (
                self.virtual_pairs == 0 or self.virtual_pairs >= self.batch_size,
                f"{self.virtual_pairs} virtual pairs for batches of {self.batch_size}",
            ),
            (self.augmentation.mirror <= 1, f"mirror probability {self.augmentation.mirror}"),
        ]


def config_to_json(config: TrainingConfig) -> dict[str, Any]:
    """Plain JSON values."""
    record = asdict(config)
    record["landmark_subset"] = list(config.landmark_subset) if config.landmark_subset else None
    record["input_shape"] = list(config.input_shape)
    return record


def config_from_json(record: Mapping[str, Any]) -> TrainingConfig:
    """The inverse of ``config_to_json``; missing keys take their defaults.

    Raises:
        ParametersRejected: an unknown key, or an impossible value.
    """
    fields = {f.name for f in dataclasses.fields(TrainingConfig)}
    strengths = dict(record.get("augmentation", {}))
    unknown = sorted(set(record) - fields) + sorted(set(strengths) - {f.name for f in dataclasses.fields(Augmentation)})
    if unknown:
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"unknown parameters {unknown}",
            expected=f"some of {sorted(fields)}",
            remedy="correct the spelling, or remove them",
        )
    values = dict(record)
    for name in ("landmark_subset", "input_shape"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    values["augmentation"] = Augmentation(**strengths)
    return TrainingConfig(**values)
