"""Links between MLflow's and Dagster's pages that hold whatever the ports are.

Contract: what a run stores has no host and no port. A link within a server is relative. A link to the other server is
a path on the same server, ``/mlflow/PAGE`` or ``/dagster/PAGE``, and the server redirects it to the address that the
other one has now (``orchestration.dagster.web_server``, ``orchestration.services.mlflow_app``).
"""

import os

from orchestration.environment import DAGSTER_UI_VARIABLE, DEFAULT_DAGSTER_UI, DEFAULT_MLFLOW_UI, MLFLOW_UI_VARIABLE

TO_MLFLOW, TO_DAGSTER = "/mlflow", "/dagster"
"""The beginnings of the paths that Dagster's server and MLflow's server redirect."""

OF_TRAINING = "?workflowType=machine_learning"
"""The end of an address that opens MLflow's layout for trained models; its default layout is for chat bots."""


def run_page(experiment_id: str, run_id: str, artifact: str = "") -> str:
    """The page of an MLflow run, or of an artefact of this run, below MLflow's ``#/``."""
    shown = f"/artifacts/{artifact}" if artifact else ""
    return f"experiments/{experiment_id}/runs/{run_id}{shown}{OF_TRAINING}"


def address_at_mlflow(page: str, query: str = "") -> str:
    """The present address of a page of MLflow."""
    # MLflow reads page and query from the fragment, which a browser sends to no server.
    return f"{os.environ.get(MLFLOW_UI_VARIABLE, DEFAULT_MLFLOW_UI)}/#/{page}{query and f'?{query}'}"


def address_at_dagster(page: str, query: str = "") -> str:
    """The present address of a page of Dagster."""
    return f"{os.environ.get(DAGSTER_UI_VARIABLE, DEFAULT_DAGSTER_UI)}/{page}{query and f'?{query}'}"
