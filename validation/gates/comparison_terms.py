"""The terms of a comparison: margins, power, groups of patients, the approved baseline, the spread between seeds.

Contract: every number has a reason, and a source where it was measured or published. ``comparison`` is required; of the
other sections, one that a policy leaves out is not filled in, and the verdict reports that it was not asked.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from validation.gates.expansion import for_each_parameter
from validation.gates.rule_kinds import ParameterName, Positive, Strict, Text

Grouping = Literal["condition", "severity", "field_of_view", "age", "sex", "appearance", "anatomy"]
WhenUnknown = Literal["report_only", "insufficient"]
"""What follows from something that cannot be known: a line in the verdict, or the decision INSUFFICIENT."""


class Margin(Strict):
    """How much worse than the champion a parameter's mean absolute error may be.

    Attributes:
        margin: degrees (or mm); the upper 97.5 % bound of the paired difference must lie below it.
        penalty: the loss of an unanswered study, and the largest loss of an answered one.
        planned_sd: SD of the paired difference for which the test set is planned; required with ``power``.
    """

    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    planned_sd: Positive | None = None
    reason: Text
    source: Text


class Power(Strict):
    """The smallest probability with which an equal model must be shown to be not worse.

    Attributes:
        at_least: at the test set's size and the margins' ``planned_sd``. Below it a comparison is insufficient, even
            one that passed. The planned SD counts because the observed one may shrink as a model gets worse.
    """

    at_least: Annotated[float, Field(gt=0, lt=1)]
    reason: Text
    source: Text


class Comparison(Strict):
    """How the challenger is compared with the champion, which is scored again on the same test set.

    Attributes:
        margins: parameter -> margin; every one must be kept. In a file: ``margin: {cobb: 1.0}, penalty: 30.0, ...``.
        required_gain: the challenger replaces the champion only if the upper 97.5 % bound of the paired loss, in
            margins and averaged over the parameters, lies below minus this. An equal model does not replace it.
        resamples, seed: of the bootstrap over patients.
    """

    margins: Annotated[dict[ParameterName, Margin], BeforeValidator(for_each_parameter), Field(min_length=1)]
    required_gain: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    resamples: Annotated[int, Field(ge=1000)] = 4000
    seed: int = 20190405
    power: Power | None = None
    reason: Text

    @model_validator(mode="after")
    def _planned(self) -> "Comparison":
        missing = [name for name, margin in self.margins.items() if margin.planned_sd is None]
        if self.power is not None and missing:
            raise ValueError(f"power needs the planned_sd of {', '.join(missing)}")
        return self


class Subgroups(Strict):
    """Limits in groups of patients.

    Attributes:
        by: the groupings that are reported and judged.
        min_studies: with a truth; a smaller group is reported and not judged.
        times_margin: the upper bound of a group's paired difference must lie below this many margins.
        mae_at_most: parameter -> ceiling of a group's mean absolute error; an unanswered study has the comparison's
            penalty.
    """

    by: Annotated[list[Grouping], Field(min_length=1)]
    min_studies: Annotated[int, Field(ge=2)]
    times_margin: Positive
    mae_at_most: dict[ParameterName, Positive] = Field(default_factory=dict)
    reason: Text
    source: Text


class Baseline(Strict):
    """Comparison with the last model that a person approved: many small steps down are one large one.

    Attributes:
        absent: what follows while no person has approved a model.
        times_margin: margins from the baseline, as a multiple of those from the champion.
    """

    absent: WhenUnknown
    times_margin: Positive
    reason: Text
    source: Text


class SeedSpread(Strict):
    """SD between seeds of one recipe's mean absolute error, and how it was measured."""

    sd: Positive
    source: Text


class Seeds(Strict):
    """Margins must be larger than the difference that another seed alone makes.

    Attributes:
        unknown: what follows where no spread is known, neither here nor from fits of other seeds.
        times_spread: a margin must be at least this many spreads.
        known: parameter -> spread measured beforehand. In a file: ``sd: {cobb: 0.116}, source: ...``.
    """

    unknown: WhenUnknown
    times_spread: Positive
    known: Annotated[dict[ParameterName, SeedSpread], BeforeValidator(for_each_parameter)] = Field(default_factory=dict)
    reason: Text
