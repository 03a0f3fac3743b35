"""A marker in every place that may name a patient reaches nothing that the whole pipeline makes (PS3.15, D24).

Only these hold identifiers on purpose: the source, the inbox, the copies of refused files in quarantine, and what
`plumbline quarantine` and `plumbline status` print.
"""

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import warnings
import zipfile
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from orchestration.dagster.assets.data import BATCHES
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import open_instance
from orchestration.dagster.jobs import INGEST_BATCH, RETRAIN
from orchestration.dagster.resources import WorkspacePaths, resources_for
from orchestration.dagster.sensors import inbox
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.intake.folder import FolderSource
from spine.scanner import NATIVE_SPACING_MM
from spine.study import iterate_study_folders, read_study
from spine.work import LocalWork
from tests.pipeline.conftest import loosened_policy
from tests.pipeline.marker_search import parts_of, places_of
from tests.pipeline.planted_source import MARKER, REFUSED, batches, planted_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SETTINGS = (
    *("dataset.landmark_set=galbusera39", "dataset.test_patients=7", "dataset.validation_fraction=0.2"),
    *("training.init_from=null", "training.epochs=1", "training.batch_size=4", "training.heatmap_stride=4"),
    *("training.input_shape=[128,64]", "validation.on_bad_study=exclude", "gate.policy=loose.yaml"),
    "drift.minimum_studies=2",
)
COUNT = 22


@dataclass
class Planted:
    """A workspace after everything, and what was printed on the way."""

    folder: Path
    workspace: Workspace
    printed: dict[str, bytes] = field(default_factory=dict)

    def plumbline(self, *arguments: str) -> subprocess.CompletedProcess:
        home = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "orchestration.cli.main", *arguments, "-w", str(self.workspace.root)]
        done = subprocess.run(command, capture_output=True, env=os.environ | home, timeout=600)
        self.printed[arguments[0]] = done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def planted(tmp_path_factory, quiet) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    made = Planted(folder, Workspace(folder / "ws"))
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    config = CohortConfig(count=COUNT, seed=77, shape=(512, 256), spacing_mm=NATIVE_SPACING_MM * 8)
    write_cohort(folder / "cohort", config, work=LocalWork(2))
    planted_source(folder / "cohort", folder / "source")
    made.workspace.root.mkdir()
    loosened_policy(made.workspace.root / "loose.yaml")
    made.workspace.state.mkdir()
    made.workspace.pseudonym_key_file.write_text("07" * 32)  # the splits follow from the pseudonyms
    settings = [text for setting in SETTINGS for text in ("--set", setting)]
    made.plumbline("run", "--source", "folder", "--location", str(folder / "source"), *settings)
    shutil.rmtree(folder / "cohort")
    write_cohort(folder / "cohort", CohortConfig(3, 78, (512, 256), NATIVE_SPACING_MM * 8))
    batches(folder / "cohort", made.workspace.inbox)
    take_in_batches(made.workspace)
    fail(made.workspace)
    for command in (("quarantine",), ("status",), ("review",), ("verdict",), ("history",)):
        made.plumbline(*command)
    made.plumbline("backup", str(folder / "backup.tar.gz"))
    made.plumbline("run")
    return made


def take_in_batches(workspace: Workspace) -> None:
    """Take in what the sensor of the inbox requests, with the output of the steps captured as under the services."""
    with open_instance(workspace) as instance, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asked = inbox(dg.build_sensor_context(instance=instance), paths=WorkspacePaths(root=str(workspace.root)))
        assert isinstance(asked, dg.SensorResult)
        for partitions in asked.dynamic_partitions_requests:
            instance.add_dynamic_partitions(str(BATCHES.name), list(partitions.partition_keys))
        job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(INGEST_BATCH)
        for request in asked.run_requests:
            job.execute_in_process(
                instance=instance, partition_key=request.partition_key, tags=dict(request.tags), raise_on_error=False
            )


