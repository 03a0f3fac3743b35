"""The run config of assets with parameters: every field of a section of params.yaml, described, in the launchpad.

Contract: the fields follow from ``Params``. An omitted field keeps the value of the workspace's params.yaml. A given
field is written into that file before the step, as `plumbline run --set` does. It also becomes a tag of the run and of
the candidate's MLflow run. An unknown field is refused.
"""

import enum
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from orchestration.pipeline.params import Params, change_params
from orchestration.pipeline.stages import dvc_yaml
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically
from training.config import TrainingParameters
from training.fields import help_of, record_in, without_none

TAG = "plumbline/"
"""Prefix of a run's tags for the parameters that were given in the launchpad: ``plumbline/SECTION.NAME``."""


def launchpad_parameters(context: dg.AssetExecutionContext, section: str) -> dict[str, Any]:
    """Name -> value of the parameters of ``section`` given for this run, which are also written to the run's tags."""
    # Read the raw config: in the config object, an omitted field and a null look alike.
    given = dict(context.op_execution_context.op_config or {})
    if given:
        tags = {f"{TAG}{section}.{name}": str(value) for name, value in given.items()}
        context.instance.add_run_tags(context.run.run_id, tags)
    return given


def apply_launchpad(context: dg.AssetExecutionContext, workspace: Workspace, section: str) -> None:
    """Write the parameters of ``section`` given for this run into params.yaml, and dvc.yaml after them.

    Raises:
        ParametersRejected: a value violates the schema of params.yaml.
    """
    given = launchpad_parameters(context, section)
    if given:
        params = change_params(workspace.params_file, {section: given}, "the run config")
        write_text_atomically(workspace.pipeline_file, dvc_yaml(params))


def given_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Tags for MLflow: the parameters that were given in the launchpad of this run."""
    run = context.instance.get_run_by_id(context.run.run_id) or context.run
    prefixes = tuple(f"{TAG}{section}." for section in Params.model_fields)
    return {f"launchpad.{n.removeprefix(TAG)}": v for n, v in run.tags.items() if n.startswith(prefixes)}


def _form_of_section(section: str) -> type[dg.Config]:
    """A config class with the fields of a section of params.yaml, all of them optional."""
    model: Any = Params.model_fields[section].annotation
    made: Any = {
        name: (_kind(field.annotation, name) | None, Field(description=_help_of(field, getattr(model(), name))))
        for name, field in model.model_fields.items()
    }
    return create_model(f"{section.title()}Form", __base__=dg.Config, __module__=__name__, **made)


def _help_of(field: Any, default: object) -> str:
    return f"{field.description} (default: {default})"


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

SourceForm, CohortForm, DatasetForm, ValidationForm, GateForm = (
    _form_of_section(section) for section in ("source", "cohort", "dataset", "validation", "gate")
)
