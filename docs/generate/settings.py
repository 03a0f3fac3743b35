"""The page of params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from docs.generate.markdown import code, plain, table
from orchestration.pipeline.params import Params

_INTRODUCTION = """# params.yaml

This page is made from the schema. `plumbline init` writes the file with every key and its default; `--set KEY=VALUE`
changes one value. An unknown key or a value outside its range is an error, and all errors are reported together.

"""
_COLUMNS = ("Key", "Type", "Default", "Range", "Meaning")
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

Schema = Mapping[str, Any]


def settings_page() -> str:
    """One table for each section of params.yaml: key, type, default, range, meaning."""
    schema, defaults = Params.model_json_schema(), Params().plain()
    sections = {name: _record(part, schema) for name, part in schema["properties"].items()}
    top = {"properties": {name: part for name, part in schema["properties"].items() if not sections[name]}}
    tables = [table(_COLUMNS, _rows("", top, defaults, schema))]
    for name, record in sections.items():
        if record:
            rows = _rows(f"{name}.", record, defaults[name], schema)
            tables.append(f"## {name}\n\n{record['description']}\n\n{table(_COLUMNS, rows)}")
    return _INTRODUCTION + "\n".join(tables)


def _rows(prefix: str, record: Schema, defaults: Mapping[str, Any], schema: Schema) -> Iterator[tuple[str, ...]]:
    for name, part in record["properties"].items():
        if inner := _record(part, schema):
            yield from _rows(f"{prefix}{name}.", inner, defaults[name], schema)
            continue
        kind, limits = _type_and_range(part, schema)
        default = yaml.safe_dump(defaults[name], default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
        yield code(f"{prefix}{name}"), plain(kind), code(default), plain(limits), plain(part["description"])


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