def fail(workspace: Workspace) -> None:
    """Two runs that end with an exception whose text names a file of the source."""
    for error in (PermissionError(13, "Permission denied", f"/source/{MARKER}/x"), ValueError(f"bad {MARKER}")):

        def contents(_: FolderSource, error: Exception = error) -> None:
            raise error

        with pytest.MonkeyPatch.context() as patch, open_instance(workspace) as instance:
            patch.setattr(FolderSource, "contents", contents)
            job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
            assert not job.execute_in_process(instance=instance, raise_on_error=False).success


def report_of(planted: Planted, step: str) -> dict:
    return json.loads((planted.workspace.reports / f"{step}.json").read_text())


def test_every_part_of_the_system_was_used(planted):
    text = {name: output.decode(errors="replace") for name, output in planted.printed.items()}
    figures = report_of(planted, "studies")["figures"]
    assert figures["waiting"] == 2 and figures["quarantined"] >= len(REFUSED) - 2, text["run"]
    studies = [read_study(folder) for folder in iterate_study_folders(planted.workspace.studies)]
    assert len(studies) >= COUNT - 3 and not any(study.facts.get("simulated") for study in studies)
    assert "excluded by the validation" in report_of(planted, "dataset")["figures"]["left out"]
    made = {path.relative_to(planted.workspace.root).parts[:2] for path in planted.workspace.root.rglob("*")}
    assert {("state", "drift"), ("state", "mlflow"), ("state", "dagster"), ("data", "screening")} <= made
    assert {("data", "validation"), ("data", "candidate"), ("data", "evaluation"), ("state", "verdicts")} <= made
    assert MARKER in text["quarantine"], "the person who looks for a study sees its name"
    assert "history verified" in text["backup"], text["backup"]


def test_the_marker_reaches_nothing_that_is_made(planted):
    folder = planted.folder
    kept = [p for p in folder.rglob("*") if p.is_file() and not {folder / "source", folder / "cohort"} & {*p.parents}]
    kept = [p for p in kept if planted.workspace.inbox not in p.parents and p != folder / "backup.tar.gz"]
    kept = [p for p in kept if planted.workspace.quarantine not in p.parents or p.name == "reason.json"]
    made = {os.fspath(path.relative_to(folder)): path for path in kept}
    assert len(made) > 300 and {path.suffix for path in kept} >= {".db", ".onnx", ".safetensors", ".png", ".html"}
    assert places_of(MARKER, made) == []
    folders = [p for p in planted.workspace.root.rglob("*") if p.is_dir() and MARKER in p.name]
    assert all(planted.workspace.inbox in folder.parents for folder in folders)


def test_the_marker_is_not_printed(planted):
    shown = {name: output for name, output in planted.printed.items() if name not in ("quarantine", "status")}
    assert [name for name, output in shown.items() if MARKER.encode() in output] == []


def test_a_backup_has_the_marker_only_where_the_workspace_has_it(planted):
    with tarfile.open(planted.folder / "backup.tar.gz") as archive:
        # The list of the files in the archive names those of the inbox, which the archive contains.
        members = [m for m in archive if m.isfile() and not _is_confidential(m.name) and m.name != "backup.json"]
        assert len(members) > 100
        found = [m.name for m in members for part in parts_of(archive.extractfile(m).read()) if MARKER.encode() in part]
    assert found == []


def _is_confidential(name: str) -> bool:
    parts = Path(name).parts
    return "inbox" in parts or ("quarantine" in parts and parts[-1] != "reason.json")


def test_the_search_finds_what_is_hidden(tmp_path):
    """The search itself: archives, compressed streams, UTF-16, base64 and databases."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", MARKER)
    (tmp_path / "b.gz").write_bytes(gzip.compress((tmp_path / "a.zip").read_bytes()))
    (tmp_path / "c.txt").write_text(MARKER.lower(), encoding="utf-16")
    (tmp_path / "d.html").write_bytes(b64encode(b"a picture with " + MARKER.encode() + b" in it"))
    with sqlite3.connect(tmp_path / "e.db") as database:
        database.execute("CREATE TABLE t (c BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (zlib.compress(MARKER.encode()),))
    database.close()
    (tmp_path / "f.txt").write_text("ZQX-MARKER")
    assert places_of(MARKER, {p.name: p for p in tmp_path.iterdir()}) == ["a.zip", "b.gz", "c.txt", "d.html", "e.db"]
