"""The application of the service: its routes, and the layers around them.

Contract: from outside to inside, a request passes ``Observed`` (id, log, unexpected errors), ``BodyLimits`` (how
much) and ``AccessGuard`` (who, before the body is read), before a route sees it. The layers hold for
the routes of ``routers``, too.
"""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from serving.service.access import AccessGuard
from serving.service.bodies import BodyLimits
from serving.service.champion import ServedChampion
from serving.service.measuring import AfterAnswer, measuring_router
from serving.service.metrics import ServiceMetrics
from serving.service.observing import Observed
from serving.service.pool import MeasuringPool
from serving.service.problems import problem
from serving.service.settings import ServiceSettings
from serving.service.shadow import ShadowRuns
from spine.errors import ParametersRejected, PlumblineError


def make_app(
    settings: ServiceSettings,
    champion: ServedChampion,
    *,
    shadow: ShadowRuns | None = None,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application. While it runs, it follows the champion.

    Args:
        champion: the model that answers; a router asks it with ``champion.required().model``.
        shadow: runs a challenger on a share of the same studies; None for no shadow runs.
        routers: further routes, e.g. those of the correction page. Their requests pass the same layers:
            ``request.state.identity`` is the name of the client, ``request.state.request_id`` the id in the log.
            A ``PlumblineError`` that a route raises becomes an answer (``problems``), and ``bodies.json_body`` reads
            a JSON body safely. Work that measures belongs into ``request.app.state.pool``, which is bounded.
    """
    pool = MeasuringPool(settings.limits)
    metrics = ServiceMetrics(pool, champion)
    app = FastAPI(
        title="Plumbline",
        version=version("plumbline"),
        summary="Measures spinal alignment on radiographs. Not for diagnosis.",
        docs_url=None,  # its page fetches scripts from another host
        redoc_url=None,
        lifespan=lambda _: _running(champion, pool, shadow),
        middleware=[
            Middleware(Observed, metrics=metrics),
            Middleware(BodyLimits, limits=settings.limits),
            Middleware(AccessGuard, settings=settings),
        ],
    )
    app.state.pool = pool
    after_answer = _after_answer(shadow, pool, metrics)
    app.include_router(measuring_router(settings, champion, pool, metrics, after_answer))
    app.include_router(_operating_router(champion, metrics))
    for router in routers:
        app.include_router(router)
    _answer_errors(app, pool)
    return app


@asynccontextmanager
async def _running(champion: ServedChampion, pool: MeasuringPool, shadow: ShadowRuns | None) -> AsyncIterator[None]:
    stopped = threading.Event()
    follower = threading.Thread(target=champion.follow, args=(stopped,), name="champion", daemon=True)
    follower.start()
    try:
        yield
    finally:
        stopped.set()
        pool.close()
        if shadow is not None:
            shadow.close()


def _after_answer(shadow: ShadowRuns | None, pool: MeasuringPool, metrics: ServiceMetrics) -> AfterAnswer | None:
    if shadow is None:
        return None
    return lambda study, by: metrics.shadow.labels(shadow.offer(study, by, busy=not pool.idle)).inc()


def _operating_router(champion: ServedChampion, metrics: ServiceMetrics) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> Response:
        """Whether a model answers, which one, and why the champion does not, if it does not."""
        serving, fault = champion.serving, champion.fault
        body = {
            "status": "ready" if serving else "not ready",
            "model": serving and {"digest": serving.digest, "name": serving.name},
            "fault": fault and {"code": fault.code, "found": fault.found, "remedy": fault.remedy},
        }
        return JSONResponse(body, 200 if serving else 503, headers={"Cache-Control": "no-store"})

    @router.get("/metrics")
    async def figures() -> Response:
        """The figures for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def _answer_errors(app: FastAPI, pool: MeasuringPool) -> None:
    """Let every refusal become an answer of the same form."""

    def refuse(request: Request, error: PlumblineError) -> Response:
        request.state.facts["code"] = error.code
        headers = {"Retry-After": str(pool.retry_after())} if error.code == "SERVICE_BUSY" else {}
        return problem(error, request.state.request_id, headers)

    @app.exception_handler(PlumblineError)
    async def refused(request: Request, error: PlumblineError) -> Response:
        return refuse(request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "REQUEST_INVALID")
        found = {404: "a path that this service does not have", 405: "another method"}.get(
            error.status_code, "a request that cannot be read"
        )
        return refuse(request, ParametersRejected(code, found, "a request of /openapi.json", "see /openapi.json"))
