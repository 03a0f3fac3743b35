"""The section of a policy on shadow use: how many studies a challenger must have measured beside the champion.

Contract: the section never lets a model pass that another rule stops. A policy without it asks for no shadow use.
"""

from typing import Annotated

from pydantic import Field

from validation.gates.rule_kinds import Justified, ParameterName, Positive


class ShadowUse(Justified):
    """What the shadow runs of a challenger must show.

    Attributes:
        least_cases: the smallest number of studies that both models measured.
        median_difference_at_most: parameter -> the largest median of the absolute differences between the models, in
            the parameter's unit.
        absences_at_most: the largest share of the cases in which only one of the models reports one of these
            parameters. A study that the challenger refuses counts.
    """

    least_cases: Annotated[int, Field(ge=1)]
    median_difference_at_most: dict[ParameterName, Positive] = Field(default_factory=dict)
    absences_at_most: Annotated[float, Field(ge=0, le=1)] = 1.0
