"""MLflow's server is down, slow, or loses answers while a finished fit is logged (T4, T5): one run in the end.

A fit itself needs no server: its journal is on disk (``test_a_bare_machine_fits_and_another_exports``).
"""

import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from werkzeug.serving import make_server

from tests.full_disk import no_file_above
from training import tracking
from training.journal import read_journal
from training.tracking import DatasetReference, TrackedModel, replay_journal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

Fault = Callable[[int], str]


class FaultyServer:
    """MLflow's application, in front of which requests can fail.

    ``fault`` names what happens to the nth request: ``down`` (the connection is closed), ``500`` or ``429`` (MLflow
    does not see it), ``lost`` (MLflow does it, and the answer is 500), ``slow``, or nothing.
    """

    def __init__(self, app: Any) -> None:
        self.app, self.requests, self.seconds = app, count(1), 2.5
        self.fault: Fault = _healthy
        self.log: list[str] = []
        self.address = ""

    def begin(self, fault: Fault) -> None:
        self.fault, self.requests, self.log = fault, count(1), []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        kind = self.fault(next(self.requests))
        self.log.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if kind == "slow":
            time.sleep(self.seconds)
        if kind == "down":
            environ["werkzeug.socket"].close()
            return []
        if kind == "lost":
            b"".join(self.app(environ, lambda *_: lambda _: None))
        if kind in ("500", "429", "lost"):
            start_response({"429": "429 Too Many Requests"}.get(kind, "500 Internal Server Error"), [])
            return [b"{}"]
        return self.app(environ, start_response)


def _healthy(request: int) -> str:
    return ""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Iterator[FaultyServer]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_mlflow_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FILE_STORE", "REGISTRY_STORE"):
            patch.setenv(f"_MLFLOW_SERVER_{name}", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(folder / "artifacts"))
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
        patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        for name, value in {"TIMEOUT": "2", "MAX_RETRIES": "1", "BACKOFF_FACTOR": "0"}.items():
            patch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow.server.auth  # noqa: F401 - its first import, in a request, would warn
            from mlflow.server import app, handlers
        for store in ("_tracking_store", "_model_registry_store", "_artifact_repo"):
            patch.setattr(handlers, store, None, raising=False)
        faulty = FaultyServer(app)
        web = make_server("127.0.0.1", 0, faulty, threaded=True)
        faulty.address = f"http://127.0.0.1:{web.port}"
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        yield faulty
        web.shutdown()
        thread.join()
        web.server_close()


@dataclass(frozen=True)
class Logging:
    """Logs one finished fit as the candidate ``name``, and says what MLflow has of it."""

    server: FaultyServer
    candidate: Path
    dataset: DatasetReference

    def replay(self, name: str) -> TrackedModel:
        return replay_journal(
            self.candidate,
            tracking_uri=self.server.address,
            experiment=name,
            registered_model=name,
            tags={},
            dataset=self.dataset,
        )

    def repeated(self, name: str, fault: Fault) -> int:
        """Replay under faults until it succeeds; the number of calls, of which only the first has faults."""
        self.server.begin(fault)
        try:
            self.replay(name)
        except Exception:  # of MLflow or requests
            self.server.begin(_healthy)
            self.replay(name)
            return 2
        self.server.begin(_healthy)
        return 1

    def require_one(self, name: str) -> None:
        client = MlflowClient(self.server.address, self.server.address)
        experiment = client.get_experiment_by_name(name).experiment_id
        runs = client.search_runs([experiment])
        (whole,) = (run for run in runs if run.info.status == "FINISHED")
        assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
        (version,) = client.search_model_versions(f"name = '{name}'")
        assert version.run_id == whole.info.run_id
        error = client.get_metric_history(whole.info.run_id, "validation/landmark_error_mm")
        assert len(error) == len(read_journal(self.candidate).measurements)
        assert {f.path for f in client.list_artifacts(whole.info.run_id)} == {"tables"}


@pytest.fixture(scope="module")
def logging_to(server, drawn, candidate) -> Iterator[Logging]:
    """Without the curves, and with a small file instead of the graph, so that a replay takes a fraction of a second."""
    folder, manifest = drawn
    reference = DatasetReference("drawn", manifest.digest, manifest.test_digest, None, folder)

    def write_small_folder(_: Path, target: Path, *__: object) -> None:
        target.mkdir()
        (target / "MLmodel").write_text("flavors: {}" + "#" * 3_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_write_model_folder", write_small_folder)
        patch.setattr(tracking, "draw_curves", lambda *_: [])
        yield Logging(server, candidate[0], reference)


@pytest.fixture(scope="module")
def requests(logging_to) -> list[str]:
    """The requests of one replay without faults."""
    logging_to.server.begin(_healthy)
    logging_to.replay("whole")
    made = list(logging_to.server.log)
    logging_to.require_one("whole")
    return made


def test_a_server_that_goes_down_at_any_request_ends_in_one_run(logging_to, requests):
    for first in range(1, len(requests) + 1, 4):
        calls = logging_to.repeated(f"down-{first}", lambda n, first=first: "down" if n >= first else "")
        assert calls == 2, requests[first - 1]
        logging_to.require_one(f"down-{first}")


@pytest.mark.parametrize("kind", ["500", "429", "lost", "down"])
def test_one_failed_request_ends_in_one_run(logging_to, requests, kind):
    """MLflow's client repeats a request once. If the answer was lost, MLflow has already done what it asks."""
    changing = [n for n, request in enumerate(requests, 1) if request.startswith(("POST", "PATCH"))]
    for at in changing if kind == "lost" else changing[::6]:
        logging_to.repeated(f"{kind}-{at}", lambda n, at=at: kind if n == at else "")
        logging_to.require_one(f"{kind}-{at}")


def test_a_full_disk_of_the_server_ends_in_one_run(logging_to, requests):
    """After the run was made, neither the database nor the files of the model can grow (T3)."""
    with ExitStack() as disk:

        def fills(request: int) -> str:
            if request == 6:
                disk.enter_context(no_file_above(2_000))
            return ""

        logging_to.server.begin(fills)
        with pytest.raises(Exception, match=r"50[03]|disk"):
            logging_to.replay("full")
    logging_to.server.begin(_healthy)
    logging_to.replay("full")
    logging_to.require_one("full")


def test_a_slow_or_absent_server_fails_soon_and_leaves_the_fit_as_it_was(logging_to, requests, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    before = snapshot(logging_to.candidate)
    logging_to.server.begin(lambda n: "slow" if n > 3 else "")
    for server, seconds in ((logging_to.server, 8.0), (replace_address(logging_to.server), 4.0)):
        began = time.monotonic()
        with pytest.raises(Exception, match=r"(?i)timed out|refused|max retries|connection"):
            Logging(server, logging_to.candidate, logging_to.dataset).replay("slow")
        assert time.monotonic() - began < seconds
    assert snapshot(logging_to.candidate) == before
    logging_to.server.begin(_healthy)
    logging_to.replay("slow")
    logging_to.require_one("slow")


def replace_address(server: FaultyServer) -> FaultyServer:
    """The same server at an address where nothing listens."""
    absent = FaultyServer(server.app)
    absent.address = "http://127.0.0.1:9"
    return absent


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
