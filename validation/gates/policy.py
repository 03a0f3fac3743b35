"""The policy: what a model must show before it may serve, as data.

What belongs here: the form of a policy file, its strict reading, its hash. What does not: weighing evidence
against it (``verdict``). Contract: an unknown key, an unknown parameter or figure, a threshold that is not
finite, a rule without a reason or a source is refused; nothing is filled in that would let a model pass. The hash
covers the meaning of the file (its parsed content), and every verdict carries it.

To add a rule to a policy, add an entry to ``rules``. To add a kind of rule: a class here with a new ``kind``, a
branch in ``Rule``, and its weighing in ``rules.weigh``.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spine.errors import ParametersRejected
from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import FIGURES
from validation.evaluation.sealing import digest_of

SCHEMA = "plumbline.policy/1"
DEFAULT_POLICY = Path(__file__).parent / "policies" / "default.yaml"
FRONTAL_FILMS_POLICY = Path(__file__).parent / "policies" / "frontal_films.yaml"

PARAMETER_FIGURES: tuple[str, ...] = ("coverage", *FIGURES)
LandmarkFigure = Literal["coverage", "mean_mm", "median_mm", "p95_mm", "median_px"]
SetFigure = Literal["patients", "studies"]
Text = Annotated[str, Field(min_length=8)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """Frozen, strict, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Bound(Strict):
    """One limit with its reason.

    Attributes:
        at_most, at_least: exactly one of them; the limit itself passes.
        reason: why this limit; source: where the number comes from.
        compare: which number is held against the limit: the figure itself, or an end of its 95 % interval.
    """

    at_most: Finite | None = None
    at_least: Finite | None = None
    reason: Text
    source: Text
    compare: Literal["value", "low", "high"] = "value"

    @model_validator(mode="after")
    def _one_limit(self) -> "Bound":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a rule needs exactly one of at_most and at_least")
        if self.compare != "value" and (self.compare == "high") != (self.at_most is not None):
            raise ValueError("hold the high end against at_most and the low end against at_least: the cautious end")
        return self

    @property
    def threshold(self) -> float:
        """The limit."""
        limit = self.at_most if self.at_most is not None else self.at_least
        assert limit is not None
        return limit


def _known_parameter(name: str) -> str:
    if name not in PARAMETERS:
        raise ValueError(f"unknown parameter {name!r}; known are {', '.join(PARAMETERS)}")
    return name


ParameterName = Annotated[str, AfterValidator(_known_parameter)]


class ParameterRule(Bound):
    """A limit on a figure of one parameter's agreement; ``magnitude`` takes the figure without its sign."""

    kind: Literal["parameter"]
    parameter: ParameterName
    figure: str
    magnitude: bool = False

    @model_validator(mode="after")
    def _size_of_value(self) -> "ParameterRule":
        if self.magnitude and self.compare != "value":
            raise ValueError("magnitude goes with compare: value")
        return self

    @field_validator("figure")
    @classmethod
    def _known_figure(cls, name: str) -> str:
        if name not in PARAMETER_FIGURES:
            raise ValueError(f"unknown figure {name!r}; known are {', '.join(PARAMETER_FIGURES)}")
        return name


class LandmarkRule(Bound):
    """A limit on landmark errors or coverage in one space (``any_view``: each view of the record must keep it)."""

    kind: Literal["landmarks"]
    space: Literal["frontal", "lateral", "3d", "any_view"]
    group: str = "all"
    figure: LandmarkFigure


class LevelShiftRule(Bound):
    """A limit on the share of views whose chain of level names is shifted."""

    kind: Literal["level_shift"]


class TestSetRule(Bound):
    """A floor on the size of the test set; below it the evidence is insufficient, whatever it says."""

    __test__ = False

    kind: Literal["test_set"]
    figure: SetFigure


class TruthsRule(Bound):
    """A floor on the number of truths of one parameter; below it the evidence is insufficient."""

    kind: Literal["truths"]
    parameter: ParameterName


Rule = Annotated[ParameterRule | LandmarkRule | LevelShiftRule | TestSetRule | TruthsRule, Field(discriminator="kind")]


class Margin(Strict):
    """How much worse than the champion a parameter's mean absolute error may be; ``penalty`` bounds the loss.

    Attributes:
        margin: degrees (or mm); the upper 97.5 % bound of the paired difference must lie below it.
        penalty: the loss of a study that was not answered, and the most that one answer can cost.
    """

    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    reason: Text
    source: Text


