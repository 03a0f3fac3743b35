"""The run config of the asset ``candidate``: every training parameter as a described field of the launchpad.

Contract: the fields follow from ``TrainingParameters``. An omitted field keeps the value of the workspace's
params.yaml. A given field is written into that file before the fit, as `plumbline run --set` does. It also becomes a
tag of the run.
"""

import enum
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from training.config import TrainingParameters
from training.fields import help_of, record_in, without_none

TAG = "plumbline/training."
"""Prefix of a run's tags for the parameters that were given in the launchpad."""


def launchpad_parameters(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Name -> value of the parameters given for this run, which are also written to the run's tags."""
    # Read the raw config: in the config object, an omitted field and a null look alike.
    given = dict(context.op_execution_context.op_config or {})
    if given:
        context.instance.add_run_tags(context.run.run_id, {f"{TAG}{name}": str(value) for name, value in given.items()})
    return given


def _form_of(record: Any, name: str) -> type[dg.Config]:
    """A config class with the fields of a record, all of them optional."""
    # The fields have no default but permit None: Dagster then adds no defaults to the config of a run.
    made: Any = {f.name: (_kind(f.type, f.name) | None, Field(description=help_of(f))) for f in fields(record)}
    return create_model(name, __base__=dg.Config, __module__=__name__, **made)


def _kind(kind: Any, name: str) -> Any:
    """The type for Dagster's config: an enumeration for a literal, a list for a tuple, a class for a record."""
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
    """The type of a literal's values; any other type unchanged."""
    return type(get_args(kind)[0]) if get_origin(kind) is Literal else kind


TrainingForm = _form_of(TrainingParameters, "TrainingForm")
