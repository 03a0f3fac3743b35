"""MLflow's server application, which also redirects ``/dagster/PAGE`` to this page of Dagster.

``mlflow server --app-name plumbline`` calls ``make_app``: pyproject.toml registers it as a plug-in of MLflow
(https://mlflow.org/docs/latest/ml/plugins/). MLflow's own security checks remain active. They
leave out pages below other paths than ``/api/`` and accept pages of other ports, so the guard comes before them.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from orchestration.links import TO_DAGSTER, address_at_dagster
from orchestration.web_guard import Rules, WebGuard


def make_app() -> Starlette:
    """MLflow's application with one more route, behind the guard."""
    from mlflow.server import fastapi_app

    app: Starlette = fastapi_app.app
    # First, because MLflow's last route accepts every path.
    app.router.routes.insert(0, Route(f"{TO_DAGSTER}/{{page:path}}", to_dagster))
    app.add_middleware(WebGuard, rules=Rules.of_environment())
    return app


def to_dagster(request: Request) -> RedirectResponse:
    """Redirect to the present address of Dagster's page."""
    return RedirectResponse(address_at_dagster(request.path_params["page"], request.url.query))
