"""A small PACS for tests: QIDO-RS, WADO-RS and STOW-RS in the memory of the test, with faults that the test sets."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pydicom
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from serving.service.server import listen

_STUDY_TAGS = ("StudyInstanceUID", "StudyDate")
_INSTANCE_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "Manufacturer",
    "BodyPartExamined",
)
_BOUNDARY = b"part-of-an-answer"


@dataclass
class FakePacs:
    """The instances of the PACS, its faults, and what was asked.

    Attributes:
        stored: study UID -> SOP Instance UID -> file.
        down: whether every request is answered with 503.
        denies: whether every request is answered with 401.
        refuses: SOP Instance UIDs or SOP class UIDs that are not stored.
        slow_s: the time before each answer.
        broken_studies: study UIDs whose instances are answered with 500.
        silent_studies: study UIDs whose radiographs are answered after a second.
        largest_page: the most studies in one answer.
        states_counts: whether answers have the number of instances of a study.
        knows_offsets: whether a search returns what follows the offset.
        asked: method and path of each request.
    """

    stored: dict[str, dict[str, bytes]] = field(default_factory=dict)
    down: bool = False
    denies: bool = False
    refuses: set[str] = field(default_factory=set)
    slow_s: float = 0.0
    broken_studies: set[str] = field(default_factory=set)
    silent_studies: set[str] = field(default_factory=set)
    largest_page: int = 1000
    states_counts: bool = True
    knows_offsets: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, *files: bytes) -> str:
        """Store files as if a modality sent them. Returns the study UID."""
        for file in files:
            ds = header(file)
            self.stored.setdefault(ds.StudyInstanceUID, {})[ds.SOPInstanceUID] = file
        return str(ds.StudyInstanceUID)

    def of_class(self, study: str, sop_class: str) -> list[pydicom.Dataset]:
        """The instances of one SOP class in a study."""
        found = [pydicom.dcmread(BytesIO(file)) for file in self.stored[study].values()]
        return [each for each in found if each.SOPClassUID == sop_class]


def header(file: bytes) -> pydicom.Dataset:
    """The tags of a file without its pixels."""
    return pydicom.dcmread(BytesIO(file), stop_before_pixels=True)


@contextmanager
def running_pacs() -> Iterator[FakePacs]:
    """A PACS on a free port of this machine."""
    pacs, listening = FakePacs(), listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(_app(pacs), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    pacs.url = f"http://127.0.0.1:{listening.getsockname()[1]}/dicom-web"
    while not server.started:
        time.sleep(0.01)
    try:
        yield pacs
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


def _app(pacs: FakePacs) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def faults(request: Request, call_next: Any) -> Response:
        pacs.asked.append(f"{request.method} {request.url.path.removeprefix('/dicom-web')}")
        await asyncio.sleep(pacs.slow_s)
        if pacs.down or pacs.denies:
            return Response(status_code=503 if pacs.down else 401)
        return await call_next(request)

    @app.get("/dicom-web/studies")
    def studies(request: Request) -> Response:
        return _studies(pacs, request)

    @app.get("/dicom-web/studies/{study}/instances")
    def instances(study: str, offset: int = 0) -> Response:
        if study in pacs.broken_studies:
            return Response(status_code=500)
        files = list(pacs.stored[study].values())[offset if pacs.knows_offsets else 0 :]
        return JSONResponse([_json(header(file), _INSTANCE_TAGS) for file in files])

    @app.get("/dicom-web/studies/{study}/series/{series}/instances/{uid}")
    async def instance(study: str, series: str, uid: str) -> Response:
        await asyncio.sleep(1.0 if study in pacs.silent_studies else 0.0)
        part = b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + pacs.stored[study][uid]
        kind = f'multipart/related; type="application/dicom"; boundary="{_BOUNDARY.decode()}"'
        return Response(part + b"\r\n--" + _BOUNDARY + b"--\r\n", headers={"Content-Type": kind})

    @app.post("/dicom-web/studies/{study}")
    async def store(study: str, request: Request) -> Response:
        boundary = request.headers["content-type"].split("boundary=")[1].strip('"')
        return _stored(pacs, (await request.body()).split(b"--" + boundary.encode())[1:-1])

    return app


def _studies(pacs: FakePacs, request: Request) -> Response:
    since = request.query_params.get("StudyDate", "").rstrip("-")
    found = []
    for uid, files in pacs.stored.items():
        ds = header(next(iter(files.values())))
        if ds.get("StudyDate", "") >= since:
            modalities = sorted({header(file).Modality for file in files.values()})
            counts = {"00201208": {"vr": "IS", "Value": [len(files)]}} if pacs.states_counts else {}
            found.append({**_json(ds, _STUDY_TAGS), **counts, "00080061": {"vr": "CS", "Value": modalities}})
            found[-1]["0020000D"] = {"vr": "UI", "Value": [uid]}
    offset, limit = (int(request.query_params.get(name, 0)) for name in ("offset", "limit"))
    offset = offset if pacs.knows_offsets else 0
    return JSONResponse(found[offset : offset + min(limit, pacs.largest_page)])


def _stored(pacs: FakePacs, parts: list[bytes]) -> Response:
    good, bad = [], []
    for part in parts:
        file = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        ds = header(file)
        item = {"00081155": {"vr": "UI", "Value": [ds.SOPInstanceUID]}}
        if {ds.SOPInstanceUID, ds.SOPClassUID} & pacs.refuses:
            bad.append({**item, "00081197": {"vr": "US", "Value": [0xA700]}})
        else:
            pacs.stored[ds.StudyInstanceUID].setdefault(ds.SOPInstanceUID, file)
            good.append(item)
    answer = {"00081199": {"vr": "SQ", "Value": good}} if good else {}
    answer |= {"00081198": {"vr": "SQ", "Value": bad}} if bad else {}
    status = 200 if not bad else 202 if good else 409
    return JSONResponse(answer, status_code=status, media_type="application/dicom+json")


def _json(ds: pydicom.Dataset, keywords: tuple[str, ...]) -> dict[str, Any]:
    chosen = pydicom.Dataset({ds[keyword].tag: ds[keyword] for keyword in keywords if keyword in ds})
    return chosen.to_json_dict()
