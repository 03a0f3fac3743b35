"""The page of params.yaml."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from docs.generate.markdown import code, plain, table
from orchestration.pipeline.params import FORMAT, Params
from training.fields import bounds_of, wanted

_INTRODUCTION = """# params.yaml

This page is made from the schema. `plumbline init` writes the file with every key and its default; `--set KEY=VALUE`
changes one. An unknown key or a value outside its range is an error, and all errors are reported together.

"""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def settings_page() -> str:
    """One table for each section of params.yaml: key, type, default, range, meaning."""
    schema = Params.model_json_schema()
    defaults = Params()
    sections = (
        _section(name, schema, field.annotation, getattr(defaults, name))
        for name, field in Params.model_fields.items()
        if name != "format"
    )
    meaning = plain(Params.model_fields["format"].description or "")
    file = table(
        ("Key", "Type", "Default", "Range", "Meaning"),
        [(code("format"), "integer", code(str(FORMAT)), str(FORMAT), meaning)],
    )
    return _INTRODUCTION + file + "\n" + "\n".join(sections)


def _section(name: str, schema: Mapping[str, Any], model: Any, default: Any) -> str:
    rows = _record_rows(name, default) if dataclasses.is_dataclass(model) else _rows(name, schema, model)
    return f"## {name}\n\n{model.__doc__}\n\n{table(('Key', 'Type', 'Default', 'Range', 'Meaning'), rows)}"


def _record_rows(prefix: str, default: Any) -> Iterator[tuple[str, ...]]:
    """Rows of a section that is a dataclass (``training.fields``), with the section's own defaults."""
    for field in dataclasses.fields(default):
        key, value = f"{prefix}.{field.name}", getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            yield from _record_rows(key, value)
            continue
        kind, _, limits = (
            wanted(field).partition(" " + bounds_of(field)) if bounds_of(field) else (wanted(field), "", "")
        )
        plain_value = list(value) if isinstance(value, tuple) else value
        described = field.metadata["description"]
        yield code(key), plain(kind + limits), code(_yaml(plain_value)), plain(bounds_of(field)), plain(described)


def _rows(prefix: str, schema: Mapping[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    properties = schema["$defs"][model.__name__]["properties"]
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(key, schema, field.annotation)
            continue
        default = "" if field.is_required() else _yaml(field.get_default(call_default_factory=True))
        kind, limits = _type_and_range(properties[name])
        yield code(key), plain(kind), code(default), plain(limits), plain(field.description or "")


def _type_and_range(described: Mapping[str, Any]) -> tuple[str, str]:
    """The type in words, and the range of its values."""
    if "anyOf" in described:
        kinds, limits = zip(*map(_type_and_range, described["anyOf"]), strict=True)
        return " or ".join(kinds), ", ".join(filter(None, limits))
    if "enum" in described:
        return "choice", ", ".join(map(str, described["enum"]))
    kind = str(described.get("type", "any"))
    if kind == "array":
        kind = f"list of {_type_and_range(described.get('items', {}))[0]}"
    return kind, ", ".join(f"{sign} {described[word]:g}" for word, sign in _BOUNDS.items() if word in described)


def _yaml(value: object) -> str:
    """A default as params.yaml has it."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
