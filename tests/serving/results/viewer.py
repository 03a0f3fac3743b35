"""OHIF with the DICOMweb answers that it needs, served from one address for a browser.

The viewer is the prebuilt package ``@ohif/app`` of npm, fetched once into a cache outside the repository.
"""

import json
import mimetypes
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom

PACKAGE = "@ohif/app@3.12.10"
CACHE = Path.home() / ".cache" / "plumbline"
_CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "test",
                "name": "test",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "wadoUriRoot": "/dicom-web",
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "singlepart": "pdf",
            },
        }
    ],
    "defaultDataSourceName": "dicomweb",
}
_BOUNDARY = "part"


@cache
def viewer_folder() -> Path | str:
    """The folder of the prebuilt viewer, or the reason why there is none."""
    folder = CACHE / PACKAGE.replace("/", "-") / "package" / "dist"
    if (folder / "index.html").is_file():
        return folder
    if shutil.which("npm") is None:
        return "npm, which fetches the viewer, is not installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    call = ["npm", "pack", "--silent", PACKAGE, "--pack-destination", str(CACHE)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=300, cwd=CACHE)
    except subprocess.TimeoutExpired:
        return f"npm did not fetch {PACKAGE} within five minutes"
    if done.returncode != 0:
        return f"npm cannot fetch {PACKAGE} here"
    with tempfile.TemporaryDirectory(dir=CACHE) as unpacked:  # moved when complete: a killed test leaves no half
        with tarfile.open(CACHE / done.stdout.split()[-1]) as archive:
            archive.extractall(unpacked, filter="data")
        shutil.rmtree(folder.parent.parent, ignore_errors=True)
        folder.parent.parent.mkdir(parents=True)
        shutil.move(Path(unpacked) / "package", folder.parent)
    return folder


@contextmanager
def served(datasets: Sequence[pydicom.Dataset], viewer: Path) -> Iterator[str]:
    """The address at which viewer and data sets are served while the block runs."""

    class Handler(_Handler):
        folder, stored = viewer, datasets

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    stored: Sequence[pydicom.Dataset]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, _ = self.path.partition("?")
        if path.startswith("/dicom-web/"):
            self._dicomweb(path.removeprefix("/dicom-web/").strip("/").split("/"))
        elif path == "/app-config.js":
            self._answer(f"window.config = {json.dumps(_CONFIG)};".encode(), "text/javascript")
        else:
            file = self.folder / path.lstrip("/")
            file = file if file.is_file() else self.folder / "index.html"
            self._answer(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    def _dicomweb(self, parts: list[str]) -> None:
        """``studies``, ``series`` and ``instances`` alternate with their UIDs, then ``metadata`` or ``frames``."""
        wanted = dict(zip(parts[::2], parts[1::2], strict=False))
        found = [each for each in self.stored if _is(each, wanted)]
        if "frames" in parts:
            self._frame(found[0])
            return
        if parts[-1] != "metadata" and len(parts) % 2:  # a list of studies, series or instances
            uid = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID"}.get(parts[-1], "SOPInstanceUID")
            found = list({str(each[uid].value): each for each in found}.values())
        records = [_record(each) for each in found]
        self._answer(json.dumps(records).encode(), "application/dicom+json")

    def _frame(self, dataset: pydicom.Dataset) -> None:
        kind = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        head = f"--{_BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
        body = head + dataset.PixelData + f"\r\n--{_BOUNDARY}--\r\n".encode()
        self._answer(body, f'multipart/related; type="application/octet-stream"; boundary={_BOUNDARY}')

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


_KEYWORDS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


def _is(dataset: pydicom.Dataset, wanted: dict[str, str]) -> bool:
    return all(str(dataset[_KEYWORDS[level]].value) == uid for level, uid in wanted.items() if level in _KEYWORDS)


def _record(dataset: pydicom.Dataset) -> dict[str, Any]:
    """DICOM JSON without bulk data, with the counts that a query returns."""
    plain = pydicom.Dataset({e.tag: e for e in dataset if e.keyword not in ("PixelData", "EncapsulatedDocument")})
    plain.ModalitiesInStudy = ["DX", "SR"]
    plain.NumberOfSeriesRelatedInstances = plain.NumberOfStudyRelatedInstances = 1
    return dict(plain.to_json_dict())
