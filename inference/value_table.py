"""The table of measured parameters as text, for the overlay and the terminal.

Contract: every parameter is in a row with its value or the reason of its absence, or in a line that names all
parameters with the same reason: a view that is missing or was refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spine.measurement.classes import CLASSES, Classified
from spine.measurement.registry import PARAMETERS, Measured, rounded

_GROUPED = ("VIEW_MISSING", "VIEW_REFUSED")
"""Codes of an absence that concerns all parameters of a view."""

NOT_MEASURED = "not measured"
_UNITS = {"deg": "°"}


@dataclass(frozen=True)
class ValueRow:
    """One parameter: its name and label, its value with the unit, its interval or an empty text, and a remark.

    The remark has the findings that belong to the value, or the reason of an absence.
    """

    parameter: str
    label: str
    value: str
    interval: str
    remark: str


def value_rows(parameters: Mapping[str, Measured], *, rough: bool = False) -> list[ValueRow]:
    """The rows in the order of the registry. ``rough`` marks the intervals as those of few patients."""
    return [
        ValueRow(name, parameter.label, value_text(measured), interval_text(measured, rough=rough), remark(measured))
        for name, parameter in PARAMETERS.items()
        if (measured := parameters.get(name)) is not None and measured.absent_code not in _GROUPED
    ]


def grouped_absences(parameters: Mapping[str, Measured]) -> list[str]:
    """One line for each view that is missing or was refused, with the parameters that need it."""
    groups: dict[str, list[str]] = {}
    for name, parameter in PARAMETERS.items():
        measured = parameters.get(name)
        if measured is not None and measured.absent_code in _GROUPED:
            reason = str(measured.absent_reason)
            needs = reason.replace("needs", "need", 1) if measured.absent_code == "VIEW_MISSING" else reason
            groups.setdefault(needs, []).append(parameter.label)
    return [f"{reason}: {', '.join(labels)}" for reason, labels in groups.items()]


def class_lines(classes: Mapping[str, Classified]) -> list[str]:
    """One line for each class that has a value, with the number that it rests on and its probability."""
    return [f"{CLASSES[name].label}: {class_text(name, each)}" for name, each in classes.items() if each.value]


def class_text(name: str, classified: Classified) -> str:
    """The value with its number and probability in words, or the reason of its absence."""
    if classified.value is None:
        return f"{NOT_MEASURED}: {classified.absent_reason}"
    text = classified.value
    if classified.number is not None:
        text += f" ({rounded(classified.number)}{_UNITS.get(CLASSES[name].unit, f' {CLASSES[name].unit}')})"
    if classified.probability is None:
        return text
    share = 100 * classified.probability
    return f"{text}, {'over 99' if share > 99 else f'{share:.0f}'} % likely"


def value_text(measured: Measured) -> str:
    """The value with one decimal and its unit, or ``NOT_MEASURED``."""
    if measured.value is None:
        return NOT_MEASURED
    return f"{measured.value:.1f}{'°' if measured.unit == 'deg' else ' mm'}"


def interval_text(measured: Measured, *, rough: bool = False) -> str:
    """The 90 % interval, or an empty text."""
    if measured.value is None or measured.interval is None:
        return ""
    low, high = measured.interval
    return f"{'~' if rough else ''}[{low:.1f}, {high:.1f}]"


def remark(measured: Measured) -> str:
    """The reason of absence, or the findings that belong to a value."""
    if measured.value is None:
        return measured.absent_reason or ""
    words = {"upper_end_vertebra": "from", "lower_end_vertebra": "to"}
    found = dict(measured.detail or {})
    ends = " ".join(f"{words[key]} {found.pop(key)}" for key in words if key in found)
    apex, side = found.pop("apex", None), found.pop("side", None)
    parts = [ends, apex and f"apex {apex}", side and f"convex to the {side}", *found.values()]
    return ", ".join(part for part in parts if part)
