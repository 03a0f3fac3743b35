"""``POST /measure``: measures the radiographs of one study.

Contract: the radiographs come as a multipart body, or from a PACS that the settings name. They are read and measured in
a worker thread with the model that answers when the work begins, and they are kept nowhere.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from inference.measured_study import MeasuredStudy, measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from serving.service.answers import MODEL_HEADER, Answer, answered, wanted_format
from serving.service.bodies import gone, json_body
from serving.service.champion import ServedChampion, ServedModel
from serving.service.examples import MEASURE_DOCUMENTATION
from serving.service.metrics import ServiceMetrics
from serving.service.pacs import StudyReference, fetch_study
from serving.service.pool import MeasuringPool
from serving.service.settings import ServiceSettings
from serving.service.uploads import read_form, uploads_of
from spine.errors import InputRejected

AfterAnswer = Callable[[MeasuredStudy, ServedModel], None]
"""What is done with a measured study after its answer, e.g. a shadow run. It must return at once."""


@dataclass(frozen=True)
class Measured:
    """What a worker made of a request."""

    study: MeasuredStudy
    by: ServedModel
    answer: Answer
    inputs: tuple[str, ...]
    seconds: float


def measuring_router(
    settings: ServiceSettings,
    champion: ServedChampion,
    pool: MeasuringPool,
    metrics: ServiceMetrics,
    after_answer: AfterAnswer | None,
) -> APIRouter:
    """The router with ``POST /measure``."""
    router = APIRouter()

    @router.post("/measure", openapi_extra=MEASURE_DOCUMENTATION["request"], responses=MEASURE_DOCUMENTATION["answers"])
    async def measure(request: Request) -> Response:
        """Measure one or two radiographs of one study. Not for diagnosis."""
        form = wanted_format(request)
        champion.required()  # without a model the body need not be read
        async with pool.place() as place, _files_of(request, settings) as files:
            done = await place.run(lambda: _measured(files, champion, request, form), lambda: gone(request))
        metrics.measured.labels(done.by.digest).inc()
        metrics.measure_seconds.observe(done.seconds)
        request.state.facts.update(model=done.by.digest, inputs=done.inputs)
        task = None if after_answer is None else BackgroundTask(after_answer, done.study, done.by)
        headers = {MODEL_HEADER: done.by.digest, "Cache-Control": "no-store"}
        return Response(done.answer.content, headers=headers, media_type=done.answer.media_type, background=task)

    return router


ReadFile = Callable[[], RadiographFile]
"""Reads one file of a request; called in the worker, so that only the files that are measured are in memory."""


@asynccontextmanager
async def _files_of(request: Request, settings: ServiceSettings) -> AsyncIterator[Sequence[ReadFile]]:
    """The files of a request, which are deleted at the end of the block.

    Raises:
        InputRejected: ``TYPE_UNSUPPORTED``, and the errors of ``uploads`` and ``pacs``.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        reference = StudyReference.of_json(await json_body(request))
        limits = settings.limits
        fetched = await asyncio.to_thread(fetch_study, reference, settings.pacs, limits.body_bytes)
        yield [partial(_same, file) for file in fetched]
    elif kind == "multipart/form-data":
        form = await read_form(request)
        try:
            yield [upload.read for upload in uploads_of(form)]
        finally:
            await form.close()
    else:
        expected, remedy = "multipart/form-data or application/json", "see /openapi.json for an example"
        raise InputRejected("TYPE_UNSUPPORTED", "another content type", expected, remedy)


def _same(file: RadiographFile) -> RadiographFile:
    return file


def _measured(files: Sequence[ReadFile], champion: ServedChampion, request: Request, form: str) -> Measured:
    began, by = time.monotonic(), champion.required()
    read = [each() for each in files]
    inputs = tuple(hashlib.sha256(each.content).hexdigest() for each in read if isinstance(each.content, bytes))
    study = measure_radiographs(by.model, open_radiographs(read))
    answer = answered(study, by, request.state.request_id, form)
    return Measured(study, by, answer, inputs, time.monotonic() - began)
