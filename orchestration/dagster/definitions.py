"""The Dagster code location: assets, checks, jobs, schedules and sensors.

Contract: the code location loads in under five seconds, without services and without a workspace. torch, MLflow,
Lightning, pandas and Great Expectations are therefore imported in the functions that use them. The workspace's
params.yaml is read for the descriptions in the launchpad only.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.dagster import checks
from orchestration.dagster.assets import data, model, promotion
from orchestration.dagster.assets.launchpad import ConfiguredAsset
from orchestration.dagster.jobs import JOBS
from orchestration.dagster.resources import default_resources
from orchestration.dagster.run_log import EVENTS_FILE, events_file
from orchestration.dagster.schedules import SCHEDULES
from orchestration.dagster.sensors import enough_new_studies, inbox
from orchestration.dagster.watch import abandoned_runs, failed_runs
from orchestration.environment import WORKSPACE_VARIABLE
from orchestration.pipeline.params import Params, read_params
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected


def definitions_with(resources: Mapping[str, Any], params: Params | None = None) -> dg.Definitions:
    """The definitions with these resources (see ``resources_for``). The launchpad shows the values of ``params``."""
    modules = (data, model, promotion)
    configured = [asset for m in modules for asset in vars(m).values() if isinstance(asset, ConfiguredAsset)]
    return dg.Definitions(
        assets=[*dg.load_assets_from_modules(modules), *(asset.with_form(params) for asset in configured)],
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[inbox, enough_new_studies, abandoned_runs, failed_runs],
        resources=resources,
        loggers={EVENTS_FILE: events_file},
        # One process for the whole run: with one process per step, every step would import the libraries (5 to 8 s).
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location for the workspace that ``PLUMBLINE_WORKSPACE`` names. Its params.yaml may be absent."""
    root, params = dg.EnvVar(WORKSPACE_VARIABLE).get_value(), None
    if root is not None:
        with suppress(ParametersRejected):  # the run reports what is wrong with params.yaml
            params = read_params(Workspace(Path(root)).params_file)
    return definitions_with(default_resources(), params)
