"""The classes that follow from the parameters, as results show them.

This is the one place of this package that knows where classes come from.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference.value_table import class_text
from spine.measurement.classes import CLASSES

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy


@dataclass(frozen=True)
class ClassText:
    """One class.

    Attributes:
        text: its value with its number and probability, or the reason why it has none.
        value: None exactly when it has none.
        probability: 0 to 1; None without one.
    """

    name: str
    label: str
    text: str
    value: str | None
    probability: float | None


def class_texts(study: "MeasuredStudy") -> list[ClassText]:
    """The classes of a measurement in the order of their table."""
    return [
        ClassText(name, CLASSES[name].label, class_text(name, each), each.value, each.probability)
        for name, each in study.prediction.classes.items()
    ]
