"""A PACS of one study that answers the DICOMweb requests of the service, if they are authorised."""

import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydicom import dcmread

_TAGS = ("0020000E", "00080018", "00080016", "00280010", "00280011", "0020000D")


@contextmanager
def pacs(files: Mapping[Any, bytes]) -> Iterator[str]:
    """The address of a PACS with these DICOM files, in which there is also a presentation state."""
    instances = {}
    for content in files.values():
        dataset = dcmread(io.BytesIO(content), stop_before_pixels=True)
        instances[str(dataset.SOPInstanceUID)] = (dataset, content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            if self.headers["Authorization"] != "Basic abc":
                self._answer(401, b"", "text/plain")
            elif parts[-1] == "instances":
                found = [_described(dataset) for dataset, _ in instances.values() if dataset.StudyInstanceUID in parts]
                self._answer(200, json.dumps([*found, _other()]).encode(), "application/dicom+json")
            else:
                content = instances[parts[-1]][1]
                body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--"
                self._answer(200, body, 'multipart/related; type="application/dicom"; boundary=b')

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _described(dataset: Any) -> dict[str, Any]:
    full = dataset.to_json_dict()
    return {tag: full[tag] for tag in _TAGS if tag in full}


def _other() -> dict[str, Any]:
    return {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.11.1"]},
        "00080018": {"vr": "UI", "Value": ["9"]},
    }
