"""params.yaml: every parameter of a workspace, validated strictly.

Contract: an unknown key is an error. All errors are reported at once. The file has every parameter that a stage of
``dvc.yaml`` depends on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from orchestration.pipeline.text_reader import TextReaderName
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.landmarks import LANDMARK_SETS
from spine.storage import write_text_atomically
from training.config import TrainingConfig, TrainingParameters, config_for
from training.fields import merged

SourceKind = Literal["virtual", "folder", "aasce", "ct-keypoints", "annotations"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where studies come from."""

    kind: SourceKind = Field(
        "virtual", description="the reader of the studies; corrections in `corrections/` are read beside it"
    )
    location: str = Field(
        "data/drop",
        description="folder, absolute or relative to the workspace; its path is stored as it is, so name no patient",
    )
    text_reader: TextReaderName = Field(
        "none", description="reader of text in the pixels of new studies; rapidocr needs the extra `ocr`"
    )
    accepted_text: tuple[str, ...] = Field(
        (), description="studies in quarantine whose text a person accepted, each as `NAME: reason`"
    )


class Cohort(_Strict):
    """The virtual cohort; only the source ``virtual`` uses it."""

    count: int = Field(274, ge=1, le=100_000, description="number of virtual patients")
    seed: int = Field(2026, ge=0, description="seed of the patients; not 2019, which was used to choose the recipe")
    rows: int = Field(512, ge=64, le=4096, description="rows of an image")
    columns: int = Field(256, ge=64, le=4096, description="columns of an image")
    downsample: float = Field(8.0, ge=1.0, le=32.0, description="detector pixels per image pixel")
    appearance: Literal["scanner", "mixed"] = Field(
        "scanner", description="mixed: also plates and screen films, which are harder to learn"
    )


class Dataset(_Strict):
    """Splits and landmark set."""

    landmark_set: str = Field(
        "margins175",
        description="the landmarks that are projected, trained and tested; studies without plate margins keep the "
        "landmarks that they have",
    )
    seed: int = Field(2019, description="seed of the splits")
    test_patients: int = Field(50, ge=1, description="number of patients in the frozen test set")
    validation_fraction: float = Field(
        0.06, gt=0.0, lt=0.5, description="share of the other patients in the validation split"
    )
    new_test_version: bool = Field(False, description="permit a new version of the frozen test set")

    @field_validator("landmark_set")
    @classmethod
    def _known_set(cls, name: str) -> str:
        if name not in LANDMARK_SETS:
            raise ValueError(f"no such landmark set; expected one of {', '.join(LANDMARK_SETS)}")
        return name


class Validation(_Strict):
    """The expectations on the data, and what happens to a study that fails an expectation."""

    profile: Literal["biplanar", "frontal_radiographs"] = Field("biplanar", description="the set of expectations")
    on_bad_study: Literal["stop", "exclude"] = Field(
        "stop", description="what to do when a study fails: stop the pipeline, or exclude the study"
    )
    second_reader: Literal["bundled", "champion", "none"] = Field(
        "bundled", description="the model that reads each new study again, to find wrong images and labels"
    )
    accepted: tuple[str, ...] = Field(
        (), description="studies that a person accepted although the second reader disagrees, each as `ID: reason`"
    )


class Gate(_Strict):
    """The policy that judges candidates."""

    policy: str = Field("default", description="a name in validation/gates/policies, or the path of a policy file")


class Drift(_Strict):
    """When new studies count as different from the training population."""

    minimum_studies: int = Field(10, ge=2, description="new studies that a comparison needs")
    false_discovery_rate: float = Field(
        0.01, gt=0.0, lt=1.0, description="limit of the p-value, adjusted for the number of features"
    )
    distance: float = Field(
        0.3, ge=0.0, le=1.0, description="limit of the distance of a feature: 0 means equal, 1 disjoint"
    )


class Retrain(_Strict):
    """The conditions under which new studies start a retraining."""

    minimum_new_studies: int = Field(20, ge=1, description="new studies that start a retraining")
    on_drift: bool = Field(False, description="whether drifted new studies start a retraining before they are so many")
    alert_after_days: int = Field(15, ge=1, description="days without a successful retraining before an alert")


