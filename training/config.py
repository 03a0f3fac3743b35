"""The training parameters: one schema for params.yaml, `python -m training` and Dagster's run config.

Contract: this module needs the standard library only, so that a GPU machine without pydantic and YAML can load it. A
record contains plain values only, because it is compared and stored as JSON. Two fits with the same config and data
give the same weights on a CPU. On a GPU, the order of some sums is not fixed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

from spine.errors import ParametersRejected
from spine.landmarks import LANDMARK_SETS
from training.fields import built, parameter, unknown_names, violations_of

Preset = Literal["shared", "galbusera2019"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16-mixed"]
CalibrationSplit = Literal["train", "validation"]

DRAWN_TOGETHER = 32
"""Number of virtual patients in one batch of the renderer."""

_FORBID = {"extra": "forbid"}


@dataclass(frozen=True)
class Augmentation:
    """The strength of each kind of augmentation; 0 switches a kind off."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID

    rotation_deg: float = parameter(4.0, "standard deviation of the rotation, degrees", ge=0, lt=90)
    scale: float = parameter(0.1, "standard deviation of log2 of the enlargement", ge=0, lt=90)
    shift: float = parameter(0.04, "standard deviation of the shift, as a fraction of the input's size", ge=0, lt=90)
    # A lateral view is never mirrored, because the front of the body would become its back.
    mirror: float = parameter(0.5, "probability of mirroring a frontal view", ge=0, le=1)
    contrast: float = parameter(0.25, "standard deviation of log2 of the contrast", ge=0, lt=90)
    brightness: float = parameter(0.1, "standard deviation of the offset, in normalised grey values", ge=0, lt=90)
    gamma: float = parameter(0.25, "standard deviation of log2 of the exponent", ge=0, lt=90)
    noise: float = parameter(0.08, "largest standard deviation of white noise, in normalised grey values", ge=0, lt=90)
    cut: float = parameter(0.0, "probability of cutting an image to another field of view", ge=0, le=1)
    shading: float = parameter(0.0, "standard deviation of a linear change of brightness across the image", ge=0, lt=90)
    # Stretching changes the angles of the spine.
    stretch: float = parameter(0.0, "standard deviation of log2 of width over height", ge=0, lt=90)


