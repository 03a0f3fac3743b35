"""The run config of assets with parameters: every field of a section of params.yaml, described, in the launchpad.

Contract: the fields follow from ``Params``. An omitted field keeps the value of the workspace's params.yaml, so no
field has a default that Dagster would add to a run. The description has the workspace's value, as it was when the code
location was loaded. A given field is written into params.yaml before the step, as `plumbline run --set` does, so later
runs have it too. It also becomes a tag of the run and of the candidate's MLflow run. An unknown field is refused.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model

from orchestration.pipeline.params import Params, change_params
from orchestration.pipeline.params_table import yaml_of
from orchestration.pipeline.stages import dvc_yaml
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically
from training.fields import help_of, record_in, without_none

TAG = "plumbline/"
"""Prefix of a run's tags for the parameters that were given in the launchpad: ``plumbline/SECTION.NAME``."""


KEPT = "Later runs use the same values, those of the weekly schedule included, until params.yaml is changed again."
"""What a run says about values that were given in the launchpad."""


def launchpad_parameters(context: dg.AssetExecutionContext, section: str) -> dict[str, Any]:
    """Name -> value of the parameters of ``section`` given for this run, which are also written to the run's tags."""
    # Read the raw config: in the config object, an omitted field and a null look alike.
    given = dict(context.op_execution_context.op_config or {})
    if given:
        tags = {f"{TAG}{section}.{name}": str(value) for name, value in given.items()}
        context.instance.add_run_tags(context.run.run_id, tags)
        values = ", ".join(f"{section}.{name}={value}" for name, value in given.items())
        context.log.info(f"written into params.yaml: {values}. {KEPT}")
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


@dataclass(frozen=True)
class ConfiguredAsset:
    """An asset with a section of params.yaml as run config, made when the workspace's values are known."""

    work: Callable[..., Any]
    section: str
    options: Mapping[str, Any]

    def with_form(self, params: Params | None) -> dg.AssetsDefinition:
        """The asset; ``params`` are the workspace's parameters, None if there is no workspace."""
        form = form_of(self.section, params)
        made: dg.AssetsDefinition = dg.asset(config_schema=form.to_fields_dict(), **self.options)(self.work)
        return made


def configured_asset(section: str, **options: Any) -> Callable[[Callable[..., Any]], ConfiguredAsset]:
    """A decorator like ``dagster.asset``, for an asset with this section of params.yaml as run config."""
    return lambda work: ConfiguredAsset(work, section, options)


def form_of(section: str, params: Params | None = None) -> type[dg.Config]:
    """A config class with the fields of a section of params.yaml, all of them optional."""
    model: Any = Params.model_fields[section].annotation
    texts = {field.name: help_of(field) for field in fields(model)} if is_dataclass(model) else _texts(model)
    kinds = {f.name: f.type for f in fields(model)} if is_dataclass(model) else _kinds(model)
    if params is not None:
        values = params.plain()[section]
        texts = {n: f"{text.removesuffix(')')}; this workspace: {yaml_of(values[n])})" for n, text in texts.items()}
    made: Any = {name: (_kind(kind, name) | None, Field(description=texts[name])) for name, kind in kinds.items()}
    return create_model(f"{section.title()}Form", __base__=dg.Config, __module__=__name__, **made)


def _texts(model: type[BaseModel]) -> dict[str, str]:
    return {n: f"{f.description} (default: {getattr(model(), n)})" for n, f in model.model_fields.items()}


def _kinds(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


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
