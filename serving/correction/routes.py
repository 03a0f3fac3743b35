"""The routes of the correction page.

Contract: the layers of the service (``serving.service.app``) hold for every route: access, limits, errors as answers. A
page loads nothing from elsewhere, and runs only the script that the service sends. A model measures in the bounded pool
of the service only; points are measured beside it, because they take milliseconds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from inference.given_points import at_same_height
from inference.radiograph_files import RadiographFile
from serving.correction.answers import (
    image_png,
    label_of,
    measured_points,
    points_json,
    proposed_points,
    result_json,
    view_json,
)
from serving.correction.cases import Case, CaseStore
from serving.correction.recording import Recorder
from serving.correction.requests import decision_of, moved_of, patient_of, points_of
from serving.service.bodies import gone, json_body
from serving.service.uploads import read_form
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import VIEWS, ViewName

Result = TypeVar("Result")

ANYBODY = "anybody"
"""The name that the service gives to a person whom neither a key nor a proxy names."""

_PAGES = files("serving.correction") / "page"
_TYPES = {"page.css": "text/css", "case.js": "text/javascript", "start.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class CorrectionContext:
    """What the routes need.

    Attributes:
        cases: the cases.
        recorder: stores the decisions.
        study_files: the radiographs of a study in the workspace's store, by its id; None without a workspace.
    """

    cases: CaseStore
    recorder: Recorder
    study_files: Callable[[str], list[RadiographFile]] | None = None


def correction_router(context: CorrectionContext) -> APIRouter:
    """The routes below ``/correct``."""
    router = APIRouter(prefix="/correct", include_in_schema=False)
    _add_pages(router, context)
    _add_answers(router, context)
    return router


def _add_pages(router: APIRouter, context: CorrectionContext) -> None:
    @router.get("")
    async def start() -> Response:
        return _page("start.html", "text/html")

    @router.get("/page/{name}")
    async def part(name: str) -> Response:
        if name not in _TYPES:
            raise ParametersRejected(
                "NOT_FOUND", "a part that the page does not have", "a part of the page", "load it again"
            )
        return _page(name, _TYPES[name])

    @router.post("/cases")
    async def add(request: Request) -> Response:
        async with request.app.state.pool.place() as place:
            form = await read_form(request)
            try:
                given, proposed = await _radiographs(form), form.get("start") != "empty"
                patient = patient_of(form.get("patient"))
            finally:
                await form.close()
            case = await place.run(
                lambda: context.cases.add(given, proposed=proposed, patient=patient), lambda: gone(request)
            )
        return RedirectResponse(f"/correct/case/{case.case_id}/", 303, headers=_HEADERS)

    @router.get("/study/{study_id}")
    async def study(study_id: str, request: Request) -> Response:
        files_of = context.study_files
        if files_of is None:
            raise InputRejected("CASE_UNKNOWN", "a service without a study store", "radiographs", "upload them")
        case = await _measured(request, lambda: context.cases.add(files_of(study_id), proposed=True, study=study_id))
        return RedirectResponse(f"/correct/case/{case.case_id}/", 303, headers=_HEADERS)

    @router.get("/case/{case_id}/")
    async def page(case_id: str) -> Response:
        context.cases.require(case_id)
        return _page("case.html", "text/html")


def _add_answers(router: APIRouter, context: CorrectionContext) -> None:
    @router.get("/case/{case_id}/data")
    async def data(case_id: str, request: Request) -> Response:
        identity = request.state.identity
        found = await _measured(request, lambda: _data(context, context.cases.open(case_id), identity))
        return JSONResponse(found, headers=_HEADERS)

    @router.get("/case/{case_id}/{view}.png")
    async def image(case_id: str, view: str) -> Response:
        case = await asyncio.to_thread(context.cases.open, case_id)
        named: ViewName | None = next((each for each in VIEWS if each == view and each in case.inputs), None)
        if named is None:
            raise ParametersRejected(
                "NOT_FOUND", "a view that the case does not have", "a view of the case", "load it again"
            )
        return Response(await asyncio.to_thread(image_png, case, named), media_type="image/png", headers=_HEADERS)

    @router.post("/case/{case_id}/measure")
    async def measure(case_id: str, request: Request) -> Response:
        body = await json_body(request)
        points, moved = points_of(body), moved_of(body)

        def work() -> dict[str, Any]:
            case = context.cases.open(case_id)
            level = at_same_height(points, case.inputs, *moved) if moved else points
            found = result_json(case, measured_points(case, level))
            return {**found, "points": {view: points_json(of_view) for view, of_view in level.items()}}

        return await _answer(work)

    @router.post("/case/{case_id}/record")
    async def record(case_id: str, request: Request) -> Response:
        identity = "" if request.state.identity == ANYBODY else request.state.identity
        decision = decision_of(await json_body(request), identity)

        def work() -> dict[str, Any]:
            case = context.cases.open(case_id)
            saved = context.recorder.save(case, decision)
            return {"version": saved.number, "decision": saved.decision, "who": saved.who}

        return await _answer(work)


def _data(context: CorrectionContext, case: Case, identity: str) -> dict[str, Any]:
    latest = context.recorder.latest(case.case_id)
    points = latest.points if latest else proposed_points(case)
    views = {view: view_json(case, view, points) for view in case.inputs}
    digest = case.model.digest if case.model else ""
    return {
        "about": f"proposed by model {digest[:12]}" if digest else "placed by hand, from nothing",
        "proposed": case.proposal is not None,
        "simulated": bool(case.model and case.model.contract.simulated_training_data),
        "identity": "" if identity == ANYBODY else identity,
        "version": latest.number if latest else 0,
        "saved": f"Record {latest.number}: {latest.decision} by {latest.who}, {latest.when}" if latest else "",
        "labels": {name: label_of(name) for given in views.values() for name in given["names"]},
        "views": views,
        "result": result_json(case, measured_points(case, points)),
    }


async def _radiographs(form: Any) -> list[RadiographFile]:
    """The files of the form on the start page. Empty file fields, which a browser sends, are left out."""
    facing = form.get("facing") or None
    try:
        spacing = float(str(form.get("spacing_mm")).replace(",", ".")) if form.get("spacing_mm") else None
    except ValueError:
        remedy = "correct the size, or leave it out"
        raise ParametersRejected("FIELD_INVALID", "a size of a pixel that is no number", "a number", remedy) from None
    if facing not in (None, "left", "right"):
        raise ParametersRejected("FIELD_INVALID", "another direction", "left or right", "choose one of them")
    found = []
    for view in VIEWS:
        upload = form.get(view)
        content = b"" if upload is None or isinstance(upload, str) else await upload.read()
        if content:
            direction = facing if view == "lateral" else None
            found.append(RadiographFile(content, view, view, direction, spacing))
    return found


async def _measured(request: Request, work: Callable[[], Result]) -> Result:
    """The result of work that may measure, in the bounded pool of the service."""
    async with request.app.state.pool.place() as place:
        result: Result = await place.run(work, lambda: gone(request))
        return result


async def _answer(work: Callable[[], dict[str, Any]]) -> Response:
    return JSONResponse(await asyncio.to_thread(work), headers=_HEADERS)


def _page(name: str, kind: str) -> Response:
    return Response((_PAGES / name).read_bytes(), media_type=f"{kind}; charset=utf-8", headers=_HEADERS)
