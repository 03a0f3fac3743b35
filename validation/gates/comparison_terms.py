"""The terms of a comparison: margins, power, groups of patients, the baseline, the spread between seeds; as data.

Contract: every number has a reason and a source; the comparison must be there, and of the others one that a policy
leaves out is not filled in: the verdict says that it was not asked.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from validation.gates.rule_kinds import ParameterName, Positive, Strict, Text

Grouping = Literal["condition", "severity", "field_of_view", "age", "sex", "appearance", "anatomy"]


class Margin(Strict):
    """How much worse than the champion a parameter's mean absolute error may be; ``penalty`` bounds the loss.

    Attributes:
        margin: degrees (or mm); the upper 97.5 % bound of the paired difference must lie below it.
        penalty: the loss of a study that was not answered, and the most that one answer can cost.
        planned_sd: SD of the paired difference for which the test set is planned; asked for where there is ``power``.
    """

    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    planned_sd: Positive | None = None
    reason: Text
    source: Text


class Power(Strict):
    """The least probability with which an equal model must be shown to be not worse.

    Attributes:
        at_least: at the test set's size and the margins' ``planned_sd``; below it a comparison is insufficient, even
            one that passed. Planned and not observed, because an observed spread may shrink as a model gets worse.
    """

    at_least: Annotated[float, Field(gt=0, lt=1)]
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
    power: Power | None = None
    reason: Text

    @model_validator(mode="after")
    def _planned(self) -> "Comparison":
        missing = [name for name, margin in self.margins.items() if margin.planned_sd is None]
        if self.power is not None and missing:
            raise ValueError(f"power without a planned_sd of {', '.join(missing)}")
        return self


class Subgroups(Strict):
    """Guardrails over groups of patients.

    Attributes:
        by: which groupings are told and judged.
        least: studies with a truth; a smaller group is told and not judged.
        times_margin: the upper bound of a group's paired difference must lie below so many margins.
        mae_at_most: parameter -> ceiling of a group's mean absolute error, unanswered at the comparison's penalty.
    """

    by: Annotated[list[Grouping], Field(min_length=1)]
    least: Annotated[int, Field(ge=2)]
    times_margin: Positive
    mae_at_most: dict[ParameterName, Positive] = Field(default_factory=dict)
    reason: Text
    source: Text


class Baseline(Strict):
    """Comparison with the last model that a human approved: many small steps down are one large one.

    Attributes:
        absent: what follows while no human has approved any model.
        times_margin: margins from the baseline, in those from the champion.
    """

    absent: Literal["told", "insufficient"]
    times_margin: Positive
    reason: Text
    source: Text


class SeedSpread(Strict):
    """SD between seeds of one recipe's mean absolute error, and how it is known."""

    sd: Positive
    source: Text


class Seeds(Strict):
    """Margins must lie above what the seed alone changes.

    Attributes:
        unknown: what follows where no spread is known, neither here nor from fits of other seeds.
        times_spread: a margin must be at least so many spreads.
        known: parameter -> spread that was measured beforehand.
    """

    unknown: Literal["told", "insufficient"]
    times_spread: Positive
    known: dict[ParameterName, SeedSpread] = Field(default_factory=dict)
    reason: Text