@dataclass(frozen=True)
class NextStage:
    """The parameters that a later stage of a fit changes. None keeps the value of the previous stage."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID

    minutes: float | None = parameter(None, "budget of the stage in minutes", gt=0)
    epochs: int | None = parameter(None, "budget of the stage in epochs", ge=1)
    learning_rate: float | None = parameter(None, "peak of the stage's schedule", gt=0, lt=1)


@dataclass(frozen=True)
class TrainingParameters:
    """The parameters of a training run that a person chooses."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID

    preset: Preset = parameter(
        "shared", "shared: one network for all landmarks of all views; galbusera2019: one network per landmark and view"
    )
    landmark_subset: tuple[str, ...] | None = parameter(None, "landmarks of the set to train; none: all landmarks")
    input_shape: tuple[int, int] = parameter(
        (512, 256), "rows and columns of the network's input in pixels, multiples of 64"
    )
    heatmap_stride: Literal[4, 8] = parameter(8, "input pixels per heat-map cell; 4 takes twice the time of 8")
    minutes: float | None = parameter(
        None, "budget in minutes; a fit with minutes and epochs ends when the first budget is used up", gt=0
    )
    epochs: int | None = parameter(
        None, "budget in epochs; a fit with minutes and epochs ends when the first budget is used up", ge=1
    )
    batch_size: int = parameter(8, "number of images per step of each device", ge=1)
    learning_rate: float = parameter(
        1e-3, "peak of the schedule: a warm-up, then a cosine to nearly zero at the end of the budget", gt=0, lt=1
    )
    weight_decay: float = parameter(1e-2, "weight decay of AdamW", ge=0, lt=1)
    coordinate_weight: float = parameter(10.0, "weight of the Euclidean loss relative to the Jensen-Shannon loss", ge=0)
    sigma_cells: float = parameter(
        1.0, "standard deviation of the Gaussian that is the target of each heat map, in cells", ge=0.3, le=8
    )
    device: Device = parameter("auto", "auto uses CUDA if there is a GPU")
    precision: Precision = parameter("auto", "auto uses bfloat16 if the hardware multiplies it natively")
    workers: int = parameter(0, "number of loader processes; 0: the training process loads", ge=0, le=64)
    seed: int = parameter(2019, "seed of weights, order, augmentation and virtual patients", ge=0)
    deterministic: bool = parameter(True, "on a CPU, refuse operations that are not deterministic")
    width: float = parameter(1.0, "factor of the number of channels of the shared network", ge=0.125, le=8)
    augmentation: Augmentation = parameter(Augmentation(), "strengths of augmentation; 0 switches a kind off")
    virtual_pairs: int = parameter(
        0,
        "number of virtual patients, rendered on the device, that replace the train split, or are added to it with "
        "preload; 0: use the train split",
        ge=0,
    )
    virtual_frontals: int = parameter(
        0,
        "number of virtual frontal radiographs of other patients, added to virtual_pairs or, with preload, to the "
        "train split",
        ge=0,
    )
    severe_share: float = parameter(
        0.0, "share of the virtual_frontals with a Cobb angle of 45 to 95 degrees, all angles equally often", ge=0, le=1
    )
    virtual_varied: float = parameter(
        0.0,
        "share of virtual_pairs with flat and strongly curved backs, slips of all degrees, fractures, and the "
        "appearances of plain radiographs",
        ge=0,
        le=1,
    )
    reuse: int = parameter(8, "number of epochs after which a virtual patient is replaced; 0: never", ge=0)
    preload: bool = parameter(False, "prepare the data set's images once and keep them on the training device")
    severe_repeats: int = parameter(
        1, "how often an epoch uses an image of the train split with a Cobb angle of at least 45 degrees", ge=1, le=16
    )
    mirrored_average: bool = parameter(
        False, "the finished model averages an unclear frontal image with its mirror image, which takes one more run"
    )
    label_shift: int = parameter(0, "number of levels by which all level names of an image may be wrong", ge=0, le=2)
    devices: int = parameter(1, "number of GPUs that fit one model together; each has one process", ge=1, le=16)
    init_from: str | None = parameter(None, "model folder from whose weights a fit starts; bundled: the bundled model")
    next_stages: tuple[NextStage, ...] = parameter(
        (), "later stages; each stage has the next seed and starts from the best weights of the previous stage"
    )
    calibration_splits: tuple[CalibrationSplit, ...] = parameter(
        ("validation",),
        "splits whose patients calibrate the intervals; train is permitted if the fit does not learn from it",
    )

    def __post_init__(self) -> None:
        violations = violations_of(self) or self._contradictions()
        if violations:
            raise ParametersRejected(
                "TRAINING_CONFIG",
                found="; ".join(violations),
                expected="valid training parameters (`python -m training --help` lists them)",
                remedy="correct the named parameters",
            )

    @property
    def renders(self) -> bool:
        """Whether the fit learns from virtual patients that are rendered on the training device."""
        return self.virtual_pairs + self.virtual_frontals > 0

    @property
    def uses_train_split(self) -> bool:
        """Whether the fit learns from the train split of the data set."""
        return self.preload or not self.renders

    def replaced_each_epoch(self, count: int) -> int:
        """How many of ``count`` virtual patients are replaced by new patients each epoch."""
        return count // self.reuse if self.reuse else 0

    def _contradictions(self) -> list[str]:
        """Violations of rules about several parameters."""
        pairs, frontals, splits = self.virtual_pairs, self.virtual_frontals, self.calibration_splits
        batch = DRAWN_TOGETHER * max(self.reuse, 1) * self.devices
        multiple = f"not a multiple of {DRAWN_TOGETHER} x reuse x devices = {batch}"
        sizes_fit = all(size > 0 and size % 64 == 0 for size in self.input_shape)
        violations = {
            f"input_shape {self.input_shape}, not two positive multiples of 64": not sizes_fit,
            "no budget: give minutes or epochs": self.epochs is None and self.minutes is None,
            f"virtual_pairs {pairs}, {multiple}": pairs % batch != 0,
            f"virtual_frontals {frontals}, {multiple}": frontals % batch != 0,
            f"virtual_frontals {frontals} without virtual_pairs or preload": frontals > 0
            and not (pairs or self.preload),
            f"severe_share {self.severe_share:g} without virtual_frontals": self.severe_share > 0 and frontals == 0,
            f"severe_repeats {self.severe_repeats} without the train split": self.severe_repeats > 1
            and not self.uses_train_split,
            f"virtual_pairs {pairs}, fewer than batch_size {self.batch_size}": 0 < pairs < self.batch_size,
            "augmentation.cut or augmentation.shading without preload or virtual_pairs": (
                max(self.augmentation.cut, self.augmentation.shading) > 0 and not (self.preload or pairs > 0)
            ),
            "calibration_splits without a split": not splits,
            "calibration_splits with train, the split that the model learns from": self.uses_train_split
            and "train" in splits,
        }
        return [text for text, holds in violations.items() if holds]


