"""The HTTP service under load, with a promotion meanwhile and with clients that are slow or send too much.

    python -m benchmarks service                    1,000 requests, 30 at a time
    python -m benchmarks service --requests 100     fewer

A workspace is made with one champion and two judged candidates. ``plumbline serve`` runs as a process of its own. After
a third of the requests one candidate is promoted. After two thirds a model whose weights are not finite becomes the
champion by a promoter whose smoke test is broken. Each study is the bundled virtual study as two DICOM files of 2048
x 1024 pixels. The command ends with 1 if a check fails.
"""

import argparse
import io
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from benchmarks.service_clients import Load, Memory, be_slow, send_gigabyte
from orchestration.lifecycle import promotion
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.model_digest import model_digest
from spine.radiograph.write import write_radiograph
from spine.study import geometry_from_json
from tests.served_workspace import candidate, new_workspace, without_report
from validation.promotion.smoke_test import STUDY
from validation.registry.database import sqlite_address
from validation.registry.new_database import make_database

BODY_S, SCALE = 5.0, 4
WITHIN_S = 10.0
"""The time within which a promotion must be served."""


@dataclass(frozen=True)
class Served:
    """The running service."""

    workspace: Workspace
    process: subprocess.Popen[bytes]
    port: int
    key: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> dict:
        return dict(httpx.get(f"{self.address}/readyz", timeout=30).json())


