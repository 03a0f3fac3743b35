"""The run config of the asset ``candidate``: every training parameter as a typed, described field of the launchpad.

Contract: derived from ``TrainingParameters``. A field that is left out keeps the value of the workspace's params.yaml.
A field that is typed is written there before the fit, as `plumbline run --set` does, and is a tag of the run.
"""

import enum
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from training.config import TrainingParameters
from training.fields import help_of, record_in, without_none

TAG = "plumbline/training."
"""Start of the tags of a run that name its typed parameters."""


def launchpad_parameters(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Name -> value of what was typed for this run, which is tagged with it."""
    # Not the config object: there, a field that was left out and one that was typed as null look alike.
    typed = dict(context.op_execution_context.op_config or {})
    if typed:
        context.instance.add_run_tags(context.run.run_id, {f"{TAG}{name}": str(value) for name, value in typed.items()})
    return typed


def _form_of(record: Any, name: str) -> type[dg.Config]:
    """A config class with the fields of a record, none of which has to be given."""
    # Required and optional at once: Dagster then puts no default into the config of a run.
    made: Any = {f.name: (_kind(f.type, f.name) | None, Field(description=help_of(f))) for f in fields(record)}
    return create_model(name, __base__=dg.Config, __module__=__name__, **made)


def _kind(kind: Any, name: str) -> Any:
    """The type as Dagster's config knows it: enumerations for literals, lists for tuples, classes for records."""
    kind = without_none(kind)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return list[_form_of(item, item.__name__) if record_in(item) else _without_literal(item)]  # type: ignore[misc]
    if record_in(kind) is not None:
        return _form_of(kind, kind.__name__)
    if get_origin(kind) is Literal and isinstance(get_args(kind)[0], str):
        return enum.Enum(name, {value: value for value in get_args(kind)})
    return _without_literal(kind)


def _without_literal(kind: Any) -> Any:
    """The plain type of a literal's values; any other type as it is."""
    return type(get_args(kind)[0]) if get_origin(kind) is Literal else kind


TrainingForm = _form_of(TrainingParameters, "TrainingForm")
