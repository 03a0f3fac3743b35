"""The options of `python -m training`, one for each training parameter.

Contract: the name, type, choices, description and default of an option come from a field of ``TrainingParameters``.
Only parameters that are given on the command line are returned.
"""

import argparse
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, Literal, get_args, get_origin

from training.config import TrainingParameters
from training.fields import help_of, record_in, without_none


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Add an option for every training parameter."""
    group = parser.add_argument_group("training parameters")
    for field in fields(TrainingParameters):
        option = f"--{field.name.replace('_', '-')}"
        group.add_argument(option, default=argparse.SUPPRESS, help=help_of(field), **_reading(field))


def given_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Name -> value of the parameters that the command line gives."""
    given = {field.name: getattr(options, field.name) for field in fields(TrainingParameters) if field.name in options}
    if isinstance(given.get("augmentation"), list):
        given["augmentation"] = {name: value for part in given["augmentation"] for name, value in part.items()}
    return given


def _reading(field: "Field[Any]") -> dict[str, Any]:
    """The arguments of ``add_argument`` that follow from the type of the field."""
    kind = without_none(field.type)
    optional = _or_none if kind is not field.type else lambda reader: reader
    if record_in(kind) is not None:
        return {"type": _named_numbers, "action": "append", "metavar": "NAME=NUMBER[,...]"}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is Literal:
        return {"type": type(get_args(kind)[0]), "choices": get_args(kind)}
    if get_origin(kind) is tuple:
        if get_args(kind)[0] is int:
            return {"type": _sizes, "metavar": "ROWSxCOLUMNS"}
        return {"type": optional(_words), "metavar": "A,B,..."}
    return {"type": optional(kind), "metavar": {int: "N", float: "X"}.get(kind, "NAME")}


def _or_none(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return None if text == "none" else reader(text)

    read.__name__ = getattr(reader, "__name__", "value")  # argparse shows this name in its error message
    return read


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split("x")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected ROWSxCOLUMNS such as 512x256") from None


def _words(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _named_numbers(text: str) -> dict[str, float]:
    try:
        return {name: _number(value) for name, _, value in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected NAME=NUMBER such as rotation_deg=6") from None


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)