class Comparison(Strict):
    """How the challenger is held against the champion, re-scored on the same test set.

    Attributes:
        margins: parameter -> margin; every one must be kept.
        required_gain: the challenger replaces the champion only where the upper 97.5 % bound of the paired loss,
            in margins and averaged over the parameters, lies below minus this: a tie does not replace.
        resamples, seed: of the bootstrap over patients.
    """

    margins: Annotated[dict[ParameterName, Margin], Field(min_length=1)]
    required_gain: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    resamples: Annotated[int, Field(ge=1000)] = 4000
    seed: int = 20190405
    reason: Text


class FirstChampion(Strict):
    """Whether a model may become champion where there is none, without a human's approval."""

    decision: Literal["allowed", "needs_approval"]
    reason: Text


class Evidence(Strict):
    """Which evidence counts.

    Attributes:
        patients: ``virtual``, ``real`` or ``any``; a record never mixes them.
        dirty_code: whether figures from a working tree that differs from its commit count.
    """

    patients: Literal["virtual", "real", "any"]
    dirty_code: Literal["allowed", "refused"]
    reason: Text


class Approval(Strict):
    """When a human must agree before a model serves.

    Attributes:
        required: ``always``; ``first_champion``, where there is nothing to compare with; ``never``.
        ttl_hours: how long a grant is good, unless its giver says less.
    """

    required: Literal["always", "first_champion", "never"] = "never"
    ttl_hours: Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)] = 72.0
    reason: Text = "nobody is asked; a hospital sets always here"


class PhantomStudy(Strict):
    """What a model must answer on the bundled virtual patient before it serves: that it works, not how well.

    Attributes:
        tolerance_deg: farthest that an angle may lie from the truth: by default about twice the loosest ceiling of the
            default policy (11.5), so that a model which keeps the ceilings is not stopped by the luck of one patient.
        least_answers: parameters that must have a value.
        times_the_champion: how much slower than the champion it may be.
        seconds: longest time for the study, with or without a champion.
    """

    tolerance_deg: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 25.0
    least_answers: Annotated[int, Field(ge=0)] = 1
    times_the_champion: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 10.0
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    reason: Text = "a model that answers NaN, another schema or ten times slower must not serve"


class Policy(Strict):
    """A whole policy; ``approval`` and ``phantom_study`` may be left out, and then say what their classes say."""

    schema_: Literal["plumbline.policy/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[int, Field(ge=1)]
    purpose: Text
    evidence: Evidence
    first_champion: FirstChampion
    rules: Annotated[list[Rule], Field(min_length=1)]
    comparison: Comparison
    approval: Approval = Field(default_factory=Approval)
    phantom_study: PhantomStudy = Field(default_factory=PhantomStudy)

    @model_validator(mode="after")
    def _whole(self) -> "Policy":
        errors = {
            r.parameter for r in self.rules if isinstance(r, ParameterRule) and r.figure == "standard_error_of_estimate"
        }
        covered = {r.parameter for r in self.rules if isinstance(r, ParameterRule) and r.figure == "coverage"}
        counted = {r.parameter for r in self.rules if isinstance(r, TruthsRule)}
        for missing, what in ((errors - covered, "coverage floor"), (errors - counted, "least number of truths")):
            if missing:
                raise ValueError(f"an error ceiling without a {what} can be gamed: {', '.join(sorted(missing))}")
        if not errors:
            raise ValueError("a policy without any error ceiling lets everything pass")
        if not any(isinstance(r, TestSetRule) for r in self.rules):
            raise ValueError("a policy needs a least size of the test set")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 over the parsed content: comments and layout do not matter, every number and reason does."""
        content = self.model_dump(mode="json", by_alias=True)
        for section in {"approval", "phantom_study"} - self.model_fields_set:
            del content[section]  # a policy written before they existed keeps its hash
        return digest_of(SCHEMA, content)


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        ParametersRejected: ``POLICY_MISSING``, ``POLICY_UNREADABLE`` or ``POLICY_INVALID``, with every violation.
    """
    if not path.is_file():
        raise _refused("POLICY_MISSING", f"no file {path.name}", "a policy in YAML", "name one of the policies")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused("POLICY_UNREADABLE", f"{path.name}: {error}", "YAML", "correct the file") from error
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:10])
        raise _refused(
            "POLICY_INVALID", f"{path.name}: {found}", f"a policy of schema {SCHEMA}", "correct the named keys"
        ) from error


def _refused(code: str, found: str, expected: str, remedy: str) -> ParametersRejected:
    return ParametersRejected(code, found=found, expected=expected, remedy=remedy)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite real number: not None, not NaN, not infinite, not a string, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
