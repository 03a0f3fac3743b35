"""From corrections on the page to a judged model: corrections over HTTP, the sensor, a retraining, the verdict.

    python -m benchmarks.correction_cycle -w WORKSPACE [--corrections 20]

The workspace has a champion (`plumbline demo` makes one). Virtual patients that it does not have are opened on the
correction page of `plumbline serve`, each S1 plate is put where it truly lies, and the page's answers are saved. Then
the command asks the retraining sensor and runs the pipeline. Every figure is of virtual patients.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.figures import python
from orchestration.dagster.sensors import new_studies
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import free_port
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import read_manifest
from spine.landmarks import VIEWS
from spine.radiograph.read import read_radiograph
from spine.reconstruction.plumbline_json import read_reconstruction
from spine.scanner import NATIVE_SPACING_MM
from validation.gates.verdict import read_verdict

KEY = "k" * 32
SEED = 4242
SET_RIGHT = ("S1_ant", "S1_post")


def main(arguments: list[str] | None = None) -> int:
    """Print what became of the corrections; the exit code is 1 if one of them is not in the dataset."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.correction_cycle", description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--corrections", type=int, default=20)
    chosen = parser.parse_args(arguments)
    workspace = Workspace(chosen.workspace)
    before = read_manifest(workspace.dataset)
    proposer = _correct(workspace, chosen.corrections)
    waiting, wanted = len(new_studies(workspace)[1]), read_params(workspace.params_file).retrain.minimum_new_studies
    _say(f"sensor: {waiting} studies and corrections wait, a retraining starts at {wanted}")
    began = time.monotonic()
    done = subprocess.run(python("-m", "orchestration.cli.main", "run", "-w", str(workspace.root)), check=False)
    after = read_manifest(workspace.dataset)
    used = [e for e in after.examples() if e.source == "corrections" and e.facts.get("proposed_by") == proposer]
    splits = sorted({e.split for e in used})
    _say(f"run: exit code {done.returncode} after {time.monotonic() - began:.0f} s")
    _say(f"dataset {before.digest[:12]} -> {after.digest[:12]}: {len(used)} corrections of model {proposer[:12]} in it")
    _say(f"their splits: {', '.join(splits)}; frozen test set unchanged: {before.test_digest == after.test_digest}")
    verdict = read_verdict(workspace.verdict_file)
    _say(f"verdict on the retrained model: {verdict.decision}")
    return 0 if len(used) == chosen.corrections and before.test_digest == after.test_digest else 1


def _correct(workspace: Workspace, count: int) -> str:
    """Correct the radiographs of ``count`` new patients over HTTP; returns the digest of the model that proposed."""
    with tempfile.TemporaryDirectory() as scratch, _service(workspace) as client:
        write_cohort(Path(scratch), CohortConfig(count, SEED, (512, 256), float(NATIVE_SPACING_MM * 8)))
        digests = {_correct_one(client, folder) for folder in sorted(Path(scratch).glob("case-*"))}
    (digest,) = digests
    return digest


def _correct_one(client: httpx.Client, patient: Path) -> str:
    files = {view: (patient / f"{view}.dcm").read_bytes() for view in VIEWS}
    opened = client.post("/correct/cases", files={view: (view, content) for view, content in files.items()})
    case = opened.headers["location"]
    data = client.get(f"{case}data").json()
    points = {view: given["points"] for view, given in data["views"].items()}
    truth = read_reconstruction(patient / "reconstruction.json").points
    for view in VIEWS:
        geometry = read_radiograph(files[view]).geometry
        if geometry is not None:
            at = {name: geometry.project(np.asarray(truth[name])) for name in SET_RIGHT if name in points[view]}
            points[view] |= {name: [round(float(c), 2) for c in place] for name, place in at.items()}
    sent: dict[str, Any] = {"decision": "corrected", "points": points, "reason": "", "after": data["version"]}
    saved = client.post(f"{case}record", json=sent)
    if saved.status_code != 200:
        raise SystemExit(f"not saved: {saved.json()}")
    answer = client.get("/readyz").json()
    return str(answer["model"]["digest"])


@contextmanager
def _service(workspace: Workspace) -> Iterator[httpx.Client]:
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        keys = Path(scratch) / "keys"
        keys.write_text(f"reader {KEY}\n")
        call = python("-m", "orchestration.cli.main", "serve", "-w", str(workspace.root), "--port", str(port))
        process = subprocess.Popen([*call, "--keys", str(keys)], stderr=subprocess.DEVNULL)
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
                _until_ready(client, process)
                yield client
        finally:
            process.terminate()
            process.wait(60)


def _until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit(f"the service ended with {process.returncode}")
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit("the service was not ready after two minutes")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
