"""params.yaml: every parameter of a chain, validated strictly.

Contract: an unknown key is an error, all errors are reported at once, and the file names everything a stage of
``dvc.yaml`` depends on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spine.errors import ParametersRejected
from spine.landmarks import LANDMARK_SETS
from spine.storage import write_text_atomically

SourceKind = Literal["virtual", "folder", "aasce", "ct-keypoints"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where studies come from; ``location`` is a path, relative to the workspace unless absolute."""

    kind: SourceKind = "virtual"
    location: str = "data/drop"


class Cohort(_Strict):
    """The virtual cohort (only read when the source is ``virtual``)."""

    count: int = Field(274, ge=1, le=100_000)
    seed: int = Field(2026, ge=0, description="not 2019: the recipe was chosen on that cohort")
    rows: int = Field(512, ge=64, le=4096)
    columns: int = Field(256, ge=64, le=4096)
    downsample: float = Field(8.0, ge=1.0, le=32.0)
    looks: Literal["scanner", "mixed"] = Field(
        "scanner", description="mixed: plates and radiographs too, harder to learn"
    )


class Dataset(_Strict):
    """Splits and landmark set."""

    landmark_set: str = "galbusera39"
    seed: int = 2019
    test_patients: int = Field(50, ge=1)
    validation_fraction: float = Field(0.06, gt=0.0, lt=0.5)

    @field_validator("landmark_set")
    @classmethod
    def _known_set(cls, name: str) -> str:
        if name not in LANDMARK_SETS:
            raise ValueError(f"no such landmark set; there are {', '.join(LANDMARK_SETS)}")
        return name

    new_test_version: bool = Field(False, description="let the frozen test set change, openly, with a new version")


class Validation(_Strict):
    """Which expectations, and what happens to a study that breaks one."""

    profile: Literal["biplanar", "frontal_radiographs"] = "biplanar"
    on_bad_study: Literal["stop", "exclude"] = "stop"


class Training(_Strict):
    """Budget and recipe; what is not named here has the preset's default."""

    preset: Literal["shared", "galbusera2019"] = "shared"
    landmarks: list[str] | None = Field(None, description="subset for galbusera2019, all when null")
    minutes: float | None = Field(5.5, gt=0.0)
    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(8, ge=1)
    input_rows: int = Field(512, ge=64)
    input_columns: int = Field(256, ge=64)
    heatmap_stride: Literal[4, 8] = Field(8, description="input pixels per heat-map cell; 4 takes twice the time")
    learning_rate: float = Field(1e-3, gt=0.0)
    preload: bool = Field(False, description="keep prepared images on the training device; needs memory for them all")
    label_shift: int = Field(
        0, ge=0, le=2, description="levels the labels' names may be off as a whole, on radiographs"
    )
    init_from: str | None = Field(None, description="folder of a fitted model to start from, or: bundled")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "32", "bf16-mixed"] = "auto"
    workers: int = Field(0, ge=0, le=64)
    seed: int = 2019
    devices: int = Field(1, ge=1, le=16, description="GPUs that fit together, a process each, under torchrun")


class Gate(_Strict):
    """Which policy judges (a name in validation/gates/policies, or a path)."""

    policy: str = "default"


class Retrain(_Strict):
    """When new data ask for a new model."""

    minimum_new_studies: int = Field(20, ge=1)


class Params(_Strict):
    """All of params.yaml."""

    source: Source = Source()
    cohort: Cohort = Cohort()  # type: ignore[call-arg]
    dataset: Dataset = Dataset()  # type: ignore[call-arg]
    validation: Validation = Validation()
    training: Training = Training()  # type: ignore[call-arg]
    gate: Gate = Gate()
    retrain: Retrain = Retrain()  # type: ignore[call-arg]


def read_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Raises:
        ParametersRejected: the file is missing, is not YAML, or breaks the schema; all violations are named.
    """
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError as error:
        raise ParametersRejected(
            "PARAMS_MISSING",
            found=f"no {path.name} in {path.parent.name}/",
            expected="a workspace",
            remedy="run `plumbline init --workspace DIR`",
        ) from error
    except yaml.YAMLError as error:
        raise _rejected(path.name, [str(error).replace("\n", " ")]) from error
    return parse_params(content, path.name)


def parse_params(content: Mapping[str, Any], origin: str = "params.yaml") -> Params:
    """Validate an already loaded mapping, whose values came from ``origin``; see ``read_params``."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise _rejected(origin, found) from error


def write_params(params: Params, path: Path) -> None:
    """Write params.yaml in full, defaults spelled out, so that DVC sees every change."""
    header = "# Everything the chain reads. Schema, defaults and ranges: orchestration/pipeline/params.py\n"
    write_text_atomically(path, header + yaml.safe_dump(params.model_dump(), sort_keys=False))


def _rejected(origin: str, violations: list[str]) -> ParametersRejected:
    return ParametersRejected(
        "PARAMS_INVALID",
        found="; ".join(violations),
        expected="the keys and ranges of orchestration/pipeline/params.py",
        remedy=f"correct {origin}",
    )
