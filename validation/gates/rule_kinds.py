"""The kinds of rule a policy may hold: which figure, which limit, and why.

Contract: a rule has exactly one limit, a reason and a source; unknown keys, parameters and figures are refused.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import FIGURES

PARAMETER_FIGURES: tuple[str, ...] = ("coverage", *FIGURES)
LandmarkFigure = Literal["coverage", "mean_mm", "median_mm", "p95_mm", "median_px"]
SetFigure = Literal["patients", "studies"]
PenalisedFigure = Literal["mae", "rmse", "p95", "explained"]
CostFigure = Literal["median_seconds", "p95_seconds", "model_mb"]
Text = Annotated[str, Field(min_length=8)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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


Penalised = TypeVar("Penalised", bound=Bound)


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


class PenalisedRule(Bound):
    """A limit on the errors of one parameter, in which a study without an answer counts as well.

    Only such a figure is monotone: it never gets better by a worse answer, nor by withholding one that is off by less
    than the penalty. A policy that holds ``rmse`` below 0.95 of the ceiling of the standard error, ``mae`` at that of
    the bias and ``explained`` at 0.5 or more cannot be passed by making a refused model worse (docs/gate.md).

    Attributes:
        figure: ``mae``, ``rmse``, ``p95`` of |predicted - true|, or ``explained``: 1 - (sum of squared errors) / (sum
            of squares of the truths about their mean).
        penalty: what a study without an answer counts as, in the parameter's unit.
    """

    kind: Literal["penalised"]
    parameter: ParameterName
    figure: PenalisedFigure
    penalty: Positive

    @model_validator(mode="after")
    def _direction(self) -> "PenalisedRule":
        if self.compare != "value":
            raise ValueError("a penalised rule is held against the value")
        if (self.figure == "explained") != (self.at_least is not None):
            raise ValueError("errors have a ceiling (at_most), the explained share a floor (at_least)")
        return self


class FailuresRule(Bound):
    """A limit on the share of studies in which any of the parameters was not answered though it has a truth."""

    kind: Literal["failures"]
    parameters: Annotated[list[ParameterName], Field(min_length=1)]


class CurveSideRule(Bound):
    """A floor on the share of curves whose convexity was found on the right side.

    Attributes:
        least_deg: true Cobb angle from which on a curve has a side worth the name.
        least: curves; with fewer the evidence is insufficient.
    """

    kind: Literal["curve_side"]
    least_deg: Positive
    least: Annotated[int, Field(ge=1)]


class OrientationRule(Bound):
    """A floor on the share of views answered the right way round, of those in which a mirror would show."""

    kind: Literal["orientation"]


class IntervalsRule(Bound):
    """A floor on the share of truths that the model's 90 % intervals hold; no interval holds nothing."""

    kind: Literal["intervals"]
    parameter: ParameterName


class IntervalScoreRule(Bound):
    """A ceiling on the mean interval score of one parameter's 90 % intervals: the width, and 20 times any miss.

    The score of Gneiting and Raftery, 2 / 0.1 times the miss, is smallest for intervals that hold as often as they
    claim: a wider one holds more and pays for its width. A study scores at most ``penalty``, and without an interval
    just that, so that none gets better by saying nothing.
    """

    kind: Literal["interval_score"]
    parameter: ParameterName
    penalty: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "IntervalScoreRule":
        return _penalty_above_ceiling(self, self.penalty)


class PenalisedLandmarksRule(Bound):
    """A ceiling on the mean landmark error in mm, in which a point that the image shows and nobody found counts too.

    Attributes:
        space: as in ``LandmarkRule``; penalty_mm: what a point that was not found counts as.
    """

    kind: Literal["penalised_landmarks"]
    space: Literal["frontal", "lateral", "3d", "any_view"]
    penalty_mm: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "PenalisedLandmarksRule":
        return _penalty_above_ceiling(self, self.penalty_mm)


def _penalty_above_ceiling(rule: Penalised, penalty: float) -> Penalised:
    if rule.at_most is None or rule.compare != "value":
        raise ValueError("a penalised error has a ceiling (at_most), held against the value")
    if penalty < rule.at_most:
        raise ValueError("a penalty below the ceiling lets a model pass that answers nothing")
    return rule


class CostRule(Bound):
    """A limit on what an answer costs: wall seconds of a study, megabytes of the model."""

    kind: Literal["cost"]
    figure: CostFigure


class CostBesideRule(Bound):
    """A ceiling on the time of a study in multiples of the champion's, where both were timed in the same run.

    Attributes:
        within_hours: how far apart the two evaluations may have begun to count as the same run.
    """

    kind: Literal["cost_beside_champion"]
    figure: Literal["median_seconds"]
    within_hours: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "CostBesideRule":
        if self.at_most is None or self.compare != "value":
            raise ValueError("times the champion's time is a ceiling (at_most), held against the value")
        return self


Rule = Annotated[
    ParameterRule
    | LandmarkRule
    | LevelShiftRule
    | TestSetRule
    | TruthsRule
    | PenalisedRule
    | FailuresRule
    | CurveSideRule
    | OrientationRule
    | IntervalsRule
    | IntervalScoreRule
    | PenalisedLandmarksRule
    | CostRule
    | CostBesideRule,
    Field(discriminator="kind"),
]
