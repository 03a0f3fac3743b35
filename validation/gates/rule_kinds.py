"""The kinds of rule in a policy. A rule names a figure, its limit and the reason for the limit.

Contract: a rule has exactly one limit, a reason and a source. Unknown keys, parameters and figures are refused.
"""

from typing import Annotated, Literal

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
    """The base of the policy's classes. They are frozen, check types strictly and refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Justified(Strict):
    """A number with the reason for its value, and the publication or measurement that it comes from."""

    reason: Text
    source: Text


class Bound(Justified):
    """One limit with its reason and source.

    Attributes:
        at_most, at_least: the limit. Exactly one of them is set. A figure equal to the limit passes.
        compare: the number that must keep the limit: the figure's value, or the low or high end of its 95 % interval.
    """

    at_most: Finite | None = None
    at_least: Finite | None = None
    compare: Literal["value", "low", "high"] = "value"

    @model_validator(mode="after")
    def _one_limit(self) -> "Bound":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a rule needs exactly one of at_most and at_least")
        if self.compare != "value" and (self.compare == "high") != (self.at_most is not None):
            raise ValueError("compare must be the cautious end of the interval: high with at_most, low with at_least")
        return self

    @property
    def threshold(self) -> float:
        """The limit, which is a ceiling or a floor."""
        limit = self.at_most if self.at_most is not None else self.at_least
        assert limit is not None
        return limit


def _known_parameter(name: str) -> str:
    if name not in PARAMETERS:
        raise ValueError(f"unknown parameter {name!r}; the known parameters are {', '.join(PARAMETERS)}")
    return name


ParameterName = Annotated[str, AfterValidator(_known_parameter)]


class ParameterRule(Bound):
    """A limit on one figure of a parameter. If ``magnitude`` is True, the absolute value of the figure is limited."""

    kind: Literal["parameter"]
    parameter: ParameterName
    figure: str
    magnitude: bool = False

    @model_validator(mode="after")
    def _magnitude_of_the_value(self) -> "ParameterRule":
        if self.magnitude and self.compare != "value":
            raise ValueError("a rule with magnitude needs compare: value")
        return self

    @field_validator("figure")
    @classmethod
    def _known_figure(cls, name: str) -> str:
        if name not in PARAMETER_FIGURES:
            raise ValueError(f"unknown figure {name!r}; the known figures are {', '.join(PARAMETER_FIGURES)}")
        return name


class LandmarkRule(Bound):
    """A limit on landmark errors or coverage in one space. The space ``any_view`` means each view of the record."""

    kind: Literal["landmarks"]
    space: Space
    group: str = "all"
    figure: LandmarkFigure


class LevelShiftRule(Bound):
    """A limit on the share of views with shifted level names, such as T12 named L1."""

    kind: Literal["level_shift"]


class TestSetRule(Bound):
    """The smallest size of the test set. With a smaller test set the verdict is INSUFFICIENT, whatever the figures."""

    __test__ = False

    kind: Literal["test_set"]
    figure: SetFigure


class TruthsRule(Bound):
    """The smallest number of true values of one parameter. With fewer true values the verdict is INSUFFICIENT."""

    kind: Literal["truths"]
    parameter: ParameterName


class PenalisedRule(Bound):
    """A limit on the errors of one parameter. A study without a prediction has the error ``penalty``.

    A worse prediction never improves these figures. Withholding a prediction does not improve them either if its error
    is below the penalty. Three such limits prevent that a refused model passes after it became worse (docs/gate.md has
    the proof): ``rmse`` at most 0.95 of the ceiling of the standard error, ``mae`` at most the ceiling of the bias, and
    ``explained`` at least 0.5.

    Attributes:
        figure: ``mae``, ``rmse`` or ``p95`` of |predicted - true|, or ``explained``. The explained share is 1 - (sum of
            squared errors) / (sum of squares of the true values about their mean).
        penalty: the error of a study without a prediction, in the parameter's unit.
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
            raise ValueError("an error needs a ceiling (at_most); the explained share needs a floor (at_least)")
        return self


class FailuresRule(Bound):
    """A limit on the share of studies in which any of ``parameters`` has a true value but no prediction."""

    kind: Literal["failures"]
    parameters: Annotated[list[ParameterName], Field(min_length=1)]


class CurveSideRule(Bound):
    """The smallest share of curves whose predicted convexity is on the correct side.

    Attributes:
        min_cobb_deg: the smallest true Cobb angle of a curve that counts.
        min_curves: the smallest number of such curves. With fewer curves the result is INSUFFICIENT.
    """

    kind: Literal["curve_side"]
    min_cobb_deg: Positive
    min_curves: Annotated[int, Field(ge=1)]


class OrientationRule(Bound):
    """The smallest share of predicted views that are not mirrored, among the views that could show mirroring."""

    kind: Literal["orientation"]


class IntervalsRule(Bound):
    """The smallest share of true values inside the model's 90 % intervals. A missing interval counts as a miss."""

    kind: Literal["intervals"]
    parameter: ParameterName


class CeilingRule(Bound):
    """A rule whose limit is a ceiling on the figure itself."""

    @model_validator(mode="after")
    def _has_ceiling(self) -> "CeilingRule":
        if self.at_most is None or self.compare != "value":
            raise ValueError("this rule needs a ceiling (at_most) and compare: value")
        return self

    def require_reached(self, penalty: float) -> None:
        """Refuse a penalty below the ceiling."""
        if penalty < self.threshold:
            raise ValueError("the penalty must not be below the ceiling; otherwise a model without predictions passes")


class IntervalScoreRule(CeilingRule):
    """A ceiling on the mean interval score of one parameter. The score is the interval's width plus 20 times the miss.

    The miss is the distance of the true value from the interval. The score of Gneiting and Raftery, with the weight
    2 / 0.1 for the miss, is smallest if 90 % intervals contain 90 % of the true values. A study without an interval has
    the score ``penalty``. No study has a larger score, so a model gains nothing by withholding an interval.
    """

    kind: Literal["interval_score"]
    parameter: ParameterName
    penalty: Positive

    @model_validator(mode="after")
    def _penalty_reaches_ceiling(self) -> "IntervalScoreRule":
        self.require_reached(self.penalty)
        return self


class PenalisedLandmarksRule(CeilingRule):
    """A ceiling on the mean landmark error in mm. A visible landmark that was missed has the error ``penalty_mm``."""

    kind: Literal["penalised_landmarks"]
    space: Space
    penalty_mm: Positive

    @model_validator(mode="after")
    def _penalty_reaches_ceiling(self) -> "PenalisedLandmarksRule":
        self.require_reached(self.penalty_mm)
        return self


class CostRule(Bound):
    """A limit on the wall time of a study in seconds, or on the size of the model in megabytes."""

    kind: Literal["cost"]
    figure: CostFigure


class CostBesideRule(CeilingRule):
    """A ceiling on the time of a study, as a multiple of the champion's time in the same run.

    Attributes:
        within_hours: the longest time between the evaluations of both models. Evaluations that are further apart belong
            to different runs and are not compared.
    """

    kind: Literal["cost_beside_champion"]
    figure: Literal["median_seconds"]
    within_hours: Positive


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