def _as_violation(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Report a contradiction between training parameters like any other violation of the schema."""
    try:
        return validate(value)
    except ParametersRejected as error:
        raise ValueError(error.found) from error


FORMAT: Literal[5] = 5
"""Version of a workspace's files. Increase it when params.yaml or the layout of the workspace changes."""


class Params(_Strict):
    """All parameters of params.yaml."""

    format: Annotated[Literal[5], Field(description="version of the workspace's files; do not edit it")] = FORMAT
    source: Source = Source()  # type: ignore[call-arg]
    cohort: Cohort = Cohort()  # type: ignore[call-arg]
    dataset: Dataset = Dataset()  # type: ignore[call-arg]
    validation: Validation = Validation()  # type: ignore[call-arg]
    training: Annotated[TrainingParameters, WrapValidator(_as_violation)] = TrainingParameters(minutes=5.5)
    gate: Gate = Gate()  # type: ignore[call-arg]
    drift: Drift = Drift()  # type: ignore[call-arg]
    retrain: Retrain = Retrain()  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _subset_is_in_the_set(self) -> "Params":
        try:
            config_for(self.training, self.dataset.landmark_set)
        except ParametersRejected as error:
            raise ValueError(error.found) from error
        return self

    @property
    def training_config(self) -> TrainingConfig:
        """The configuration of the fit in the stage ``candidate``."""
        return config_for(self.training, self.dataset.landmark_set)

    def plain(self) -> dict[str, Any]:
        """Section -> name -> value, in plain YAML values."""
        return self.model_dump(mode="json")


def existing_workspace(folder: Path) -> Workspace:
    """The workspace in ``folder``; its parameters may be invalid.

    Raises:
        ParametersRejected: PARAMS_MISSING; WORKSPACE_FORMAT; PARAMS_INVALID if params.yaml is no YAML.
    """
    _content(Workspace(folder).params_file)
    return Workspace(folder)


def read_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Raises:
        ParametersRejected: PARAMS_MISSING; WORKSPACE_FORMAT; PARAMS_INVALID, with all violations.
    """
    return parse_params(_content(path), path.name)


def _content(path: Path) -> Any:
    """The YAML of params.yaml, of the present format."""
    try:
        # From bytes, YAML finds the encoding by itself (UTF-8 with or without a mark, UTF-16) and refuses any other.
        content = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader) or {}
    except FileNotFoundError as error:
        raise ParametersRejected(
            "PARAMS_MISSING",
            found=f"no {path.name} in {path.parent}",
            expected="a workspace folder with params.yaml",
            remedy="check the folder given with -w, or make a workspace with `plumbline init --workspace DIR`",
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise _rejected(path.name, [" ".join(str(error).split()).replace("<byte string>", path.name)]) from error
    _require_format(content, path)
    return content


def _require_format(content: Any, path: Path) -> None:
    if not isinstance(content, Mapping):
        return  # the schema refuses it
    found = content.get("format")
    if found != FORMAT:
        raise ParametersRejected(
            "WORKSPACE_FORMAT",
            found=f"{'no format' if found is None else f'format {found}'} in {path}",
            expected=f"format {FORMAT}, which this version reads",
            remedy="make the workspace anew: copy params.yaml, data/ and state/pseudonym.key to a new folder, delete "
            f"its data/landmarks and data/dataset, write `format: {FORMAT}` into its params.yaml, and run "
            "`plumbline run -w` with it. Champion and history stay in the old folder (docs/operations.md)",
        )


def parse_params(content: Mapping[str, Any], origin: str = "params.yaml") -> Params:
    """Validate a loaded mapping, as ``read_params`` does. ``origin`` names the source of its values."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise _rejected(origin, [_violation(e) for e in error.errors()]) from error


def _violation(error: Any) -> str:
    """One of pydantic's errors as text: the parameter, what is wrong, and the parameter's value."""
    name = ".".join(map(str, error["loc"])) or "file"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    return f"{name}: {error['msg']} (got {error['input']!r})"


def write_params(params: Params, path: Path) -> None:
    """Write params.yaml with all defaults, so that DVC sees every change."""
    header = "# All parameters of the pipeline. `plumbline params` lists names, ranges and defaults.\n"
    write_text_atomically(path, header + yaml.safe_dump(params.plain(), sort_keys=False))


def change_params(path: Path, changes: Mapping[str, Any], origin: str) -> Params:
    """Merge new values (section -> name -> value) into params.yaml, so that DVC and later readers see them.

    An error names ``origin`` as the source of the values.

    Raises:
        ParametersRejected: the file or a new value violates the schema; nothing is written.
    """
    params = read_params(path)
    changed = parse_params(merged(params.plain(), changes), f"{origin}; nothing was written")
    if changed != params:
        write_params(changed, path)
    return changed


def _rejected(origin: str, violations: list[str]) -> ParametersRejected:
    return ParametersRejected(
        "PARAMS_INVALID",
        found="; ".join(violations),
        expected="the names and ranges that `plumbline params` lists",
        remedy=f"correct {origin}",
    )
