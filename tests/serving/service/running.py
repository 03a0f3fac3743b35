"""A service that runs in a thread of the test, on a free port of this machine."""

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from inference.bundled import BUNDLED
from serving.service.app import make_app
from serving.service.champion import ModelFiles, ServedChampion
from serving.service.logs import LOGGER, JsonLines
from serving.service.server import listen, make_server
from serving.service.settings import Access, Limits, ServiceSettings
from spine.landmarks import VIEWS, ViewName
from spine.model_digest import model_digest
from spine.radiograph.write import write_radiograph
from spine.study import geometry_from_json
from validation.promotion.smoke_test import STUDY

KEY = "k" * 32
SETTINGS = ServiceSettings(access=Access(keys={"ris": KEY}))
DIGEST = model_digest(BUNDLED)
PICTURES: dict[ViewName, bytes] = {view: (STUDY / f"{view}.png").read_bytes() for view in VIEWS}


@dataclass(frozen=True)
class Running:
    """The running service, with a client that has a key, and its log."""

    client: httpx.Client
    port: int
    log: io.StringIO
    champion: ServedChampion

    def lines(self) -> list[dict[str, Any]]:
        """The log, when no line has come for a moment: a line is written after its answer was sent."""
        before = None
        while before != (now := self.log.getvalue()):
            before = now
            time.sleep(0.4)
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def measure(self, **more: Any) -> httpx.Response:
        return self.client.post(
            "/measure", files={view: (f"{view}.png", png) for view, png in PICTURES.items()}, **more
        )

    def send(self, payload: bytes, *, wait_s: float = 10.0) -> bytes:
        """The whole answer to raw bytes; empty if the connection is closed without an answer."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=wait_s)) as connection:
            connection.sendall(payload)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """What arrives until the other side closes the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def bundled_champion(smoke_test: Callable[[Path, str], None] = lambda folder, digest: None) -> ServedChampion:
    """The bundled model, served as a champion."""
    champion = ServedChampion(lambda: ModelFiles(DIGEST, BUNDLED, "champion version 1"), smoke_test)
    champion.look()
    assert champion.serving is not None
    return champion


@contextmanager
def running(
    settings: ServiceSettings = SETTINGS, champion: ServedChampion | None = None, **more: Any
) -> Iterator[Running]:
    """Run a service; it is stopped at the end of the block."""
    log, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(log)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(LOGGER)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    champion = champion or bundled_champion()
    server = make_server(make_app(settings, champion, **more), settings.limits)
    with closing(listen("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        port = listening.getsockname()[1]
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                yield Running(client, port, log, champion)
        finally:
            server.should_exit = True
            thread.join(60)
            logger.handlers, logger.propagate = [], True


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> bool:
    """Whether the condition holds within the time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def limits(**more: Any) -> ServiceSettings:
    """The settings with other limits."""
    return ServiceSettings(Limits(**more), SETTINGS.access)


def dicom_pair(folder: Path, *, name: str = "vp-1") -> dict[ViewName, bytes]:
    """View -> the bundled study as DICOM, of a patient with this name."""
    record = json.loads((STUDY / "study.json").read_text())
    pair = {}
    for number, (view, png) in enumerate(PICTURES.items()):
        image = np.asarray(Image.open(io.BytesIO(png))).astype(np.uint16) * 16
        geometry = geometry_from_json(record["geometry"][view])
        uids: Any = {"study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": f"2.25.3{number}"}
        write_radiograph(folder / view, image, geometry, patient_id=name, simulated=True, kvp=90.0, **uids)
        pair[view] = (folder / view).read_bytes()
    return pair
