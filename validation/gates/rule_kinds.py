"""The kinds of rule in a policy: which figure, which limit, and why.

Contract: a rule has exactly one limit, a reason and a source. Unknown keys, parameters and figures are refused.
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
Space = Literal["frontal", "lateral", "3d", "any_view"]
Text = Annotated[str, Field(min_length=8)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Frozen and strict; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Bound(Strict):
    """One limit with its reason.

    Attributes:
        at_most, at_least: the limit, exactly one of them; a figure equal to the limit passes.
        reason: why this limit; source: where the number comes from.
        compare: which number must keep the limit: the figure itself, or an end of its 95 % interval.
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
            raise ValueError("compare the cautious end: high with at_most, low with at_least")
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
    """A limit on a figure of one parameter's agreement; with ``magnitude``, on its absolute value."""

    kind: Literal["parameter"]
    parameter: ParameterName
    figure: str
    magnitude: bool = False

    @model_validator(mode="after")
    def _magnitude_of_the_value(self) -> "ParameterRule":
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
    """A limit on landmark errors or coverage in one space; with ``any_view``, in each view of the record."""

    kind: Literal["landmarks"]
    space: Space
    group: str = "all"
    figure: LandmarkFigure


class LevelShiftRule(Bound):
    """A limit on the share of views in which the names of the levels are shifted."""

    kind: Literal["level_shift"]


class TestSetRule(Bound):
    """The smallest test set; with a smaller one the verdict is INSUFFICIENT, whatever the figures."""

    __test__ = False

    kind: Literal["test_set"]
    figure: SetFigure


class TruthsRule(Bound):
    """The smallest number of truths of one parameter; with fewer the verdict is INSUFFICIENT."""

    kind: Literal["truths"]
    parameter: ParameterName


class PenalisedRule(Bound):
    """A limit on the errors of one parameter in which an unanswered study counts as well.

    These figures are monotone: a worse answer never improves them, and neither does withholding an answer whose error
    is below the penalty. A policy that limits ``rmse`` to 0.95 of the ceiling of the standard error, ``mae`` to the
    ceiling of the bias and asks for ``explained`` of 0.5 or more cannot be passed by making a refused model worse
    (docs/gate.md).

    Attributes:
        figure: ``mae``, ``rmse``, ``p95`` of |predicted - true|, or ``explained``: 1 - (sum of squared errors) / (sum
            of squares of the truths about their mean).
        penalty: the error of an unanswered study, in the parameter's unit.
    """

    kind: Literal["penalised"]
    parameter: ParameterName
    figure: PenalisedFigure
    penalty: Positive

    @model_validator(mode="after")
    def _direction(self) -> "PenalisedRule":
        if self.compare != "value":
            raise ValueError("a penalised figure has no interval: compare must be value")
        if (self.figure == "explained") != (self.at_least is not None):
            raise ValueError("errors have a ceiling (at_most), the explained share has a floor (at_least)")
        return self


class FailuresRule(Bound):
    """A limit on the share of studies with a truth but no answer in any of ``parameters``."""

    kind: Literal["failures"]
    parameters: Annotated[list[ParameterName], Field(min_length=1)]


class CurveSideRule(Bound):
    """The smallest share of curves whose convexity was found on the right side.

    Attributes:
        min_cobb_deg: curves with a smaller true Cobb angle are not counted.
        min_curves: with fewer curves the evidence is insufficient.
    """

    kind: Literal["curve_side"]
    min_cobb_deg: Positive
    min_curves: Annotated[int, Field(ge=1)]


class OrientationRule(Bound):
    """The smallest share of views answered without mirroring, of the views in which mirroring can be seen."""

    kind: Literal["orientation"]


class IntervalsRule(Bound):
    """The smallest share of truths inside the model's 90 % intervals; a missing interval contains no truth."""

    kind: Literal["intervals"]
    parameter: ParameterName


class IntervalScoreRule(Bound):
    """A ceiling on the mean interval score of one parameter: the interval's width plus 20 times the miss.

    The score of Gneiting and Raftery (the miss is weighted by 2 / 0.1) is smallest for intervals that contain the truth
    as often as they claim: a wider interval contains more truths and pays for its width. A study without an interval
    scores ``penalty``, and no study scores more, so withholding an interval gains nothing.
    """

    kind: Literal["interval_score"]
    parameter: ParameterName
    penalty: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "IntervalScoreRule":
        return _require_penalty_above_ceiling(self, self.penalty)


class PenalisedLandmarksRule(Bound):
    """A ceiling on the mean landmark error in mm in which visible points that were not found count as well.

    Attributes:
        space: as in ``LandmarkRule``; penalty_mm: the error of a point that was not found.
    """

    kind: Literal["penalised_landmarks"]
    space: Space
    penalty_mm: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "PenalisedLandmarksRule":
        return _require_penalty_above_ceiling(self, self.penalty_mm)


def _require_penalty_above_ceiling(rule: Penalised, penalty: float) -> Penalised:
    if rule.at_most is None or rule.compare != "value":
        raise ValueError("a penalised error needs a ceiling (at_most) and compare: value")
    if penalty < rule.at_most:
        raise ValueError("a penalty below the ceiling passes a model that answers nothing")
    return rule


class CostRule(Bound):
    """A limit on the cost of an answer: wall seconds of a study, megabytes of the model."""

    kind: Literal["cost"]
    figure: CostFigure


class CostBesideRule(Bound):
    """A ceiling on the time of a study as a multiple of the champion's, where both were timed in the same run.

    Attributes:
        within_hours: two evaluations that began further apart than this are two runs.
    """

    kind: Literal["cost_beside_champion"]
    figure: Literal["median_seconds"]
    within_hours: Positive

    @model_validator(mode="after")
    def _ceiling(self) -> "CostBesideRule":
        if self.at_most is None or self.compare != "value":
            raise ValueError("a multiple of the champion's time needs a ceiling (at_most) and compare: value")
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
