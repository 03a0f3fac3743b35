"""The sections of a policy on comparisons: margins, power, subgroups, the approved baseline, the spread between seeds.

Contract: every number has a reason, and a source if it was measured or published. The section ``comparison`` is
required. The other sections have no default. If a policy omits a section, the verdict reports that it was not required.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from validation.gates.expansion import for_each_parameter
from validation.gates.rule_kinds import Justified, ParameterName, Positive, Strict, Text

Grouping = Literal["condition", "severity", "field_of_view", "age", "sex", "appearance", "anatomy"]
WhenUnknown = Literal["report_only", "insufficient"]
"""The consequence of a missing comparison: only a line in the verdict, or the decision INSUFFICIENT."""


class Margin(Justified):
    """The non-inferiority margin of one parameter's mean absolute error.

    Attributes:
        margin: a limit in the parameter's unit. The upper 97.5 % bound of the paired difference must lie below it.
        penalty: the loss of a study without a prediction. No study has a larger loss.
        planned_sd: the assumed SD of the paired differences, from which the power is calculated. It is required if the
            policy limits the power.
    """

    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    planned_sd: Positive | None = None


class Power(Justified):
    """The limit on the power of the non-inferiority test. The power is the probability that an equal model passes.

    Attributes:
        at_least: the smallest power that the test set may give, computed with each margin's ``planned_sd``. With less
            power the verdict is INSUFFICIENT. The observed SD is not used, because it may become smaller when a model
            becomes worse.
    """

    at_least: Annotated[float, Field(gt=0, lt=1)]


class Equal(Justified):
    """When a person may approve a challenger that was not shown to be better: it is equal, and learnt from new data.

    Attributes:
        within: the upper 97.5 % bound of the mean paired difference over all parameters, in margins, must lie below
            this number. Every parameter must also keep its margin.
        new_patients: the smallest number of patients from which the challenger learnt and the champion did not.
    """

    within: Positive
    new_patients: Annotated[int, Field(ge=1)]


class Comparison(Strict):
    """The comparison of the challenger with the champion. Both models are evaluated on the same test set.

    Attributes:
        margins: parameter -> margin. The challenger must keep every margin. A policy file writes the margins as
            ``margin: {cobb: 1.0}, penalty: 30.0, ...``.
        required_gain: the smallest gain, in margins. The paired differences of the parameters, each divided by its
            margin, are averaged. The upper 97.5 % bound of the average must lie below ``-required_gain``.
        equal: when an approval may replace the gain; None if it never may.
        resamples: number of bootstrap resamples of the patients.
    """

    margins: Annotated[dict[ParameterName, Margin], BeforeValidator(for_each_parameter), Field(min_length=1)]
    required_gain: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    equal: Equal | None = None
    resamples: Annotated[int, Field(ge=1000)] = 4000
    seed: int = 20190405
    power: Power | None = None
    reason: Text

    @model_validator(mode="after")
    def _planned(self) -> "Comparison":
        missing = [name for name, margin in self.margins.items() if margin.planned_sd is None]
        if self.power is not None and missing:
            raise ValueError(f"the section power needs a planned_sd for {', '.join(missing)}")
        return self


class Subgroups(Justified):
    """Limits in groups of patients.

    Attributes:
        by: the groupings to report and judge.
        min_studies: the smallest number of studies with a true value in a judged group. A smaller group is only shown.
        times_margin: the limit for a group's paired difference, as a multiple of the margin. The upper bound of the
            difference must lie below this limit.
        mae_at_most: parameter -> ceiling of a group's mean absolute error. A study without a prediction has the error
            ``Margin.penalty``.
    """

    by: Annotated[list[Grouping], Field(min_length=1)]
    min_studies: Annotated[int, Field(ge=2)]
    times_margin: Positive
    mae_at_most: dict[ParameterName, Positive] = Field(default_factory=dict)


class Baseline(Justified):
    """The comparison with the last model that a person approved. It prevents that small losses add up unnoticed.

    Attributes:
        absent: the consequence if no person has approved a model yet.
        times_margin: the margin for this comparison, as a multiple of the margin for the champion.
    """

    absent: WhenUnknown
    times_margin: Positive


class SeedSpread(Strict):
    """The SD of the mean absolute error over fits of one recipe with different seeds, and how it was measured."""

    sd: Positive
    source: Text


class Seeds(Strict):
    """The requirement that a margin is larger than the effect of another seed.

    Attributes:
        unknown: the consequence if neither ``known`` nor the fits of other seeds give a spread.
        times_spread: the smallest margin, as a multiple of the spread.
        known: parameter -> the spread that earlier fits had. A policy file writes the spreads as
            ``sd: {cobb: 0.116}, source: ...``.
    """

    unknown: WhenUnknown
    times_spread: Positive
    known: Annotated[dict[ParameterName, SeedSpread], BeforeValidator(for_each_parameter)] = Field(default_factory=dict)
    reason: Text