def main(arguments: list[str]) -> int:
    """Print the figures; 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=30)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        workspace = _workspace(Path(folder), patch)
        served = _start(workspace, Path(folder))
        try:
            good = _under_load(served, chosen.requests, chosen.parallel, _files(Path(folder)), patch)
            good &= _bad_clients(served)
            served.process.send_signal(signal.SIGTERM)
            good &= _check("SIGTERM ends the service", served.process.wait(60) == 0, "exit code 0")
        finally:
            with suppress(ProcessLookupError):
                served.process.kill()
            served.process.wait()
    return 0 if good else 1


def _check(what: str, good: bool, found: str) -> bool:
    sys.stdout.write(f"{'ok    ' if good else 'FAILED'}  {what}: {found}\n")
    sys.stdout.flush()
    return good


def _workspace(folder: Path, patch: pytest.MonkeyPatch) -> Workspace:
    without_report(patch)
    database = folder / "empty.db"
    make_database(sqlite_address(database))
    workspace = new_workspace(folder / "ws", database)
    candidate(workspace, "a", noise=1.0)
    promotion.promote_champion(workspace, read_params(workspace.params_file), "benchmark")
    return workspace


def _files(folder: Path) -> dict[str, bytes]:
    record, files = json.loads((STUDY / "study.json").read_text()), {}
    for number, view in enumerate(("frontal", "lateral")):
        geometry = geometry_from_json(record["geometry"][view])
        rows, columns = (SCALE * n for n in geometry.shape)
        row_mm, column_mm = (mm / SCALE for mm in geometry.spacing_mm)
        picture = Image.open(STUDY / f"{view}.png").resize((columns, rows), Image.Resampling.BICUBIC)
        place = replace(geometry, shape=(rows, columns), spacing_mm=(row_mm, column_mm))
        uids: Any = {"study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": f"2.25.3{number}"}
        image = np.asarray(picture).astype(np.uint16) * 16
        write_radiograph(folder / view, image, place, patient_id="vp", simulated=True, kvp=90.0, **uids)
        files[view] = (folder / view).read_bytes()
    return files


def _start(workspace: Workspace, folder: Path) -> Served:
    key = secrets.token_hex(16)
    (folder / "keys").write_text(f"benchmark {key}\n")
    (folder / "service.toml").write_text(f'[limits]\nbody_s = {BODY_S}\n[access]\nkeys_file = "keys"\n')
    command = [sys.executable, "-m", "orchestration.cli.main", "serve", "-w", str(workspace.root), "--port", "0"]
    command += ["--settings", str(folder / "service.toml")]
    log = (folder / "service.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        text = (folder / "service.log").read_text()
        if "serving on" in text:
            port = int(text.split("serving on http://127.0.0.1:")[1].split()[0])
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    return Served(workspace, process, port, key)
        time.sleep(0.1)
    raise RuntimeError(text)


def _under_load(
    served: Served, requests: int, parallel: int, files: dict[str, bytes], patch: pytest.MonkeyPatch
) -> bool:
    load, memory = Load(served.address, served.key, files), Memory(psutil.Process(served.process.pid))
    Load(served.address, served.key, files).send(4, 1)  # warm
    began, first = time.monotonic(), served.ready()["model"]["digest"]
    with ThreadPoolExecutor(2) as threads:
        watching = threads.submit(memory.watch)
        sending = threads.submit(load.send, requests, parallel)
        _wait(lambda: len(load.asked) > requests / 3 or sending.done())
        second, at = _promote(served.workspace, "bb", 0.5)
        lag = _wait(lambda: served.ready()["model"]["digest"] == second) and time.monotonic() - at
        _wait(lambda: len(load.asked) > 2 * requests / 3 or sending.done())
        broken, _ = _promote_broken(served.workspace, patch)
        _wait(lambda: served.ready()["fault"] is not None)
        fault = served.ready()["fault"] or {}
        sending.result()
        memory.stop.set()
        watching.result()
    answered = [each for each in load.asked if each.status == 200]
    seconds = np.array([each.seconds for each in answered])
    others = [each.status for each in load.asked if each.status not in (200, 503)]
    models = {each.model for each in answered}
    good = _check(f"{requests} requests, {parallel} at a time", len(answered) == requests, f"{len(answered)} answers")
    good &= _check("no other status than 200 and 503", not others, f"{len(load.asked) - len(answered)} x 503, {others}")
    good &= _check(f"promotion served within {WITHIN_S:g} s", 0 < lag < WITHIN_S, f"{lag:.1f} s under load")
    good &= _check("both models answered", {first, second} <= models, f"{len(models)} models")
    refused = fault.get("code") == "SMOKE_TEST_FAILED" and broken not in models
    good &= _check("a champion that fails its smoke test never answers", refused, str(fault.get("code")))
    tenths = [float(np.median(part)) for part in np.array_split(np.array(memory.samples), 10) if len(part)]
    # An exchanged model leaves memory of its own behind; requests must leave none.
    growth = max(tenths[2] - tenths[0], tenths[9] - tenths[8])
    found = (
        f"{growth:+.0f} MB where no model is exchanged; tenths of the run, MB: {', '.join(f'{t:.0f}' for t in tenths)}"
    )
    good &= _check("memory is flat", growth < 20, found)
    middle, high, largest = np.percentile(seconds, (50, 95, 100))
    rate = requests / (time.monotonic() - began)
    latency = f"median {middle:.1f} s, p95 {high:.1f} s, largest {largest:.1f} s; {rate:.2f} studies a second"
    sys.stdout.write(f"latency with {parallel} at a time: {latency}\n")
    return good


def _wait(condition: Callable[[], bool], within_s: float = 3600.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def _promote(workspace: Workspace, note: str, noise: float) -> tuple[str, float]:
    """The digest of the new champion, and the moment at which its promotion was done."""
    candidate(workspace, note, noise=noise)
    promotion.promote_champion(workspace, read_params(workspace.params_file), "benchmark")
    at, champion = time.monotonic(), history_state(workspace).champion
    assert champion is not None
    return champion.digest, at


def _promote_broken(workspace: Workspace, patch: pytest.MonkeyPatch) -> tuple[str, float]:
    """Promote a model whose weights are not finite, with a smoke test that looks at another model."""
    intact = workspace.root / "intact"
    shutil.copytree(workspace.champion, intact)
    broken = workspace.root / "broken.onnx"
    broken.write_bytes(_with_weights_that_are_not_finite(intact / "model.onnx"))

    def blind(folder: Path) -> object:
        return replace(measure_virtual_study(intact), model_digest=model_digest(folder))

    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(promotion, "measure_virtual_study", blind)
        inner.setattr("tests.served_workspace.GRAPH", broken)
        return _promote(workspace, "cccc", 0.3)


def _with_weights_that_are_not_finite(graph: Path) -> bytes:
    import onnx

    network = onnx.load(str(graph))
    for weights in network.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype in (np.float32, np.float16) and values.ndim == 4:
            weights.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), weights.name))
    stream = io.BytesIO()
    onnx.save(network, stream)
    return stream.getvalue()


def _bad_clients(served: Served) -> bool:
    memory, good = Memory(psutil.Process(served.process.pid)), True
    for chunked in (False, True):
        before = memory.now()
        status, seconds, sent = send_gigabyte(served.port, served.key, chunked=chunked)
        found = f"{status} after {seconds:.2f} s and {sent / 1e6:.0f} MB; memory {memory.now() - before:+.0f} MB"
        kind = "chunked" if chunked else "announced"
        good &= _check(f"a body of 1 GB, {kind}, is refused", " 413 " in f"{status} ", found)
    with ThreadPoolExecutor(20) as threads:
        slow = [threads.submit(be_slow, served.port, served.key) for _ in range(20)]
        time.sleep(1.0)
        health = []
        for _ in range(20):
            began = time.monotonic()
            httpx.get(f"{served.address}/healthz", timeout=10).raise_for_status()
            health.append(time.monotonic() - began)
        ended = max(each.result() for each in slow)
    found = f"the last after {ended:.1f} s (limit {BODY_S:g} s); /healthz meanwhile at most {1000 * max(health):.0f} ms"
    return good & _check("20 slow clients are cut off", ended < BODY_S + 5, found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
