"""Reading the registry: whose storage is asked, and which refusals the errors of a server become."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from spine.errors import GateRefused
from tests.validation.promotion.registry import Registry
from validation.registry.client import download, open_registry
from validation.registry.errors import errors_as_refusals


@pytest.fixture
def other_host() -> Iterator[tuple[str, list[str]]]:
    """A web server of the same network, and the requests that reach it."""
    requests: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", requests
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "mlflow-artifacts", "ftp"])
def test_a_version_whose_files_are_on_another_host_is_refused_without_a_request(
    registry: Registry, other_host: tuple[str, list[str]], scheme: str
) -> None:
    """V1: whoever writes into the registry must not choose what this machine requests."""
    address, (host, requests) = registry.candidate("model"), other_host
    evil = f"'{scheme}://{host}/latest/meta-data'"
    registry.execute(f"UPDATE model_versions SET source = {evil}, storage_location = {evil}")
    assert host in registry.refuses(address, "ADDRESS_ELSEWHERE").found
    registry.execute(f"UPDATE runs SET artifact_uri = '{scheme}://{host}/run'")
    with pytest.raises(GateRefused, match="ADDRESS_ELSEWHERE"):
        download(registry.tracking_uri, f"runs:/{registry.stored(address).name}/model", registry.folder / "x")
    assert requests == []


def test_a_database_server_that_is_down_is_refused_at_once():
    began = time.monotonic()
    with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
        open_registry("postgresql+psycopg2://a:b@127.0.0.1:9/mlflow")
    assert time.monotonic() - began < 7


def test_refusals_of_the_artefact_store_have_codes_too() -> None:
    for status, code in ((403, "NOT_PERMITTED"), (500, "REGISTRY_UNAVAILABLE")):
        answer = requests.Response()
        answer.status_code = status
        with pytest.raises(GateRefused) as refusal, errors_as_refusals():
            raise requests.HTTPError(f"{status} of the store", response=answer)
        assert refusal.value.code == code
        assert str(status) in refusal.value.found
