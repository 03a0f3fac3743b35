"""A real PACS for tests: an Orthanc process on free ports, that the test ends and kills."""

import json
import secrets
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

PROGRAM = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needs_orthanc = pytest.mark.skipif(
    PROGRAM is None or not PLUGIN.is_file(),
    reason="Orthanc and its DICOMweb plug-in are not installed: apt-get install orthanc orthanc-dicomweb",
)


@dataclass
class Orthanc:
    """One Orthanc with its own folder. ``authorization`` is the header of requests."""

    folder: Path
    port: int
    authorization: str
    process: subprocess.Popen | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def start(self) -> None:
        """Start, and wait for the first answer."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen([PROGRAM, self.folder / "orthanc.json"], stdout=log, stderr=log)
            while self.process.poll() is None and time.monotonic() < end:
                try:
                    with self.client() as client:
                        client.get("/system").raise_for_status()
                    return
                except httpx.HTTPError:
                    time.sleep(0.1)
            time.sleep(0.3)  # a killed Orthanc needs a moment to give its port back
        raise TimeoutError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self) -> httpx.Client:
        headers = {"Authorization": self.authorization}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)

    def send(self, *files: bytes) -> None:
        """Store files as a modality does."""
        with self.client() as client:
            for file in files:
                client.post("/instances", content=file).raise_for_status()

    def of_study(self, study_uid: str) -> list[dict]:
        """The instances of a study in DICOM JSON."""
        with self.client() as client:
            answer = client.get(f"/dicom-web/studies/{study_uid}/instances")
            return answer.json() if answer.status_code == 200 else []

    def count(self, study_uid: str, sop_class: str) -> int:
        """The number of instances of a SOP class in a study."""
        return sum(each["00080016"]["Value"][0] == sop_class for each in self.of_study(study_uid))


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc in ``folder``, killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(16)
    orthanc = Orthanc(folder, free_port(), "Basic " + b64encode(f"svc:{password}".encode()).decode())
    settings = {
        "HttpPort": orthanc.port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"svc": password},
        "OverwriteInstances": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "Plugins": [str(PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    orthanc.start()
    try:
        yield orthanc
    finally:
        orthanc.kill()
