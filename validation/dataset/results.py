"""The parameters and the result of a dataset's validation."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from spine.storage import write_text_atomically
from validation.dataset.expectation_run import RuleOutcome
from validation.dataset.suites import Minimums, Profile, Severity

OnBadStudy = Literal["stop", "exclude"]
SecondReader = Literal["bundled", "champion", "none"]


class ValidationConfig(BaseModel):
    """Parameters of a validation (the ``validation`` section of params.yaml).

    Attributes:
        profile: ``biplanar`` (3D, mm) or ``frontal_radiographs`` (2D corner labels, relative units).
        on_bad_study: ``stop`` or ``exclude``. None: ``stop`` for ``biplanar``, ``exclude`` for ``frontal_radiographs``.
        max_bad_share: largest permitted share of studies with errors. A larger share stops the run, also with
            ``exclude``.
        second_reader: the model that reads every image again, or ``none``.
        accepted: studies that a person accepted although the second reader disagrees, each as ``ID: reason``. For
            them, errors of the second reader's rules are warnings.
        minimum_train, minimum_validation, minimum_test: number of studies that each split must have after exclusion.
        data_docs: whether to write Great Expectations' own pages, which takes about a second.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    profile: Profile = "biplanar"
    on_bad_study: OnBadStudy | None = None
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.15
    second_reader: SecondReader = "bundled"
    accepted: tuple[str, ...] = ()
    minimum_train: Annotated[int, Field(ge=1)] = 10
    minimum_validation: Annotated[int, Field(ge=1)] = 1
    minimum_test: Annotated[int, Field(ge=1)] = 5
    data_docs: bool = True

    @property
    def accepted_studies(self) -> dict[str, str]:
        """Study id -> why a person accepted the study."""
        parts = (entry.partition(":") for entry in self.accepted)
        return {study.strip(): reason.strip() for study, _, reason in parts}

    @property
    def policy(self) -> OnBadStudy:
        """What happens to a study with errors: ``on_bad_study``, or the default of the profile."""
        return self.on_bad_study or ("stop" if self.profile == "biplanar" else "exclude")

    @property
    def minimums(self) -> Minimums:
        """The number of studies that each split must have after exclusion."""
        return Minimums(self.minimum_train, self.minimum_validation, self.minimum_test)


@dataclass(frozen=True)
class Finding:
    """One rule that one study breaks. An ``error`` makes the study unusable; a person should check a ``warning``."""

    study_id: str
    rule: str
    message: str
    severity: Severity


@dataclass(frozen=True)
class Failure:
    """An error of the dataset as a whole.

    Attributes:
        code: ``BROKEN``, ``BAD_STUDIES``, ``TOO_MANY_BAD_STUDIES``, ``TOO_FEW_LEFT``, or a code of
            ``expectation_run``.
        table, rule: where the error was found; empty for an error of the whole dataset.
        message: what was found and what was expected.
    """

    code: str
    table: str
    rule: str
    message: str


@dataclass(frozen=True)
class ValidationResult:
    """The outcome of one validation.

    Attributes:
        success: whether the run may continue after the studies in ``to_exclude`` are excluded.
        failures: errors that stop the run.
        findings: all findings, errors first, then ordered by study.
        to_exclude: studies to exclude before the run continues; empty if the policy is ``stop``.
        counts: name -> number: studies (all, bad, warned, with reference values from plate centres alone), rules (all,
            broken), evaluated values, rows of each table.
        digest, test_digest: digests of the validated manifest and of its test set.
        outcomes: the outcome of every rule.
        seconds: wall time of the validation.
    """

    success: bool
    failures: tuple[Failure, ...]
    findings: tuple[Finding, ...]
    to_exclude: tuple[str, ...]
    counts: Mapping[str, int]
    digest: str
    test_digest: str
    outcomes: tuple[RuleOutcome, ...]
    seconds: float


def write_result(result: ValidationResult, config: ValidationConfig, out: Path) -> None:
    """Write ``result.json`` atomically."""
    record = {"schema": "plumbline.validation/1", "config": config.model_dump(), **asdict(result)}
    write_text_atomically(out / "result.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
