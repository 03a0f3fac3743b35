"""Dagster's web server, which also redirects ``/mlflow/PAGE`` to this page of MLflow.

Contract: a mutation is accepted only by POST, as JSON and from this server's own pages (``orchestration.web_guard``).
``python -m orchestration.dagster.web_server`` takes the options of ``dagster-webserver``.
"""

from typing import Any

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from orchestration.links import TO_MLFLOW, address_at_mlflow
from orchestration.web_guard import Rules, WebGuard


class LinkedWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server with one more route, behind the guard."""

    def build_middleware(self) -> list[Middleware]:
        """The guard first. Dagster's pages send GraphQL by POST, so GET, which an image tag can send, is refused."""
        rules = Rules.of_environment(json_only=True, no_get=(f"{self._app_path_prefix}/graphql",))
        return [Middleware(WebGuard, rules=rules), *super().build_middleware()]

    def build_routes(self) -> list[Any]:
        """The redirect first: Dagster's last routes accept every path."""
        return [Route(f"{TO_MLFLOW}/{{page:path}}", to_mlflow), *super().build_routes()]  # type: ignore[no-untyped-call]


def to_mlflow(request: Request) -> RedirectResponse:
    """Redirect to the present address of MLflow's page."""
    return RedirectResponse(address_at_mlflow(request.path_params["page"], request.url.query))


if __name__ == "__main__":
    app.DagsterWebserver = LinkedWebserver  # type: ignore[attr-defined]  # the command makes its server of it
    cli.main()  # type: ignore[no-untyped-call]
