"""The table of every parameter of params.yaml, from its schema, with the values of a workspace.

Contract: the command line and the documentation print the same rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from orchestration.pipeline.params import Params

Schema = Mapping[str, Any]
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class ParameterRow:
    """One parameter: its key in params.yaml, its type in words, its default as YAML, its range and its meaning.

    ``value`` is the value of the workspace as YAML; without a workspace it is the default.
    """

    key: str
    kind: str
    default: str
    value: str
    limits: str
    meaning: str


@dataclass(frozen=True)
class ParameterSection:
    """A section of params.yaml; the name is empty for the parameters outside a section."""

    name: str
    about: str
    rows: tuple[ParameterRow, ...]


def parameter_sections(params: Params | None = None) -> list[ParameterSection]:
    """Every section of params.yaml, with its parameters; ``params`` are those of a workspace."""
    schema, defaults = Params.model_json_schema(), Params().plain()
    values = defaults if params is None else params.plain()
    records = {name: _record(part, schema) for name, part in schema["properties"].items()}
    top = {"properties": {name: part for name, part in schema["properties"].items() if not records[name]}}
    sections = [ParameterSection("", "", tuple(_rows("", top, defaults, values, schema)))]
    for name, record in records.items():
        if record:
            rows = tuple(_rows(f"{name}.", record, defaults[name], values[name], schema))
            sections.append(ParameterSection(name, record["description"].replace("``", "`"), rows))
    return sections


def _rows(prefix: str, record: Schema, defaults: Schema, values: Schema, schema: Schema) -> Iterator[ParameterRow]:
    for name, part in record["properties"].items():
        if inner := _record(part, schema):
            yield from _rows(f"{prefix}{name}.", inner, defaults[name], values[name], schema)
            continue
        kind, limits = _type_and_range(part, schema)
        shown = yaml_of(defaults[name]), yaml_of(values[name])
        yield ParameterRow(f"{prefix}{name}", kind, *shown, limits, part["description"])


def yaml_of(value: Any) -> str:
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


def _record(part: Schema, schema: Schema) -> Schema:
    """The schema of a value with named fields; empty for any other value."""
    found: Schema = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
    return found


def _type_and_range(part: Schema, schema: Schema) -> tuple[str, str]:
    """The type in words, and the range of its values."""
    if "anyOf" in part:
        kinds, ranges = zip(*(_type_and_range(each, schema) for each in part["anyOf"]), strict=True)
        return " or ".join(kinds), ", ".join(filter(None, ranges))
    if "enum" in part:
        return "choice", ", ".join(map(str, part["enum"]))
    if "const" in part:
        return part["type"], str(part["const"])
    if "prefixItems" in part:
        return f"list of {len(part['prefixItems'])} {part['prefixItems'][0]['type']}s", ""
    if inner := _record(part, schema):
        return f"records with {', '.join(inner['properties'])}", ""
    if part["type"] == "array":
        kind, limits = _type_and_range(part["items"], schema)
        return f"list of {kind}", limits
    return part["type"], ", ".join(f"{sign} {part[word]:g}" for word, sign in _BOUNDS.items() if word in part)
