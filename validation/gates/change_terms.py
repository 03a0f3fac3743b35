"""The section of a policy on change control: what a retraining may change without a person's approval.

It is the machine-readable part of a predetermined change control plan. Contract: a challenger outside the plan is never
promoted without an approval. The section never lets a model pass that another rule stops.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from validation.gates.rule_kinds import Finite, Strict, Text

FixedFact = Literal["landmark_set", "landmarks", "input_shape"]


class AllowedValues(Strict):
    """The permitted values of one training parameter: a range, or a list of texts.

    Attributes:
        at_least, at_most: the ends of the range. A value equal to an end is permitted.
        one_of: the permitted texts.
    """

    at_least: Finite | None = None
    at_most: Finite | None = None
    one_of: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "AllowedValues":
        bounded = self.at_least is not None or self.at_most is not None
        if bounded == (self.one_of is not None):
            raise ValueError("a parameter needs a range (at_least, at_most) or a list (one_of), and not both")
        return self

    def permits(self, text: str) -> bool:
        """Whether the value is permitted. A text that is not a number is outside every range."""
        if self.one_of is not None:
            return text in self.one_of
        try:
            value = float(text)
        except ValueError:
            return False
        low = self.at_least if self.at_least is not None else value
        high = self.at_most if self.at_most is not None else value
        return low <= value <= high

    def __str__(self) -> str:
        if self.one_of is not None:
            return " or ".join(self.one_of)
        ends = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)


class ChangeControl(Strict):
    """What a retraining may change by itself.

    Attributes:
        same_as_champion: the facts of the model that must be those of the champion.
        sources: the kinds of source from whose studies a model may learn.
        parameters: training parameter -> its permitted values. A parameter that is not named is free.
    """

    same_as_champion: list[FixedFact]
    sources: Annotated[list[str], Field(min_length=1)]
    parameters: dict[str, AllowedValues] = Field(default_factory=dict)
    reason: Text
