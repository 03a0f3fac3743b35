"""What a validation of a data set is asked, and what it found."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spine.storage import write_text_atomically
from validation.dataset.expectation_run import RuleOutcome
from validation.dataset.suites import Minimums, Profile, Severity

OnBadStudy = Literal["stop", "exclude"]


class ValidationConfig(BaseModel):
    """Parameters of a validation (the ``validation`` section of params.yaml).

    Attributes:
        profile: ``biplanar`` (3D, mm) or ``frontal_radiographs`` (2D corner labels, relative units).
        on_bad_study: ``stop`` or ``exclude``; None: stop for ``biplanar``, exclude for ``frontal_radiographs``.
        worst_share: more bad studies than this share of all stop the run all the same.
        minimum_train, minimum_validation, minimum_test: studies each split must hold once bad ones are out.
        data_docs: whether to write Great Expectations' own pages (about a second).
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    profile: Profile = "biplanar"
    on_bad_study: OnBadStudy | None = None
    worst_share: Annotated[float, Field(ge=0, le=1)] = 0.15
    minimum_train: Annotated[int, Field(ge=1)] = 10
    minimum_validation: Annotated[int, Field(ge=1)] = 1
    minimum_test: Annotated[int, Field(ge=1)] = 5
    data_docs: bool = True

    @property
    def policy(self) -> OnBadStudy:
        """``on_bad_study``, or the profile's own."""
        return self.on_bad_study or ("stop" if self.profile == "biplanar" else "exclude")

    @property
    def minimums(self) -> Minimums:
        """Studies each split must hold."""
        return Minimums(self.minimum_train, self.minimum_validation, self.minimum_test)


@dataclass(frozen=True)
class Finding:
    """One rule that one study breaks; ``error`` makes the study unusable, ``warning`` is worth a look."""

    study_id: str
    rule: str
    message: str
    severity: Severity


@dataclass(frozen=True)
class Failure:
    """What is wrong with the data set as a whole.

    Attributes:
        code: ``BROKEN``, ``BAD_STUDIES``, ``TOO_MANY_BAD_STUDIES``, ``TOO_FEW_LEFT``, or a code of ``checkpoint``.
        table, rule: where; empty where it concerns all.
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
        success: whether the run may go on (with ``to_exclude`` excluded).
        failures: what stops it.
        findings: per study, errors first.
        to_exclude: studies to exclude before going on; empty under ``stop``.
        counts: studies, bad_studies, warned_studies, rules, rules_broken, rows per table, evaluated values.
        digest, test_digest: of the manifest looked at.
        outcomes: every rule with what it looked at.
        seconds: wall time.
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

    @property
    def findings_by_rule(self) -> dict[str, int]:
        """Rule -> number of studies that break it."""
        return dict(Counter(rule for rule, _ in {(f.rule, f.study_id) for f in self.findings}).most_common())


def write_result(result: ValidationResult, config: ValidationConfig, out: Path) -> None:
    """Write ``result.json`` atomically."""
    record = {"schema": "plumbline.validation/1", "config": config.model_dump(), **asdict(result)}
    write_text_atomically(out / "result.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_result(out: Path) -> dict[str, Any]:
    """``result.json`` as plain JSON, for pages and metadata."""
    record: dict[str, Any] = json.loads((out / "result.json").read_text())
    return record
