"""The page of params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from docs.generate.markdown import code, plain, table
from orchestration.pipeline.params import Params

_INTRODUCTION = """# params.yaml

This page is made from the schema. `plumbline init` writes the file with every key and its default; `--set KEY=VALUE`
changes one. An unknown key or a value outside its range is an error, and all errors are reported together.

"""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def settings_page() -> str:
    """A section of params.yaml after the other: key, type, default, range, meaning."""
    schema = Params.model_json_schema()
    sections = (_section(name, schema, field.annotation) for name, field in Params.model_fields.items())
    return _INTRODUCTION + "\n".join(sections)


def _section(name: str, schema: Mapping[str, Any], model: Any) -> str:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"found {model!r} at {name}; expected a section of params.yaml; give it a model of its own")
    rows = _rows(name, schema, model)
    return f"## {name}\n\n{model.__doc__}\n\n{table(('Key', 'Type', 'Default', 'Range', 'Meaning'), rows)}"


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
    """Type in words, and what is allowed of it."""
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
    """A default as it stands in the file."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
