"""Dagster's web server, which also redirects ``/mlflow/PAGE`` to this page of MLflow.

``python -m orchestration.dagster.web_server`` takes the options of ``dagster-webserver``.
"""

from typing import Any

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from orchestration.links import TO_MLFLOW, address_at_mlflow


class LinkedWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server with one more route."""

    def build_routes(self) -> list[Any]:
        """The redirect first: Dagster's last routes accept every path."""
        return [Route(f"{TO_MLFLOW}/{{page:path}}", to_mlflow), *super().build_routes()]  # type: ignore[no-untyped-call]


def to_mlflow(request: Request) -> RedirectResponse:
    """Redirect to the present address of MLflow's page."""
    return RedirectResponse(address_at_mlflow(request.path_params["page"], request.url.query))


if __name__ == "__main__":
    app.DagsterWebserver = LinkedWebserver  # type: ignore[attr-defined]  # the command makes its server of it
    cli.main()  # type: ignore[no-untyped-call]
