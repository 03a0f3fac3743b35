"""The rules of the validation, read from ``suites.yaml``, and the suites of each profile.

Contract: a suite is data that a function builds for each run; it is not stored. Every rule names the rows that it must
check, because a rule that checked no row proves nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import TypeAdapter

from spine.landmarks import VERTEBRAE, LandmarkSet
from spine.measurement.registry import PARAMETERS

Profile = Literal["biplanar", "frontal_radiographs"]
Severity = Literal["error", "warning"]
TableName = Literal["studies", "landmarks", "levels", "readings", "splits"]

KEYS: dict[TableName, tuple[str, ...]] = {
    "studies": ("study_id",),
    "landmarks": ("study_id", "view", "landmark"),
    "levels": ("study_id", "view", "level"),
    "readings": ("study_id", "view"),
    "splits": ("split",),
}
"""The columns that identify a row of each table."""

EVERY_ROW = "*"
"""The value of ``Rule.where`` if every row must have a value."""


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes:
        name: stable name, used in findings and reports.
        column: the column that the rule checks.
        statement: the rule in one sentence, for the reports.
        minimum, maximum: ends of the permitted range, which includes both; None where the range is open.
        allowed: the permitted values of a column of names.
        unique: whether all values of the column must differ.
        where: flag column that marks the rows that must have a value, or ``EVERY_ROW``; None if no row needs a value.
        at_least: number of evaluated rows that the rule requires; 0 only if a source may lack such values.
        unit: unit of the values.
        severity: ``error`` if a study that breaks the rule is unusable; ``warning`` if a person should check the study.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    column: str
    statement: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    unique: bool = False
    where: str | None = None
    at_least: int = 1
    unit: str = ""
    severity: Severity = "error"


@dataclass(frozen=True)
class Suite:
    """The rules for one table."""

    table: TableName
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Minimums:
    """The smallest permitted number of studies in each split."""

    train: int
    validation: int
    test: int


def suites(
    profile: Profile, landmark_set: LandmarkSet, minimums: Minimums, *, with_readings: bool = False
) -> tuple[Suite, ...]:
    """All suites of a profile. ``with_readings`` adds the suite on the readings of a second reader."""
    rules = _rules()
    corners = all(f"{level}_sup_left" in landmark_set.names for level in VERTEBRAE)
    paired = profile == "biplanar" or corners
    adapted: dict[str, dict[str, Any]] = {
        "known_landmark": {"allowed": landmark_set.names},
        "left_on_the_left": {"at_least": int(paired)},
    }
    corner_levels = rules["corner_levels"] if corners and profile == "frontal_radiographs" else ()
    sizes = tuple(
        Rule(f"enough_{split}", f"{split}_studies", f"at least {n} studies in {split}", n, where=f"is_{split}")
        for split, n in asdict(minimums).items()
    )
    return (
        Suite("studies", rules["studies"] + rules[f"{profile}_studies"]),
        Suite("landmarks", tuple(replace(rule, **adapted.get(rule.name, {})) for rule in rules["landmarks"])),
        Suite("levels", rules["levels"] + rules[f"{profile}_levels"] + corner_levels),
        *((Suite("readings", rules["readings"]),) if with_readings else ()),
        Suite("splits", rules["splits"] + sizes),
    )


@cache
def _rules() -> Mapping[str, tuple[Rule, ...]]:
    content = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    written = TypeAdapter(dict[str, tuple[Rule, ...]]).validate_python(content)
    return {table: tuple(_with_limits(rule) for rule in rules) for table, rules in written.items()}


def _with_limits(rule: Rule) -> Rule:
    """The rule; a rule on a parameter has the limits of the parameter, unless it has a range of its own."""
    if rule.column not in PARAMETERS or rule.minimum is not None or rule.maximum is not None:
        return rule
    low, high = PARAMETERS[rule.column].limits
    return replace(rule, minimum=low, maximum=high)
