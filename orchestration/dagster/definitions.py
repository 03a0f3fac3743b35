"""The Dagster code location: assets, checks, jobs, schedules and sensors.

Contract: the code location loads in under five seconds, without services and without a workspace. torch, MLflow,
Lightning, pandas and Great Expectations are therefore imported in the functions that use them.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.dagster import checks
from orchestration.dagster.assets import data, model, promotion
from orchestration.dagster.jobs import JOBS
from orchestration.dagster.resources import default_resources
from orchestration.dagster.run_log import EVENTS_FILE, events_file
from orchestration.dagster.schedules import SCHEDULES
from orchestration.dagster.sensors import enough_new_studies, inbox


def definitions_with(resources: Mapping[str, Any]) -> dg.Definitions:
    """The definitions with these resources (see ``resources_for``)."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules([data, model, promotion]),
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[inbox, enough_new_studies],
        resources=resources,
        loggers={EVENTS_FILE: events_file},
        # One process for the whole run: with one process per step, every step would import the libraries (5 to 8 s).
        executor=dg.in_process_executor,
    )


defs = definitions_with(default_resources())
