"""The fields of a parameter record: description, bounds and checks. This module needs only the standard library.

Contract: bounds have the names of the arguments of pydantic's ``Field``. Pydantic therefore applies the same bounds.
"""

import dataclasses
import math
import operator
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_BOUNDS = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "more than"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "less than"),
}
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "none"}


def parameter(default: Any, description: str, **bounds: float) -> Any:
    """A dataclass field with a description; ``bounds`` are ``ge``, ``gt``, ``le`` and ``lt``."""
    return dataclasses.field(default=default, metadata={"description": description, **bounds})


def without_none(kind: Any) -> Any:
    """``X`` for the type ``X | None``. Any other type is returned unchanged."""
    if get_origin(kind) in (Union, UnionType):
        return next(part for part in get_args(kind) if part is not NoneType)
    return kind


def record_in(kind: Any) -> Any:
    """The dataclass ``R`` in a type ``R`` or ``tuple[R, ...]``; None for any other type."""
    plain = without_none(kind)
    inner = get_args(plain)[0] if get_origin(plain) is tuple else plain
    return inner if dataclasses.is_dataclass(inner) else None


def bounds_of(field: "dataclasses.Field[Any]") -> str:
    """The bounds of a field as text, which is empty if there are none."""
    known = [f"{text} {field.metadata[name]:g}" for name, (_, text) in _BOUNDS.items() if name in field.metadata]
    return " and ".join(known)


def wanted(field: "dataclasses.Field[Any]") -> str:
    """The permitted values of a field as text."""
    words = f"{_words(without_none(field.type))} {bounds_of(field)}".strip()
    return f"{words}, or none" if without_none(field.type) is not field.type else words


def default_of(field: "dataclasses.Field[Any]") -> str:
    """The default of a field as text."""
    default = field.default
    if dataclasses.is_dataclass(default):
        return ", ".join(f"{inner.name} {getattr(default, inner.name):g}" for inner in dataclasses.fields(default))
    if isinstance(default, tuple):
        return ("x" if isinstance(default[0], int) else ",").join(map(str, default)) if default else "none"
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def help_of(field: "dataclasses.Field[Any]") -> str:
    """A text for a command line or a form: description, bounds and default of a field."""
    limits = [text for text in (bounds_of(field), f"default: {default_of(field)}") if text]
    return f"{field.metadata['description']} ({'; '.join(limits)})"


def violations_of(record: Any, prefix: str = "") -> list[str]:
    """A message for each value in a record, and in the records inside it, that has a wrong type or is out of bounds."""
    found = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not _fits(value, field.type) or not _in_bounds(value, field):
            found.append(f"{prefix}{field.name} {value!r}, not {wanted(field)}")
        elif record_in(field.type) is not None and value is not None:
            parts = value if isinstance(value, tuple) else (value,)
            found += [text for part in parts for text in violations_of(part, f"{prefix}{field.name}.")]
    return found


def unknown_names(record: Any, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The names in ``values`` for which the record class, or a record class inside it, has no field."""
    known = {field.name: field.type for field in dataclasses.fields(record)}
    found = [f"{prefix}{name}" for name in values if name not in known]
    for name in values.keys() & known.keys():
        inner, value = record_in(known[name]), values[name]
        parts = value if isinstance(value, list | tuple) else (value,)
        if inner is not None:
            found += [u for p in parts if isinstance(p, Mapping) for u in unknown_names(inner, p, f"{prefix}{name}.")]
    return sorted(found)


def built(kind: Any, value: Any) -> Any:
    """A ``value`` from JSON, TOML or the command line, converted to the type ``kind``: records, tuples and floats."""
    kind = without_none(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        known = {field.name: field.type for field in dataclasses.fields(kind)}
        made: Any = kind
        return made(**{name: built(known[name], inner) for name, inner in value.items()})
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(built(get_args(kind)[0], inner) for inner in value)
    return float(value) if kind is float and type(value) is int else value


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``values``, updated with ``changes``. Mappings inside ``values`` are merged, any other value is replaced."""
    both = {
        name: merged(values[name], new)
        for name, new in changes.items()
        if isinstance(new, Mapping) and isinstance(values.get(name), Mapping)
    }
    return {**values, **changes, **both}


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin is tuple:
        open_ended = parts[-1] is Ellipsis
        sized = isinstance(value, tuple) and (open_ended or len(value) == len(parts))
        return sized and all(_fits(inner, parts[0]) for inner in value)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _in_bounds(value: Any, field: "dataclasses.Field[Any]") -> bool:
    if not isinstance(value, int | float):
        return True
    kept = [holds(value, field.metadata[name]) for name, (holds, _) in _BOUNDS.items() if name in field.metadata]
    return math.isfinite(value) and all(kept)


def _words(kind: Any) -> str:
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if get_origin(kind) is tuple:
        count = "a list" if parts[-1] is Ellipsis else f"{len(parts)} values"
        return f"{count}, each {_words(parts[0])}"
    if dataclasses.is_dataclass(kind):
        return f"values for {', '.join(field.name for field in dataclasses.fields(kind))}"
    return _WORDS[kind]