@dataclass(frozen=True)
class TrainingConfig(TrainingParameters):
    """The config of a fit, which consists of the chosen parameters and the landmark set of the data set."""

    landmark_set: str = parameter("galbusera39", "landmark set of the data set")

    @property
    def names(self) -> tuple[str, ...]:
        """The landmarks to train, in the order of the landmark set."""
        every = LANDMARK_SETS[self.landmark_set].names
        return tuple(n for n in every if n in self.landmark_subset) if self.landmark_subset else every

    @property
    def stages(self) -> tuple["TrainingConfig", ...]:
        """The config of each stage. The fit sets ``init_from`` of the later stages."""
        found = [replace(self, next_stages=())]
        for number, changes in enumerate(self.next_stages, start=1):
            own = {name: value for name, value in asdict(changes).items() if value is not None}
            if own.keys() & {"minutes", "epochs"}:
                own = {"minutes": None, "epochs": None} | own
            found.append(replace(found[-1], seed=self.seed + number, **own))
        return tuple(found)

    def _contradictions(self) -> list[str]:
        known = LANDMARK_SETS.get(self.landmark_set)
        if known is None:
            return [f"landmark_set {self.landmark_set!r}, not one of {', '.join(LANDMARK_SETS)}"]
        strangers = [name for name in self.landmark_subset or () if name not in known.index]
        outside = [f"landmark_subset with {strangers[:5]}, not in {self.landmark_set}"] if strangers else []
        return outside + super()._contradictions()


def config_for(parameters: TrainingParameters, landmark_set: str) -> TrainingConfig:
    """The config of a fit that has these parameters and a data set with this landmark set."""
    chosen = {field.name: getattr(parameters, field.name) for field in fields(TrainingParameters)}
    return TrainingConfig(**chosen, landmark_set=landmark_set)


def config_to_json(config: TrainingConfig) -> dict[str, Any]:
    """The config as plain JSON values."""
    record: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return record


def config_from_json(record: Mapping[str, Any]) -> TrainingConfig:
    """The config from the result of ``config_to_json``. A missing key gets its default.

    Raises:
        ParametersRejected: a key is unknown, or a value is invalid.
    """
    unknown = unknown_names(TrainingConfig, record)
    if unknown:
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"unknown parameters {', '.join(unknown)}",
            expected="names that `python -m training --help` lists",
            remedy="correct the spelling of these names, or remove them",
        )
    config: TrainingConfig = built(TrainingConfig, record)
    return config
