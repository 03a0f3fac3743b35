"""Backup and restore of a workspace: complete, verified, and independent of the folder."""

import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from orchestration.lifecycle.backup import restore_backup, write_backup
from orchestration.lifecycle.local_champion import open_champion
from orchestration.pipeline.cache import CACHE
from orchestration.pipeline.intake import finished_batches
from orchestration.pipeline.lock import WorkspaceBusy, workspace_lock
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, ParametersRejected
from spine.storage import sha256_of_file
from tests.served_workspace import done, served_workspace, typed

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def small(tmp_path: Path) -> Workspace:
    """A workspace without models, with a file of each kind that a backup must treat differently."""
    made = Workspace(tmp_path / "small")
    made.prepare()
    write_params(Params(), made.params_file)
    (made.studies / "a").mkdir(parents=True)
    (made.studies / "a" / "image.npy").write_bytes(b"pixels")
    made.dataset.mkdir()
    os.link(made.studies / "a" / "image.npy", made.dataset / "image.npy")
    made.pseudonym_key_file.write_text("ab" * 32)
    made.pseudonym_key_file.chmod(0o600)
    (made.state / "logs").mkdir()
    (made.state / "logs" / "mlflow.log").write_text("not needed")
    made.screening.mkdir()
    (made.root / "dvc.lock").write_text("stages: {}\n")  # no lock, but the versions of the data
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "far.dcm").write_text("behind a link")
    (made.inbox / "batch").symlink_to(tmp_path / "disk")
    return made


def test_every_file_returns_with_its_content_mode_and_links(small: Workspace, tmp_path: Path):
    done = write_backup(small, tmp_path / "archives" / "a.tar.gz")
    assert (tmp_path / "archives" / "a.tar.gz").stat().st_mode & 0o777 == 0o600, "it has the pseudonym key"
    there = Workspace(tmp_path / "there")
    assert restore_backup(tmp_path / "archives" / "a.tar.gz", there).files == done.files == 6
    assert (there.root / "dvc.lock").exists() and not (there.state / "workspace.lock").exists()
    assert there.screening.is_dir(), "DVC compares empty folders too"
    assert (there.dataset / "image.npy").read_bytes() == b"pixels"
    assert (there.dataset / "image.npy").samefile(there.studies / "a" / "image.npy"), "one copy on disk, as before"
    assert there.pseudonym_key_file.stat().st_mode & 0o777 == 0o600
    assert (there.inbox / "batch" / "far.dcm").read_text() == "behind a link"
    assert not (there.state / "logs").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archives", "disk", "small", "there"], "nothing is left over"


KILLED = """import os, sys
from pathlib import Path
from orchestration.lifecycle import backup
from orchestration.pipeline.workspace import Workspace
backup._write = lambda *_: os._exit(9)
backup.write_backup(Workspace(Path(sys.argv[1])), Path(sys.argv[2]))"""


def test_the_next_backup_removes_what_a_killed_one_left(small: Workspace, tmp_path: Path):
    archives = tmp_path / "archives"
    killed = subprocess.run([sys.executable, "-c", KILLED, small.root, archives / "monday.tar.gz"], check=False)
    assert killed.returncode == 9
    assert len(list(archives.iterdir())) == 1
    write_backup(small, archives / "tuesday.tar.gz")
    assert [path.name for path in archives.iterdir()] == ["tuesday.tar.gz"]


def test_names_that_are_not_utf8_are_saved_and_restored(small: Workspace, tmp_path: Path):
    odd = small.inbox / os.fsdecode(b"M\xfcller\n[1]") / "COMPLETE"
    odd.parent.mkdir()
    odd.touch()
    write_backup(small, tmp_path / "a.tar.gz")
    there = Workspace(tmp_path / "there")
    restore_backup(tmp_path / "a.tar.gz", there)
    assert [b.key for b in finished_batches(there)] == [b.key for b in finished_batches(small)]


def test_a_batch_that_was_taken_in_is_not_new_after_a_restore(small: Workspace, tmp_path: Path):
    marker = small.inbox / "batch" / "COMPLETE"
    marker.touch()
    os.utime(marker, ns=(0, 1_796_054_400_123_456_789))
    write_backup(small, tmp_path / "a.tar")
    restore_backup(tmp_path / "a.tar", there := Workspace(tmp_path / "there"))
    assert [batch.key for batch in finished_batches(there)] == [batch.key for batch in finished_batches(small)]


def test_a_database_is_saved_while_another_program_writes(small: Workspace, tmp_path: Path):
    with closing(sqlite3.connect(small.state / "other.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")  # it lies in the write-ahead log, not in the file
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (2)")
        write_backup(small, tmp_path / "a.tar")
    restore_backup(tmp_path / "a.tar", Workspace(tmp_path / "there"))
    with closing(sqlite3.connect(tmp_path / "there" / "state" / "other.db")) as restored:
        assert restored.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert not list((tmp_path / "there" / "state").glob("other.db-*"))


def test_with_an_unreadable_record_the_whole_cache_is_saved(small: Workspace, tmp_path: Path):
    (small.root / CACHE / "ab").mkdir(parents=True)
    (small.root / CACHE / "ab" / "cd").write_text("an older version")
    (small.root / ".dvc" / "tmp").mkdir()
    assert write_backup(small, tmp_path / "without.tar").files == 6, "no model and no record names it"
    small.evaluation.mkdir()
    (small.evaluation / "record.json").write_text("{}")
    write_backup(small, tmp_path / "with.tar")
    restore_backup(tmp_path / "with.tar", Workspace(tmp_path / "there"))
    assert (tmp_path / "there" / CACHE / "ab" / "cd").read_text() == "an older version"


def test_what_must_not_be_overwritten_is_refused(small: Workspace, tmp_path: Path):
    archive = tmp_path / "a.tar"
    with workspace_lock(small), pytest.raises(WorkspaceBusy):
        write_backup(small, archive)
    assert not archive.exists()
    write_backup(small, archive)
    with pytest.raises(ParametersRejected, match="ARCHIVE_EXISTS"):
        write_backup(small, archive)
    with pytest.raises(ParametersRejected, match="ARCHIVE_INSIDE"):
        write_backup(small, small.data / "a.tar")
    with pytest.raises(ParametersRejected, match="WORKSPACE_EXISTS"):
        restore_backup(archive, small)


@pytest.mark.parametrize("damage", ["altered", "missing", "added", "cut", "none of ours"])
def test_a_damaged_archive_restores_nothing(small: Workspace, tmp_path: Path, damage: str):
    archive, bad, there = tmp_path / "a.tar", tmp_path / "bad.tar", tmp_path / "there"
    write_backup(small, archive)
    if damage == "cut":
        bad.write_bytes(archive.read_bytes()[:9000])
    else:
        with tarfile.open(archive) as old, tarfile.open(bad, "w") as new:
            for member in old.getmembers():
                stream = old.extractfile(member)
                content = stream.read() if stream is not None else b""  # None for an empty folder
                if damage == "altered":
                    content = content.replace(b"behind", b"beside")
                dropped = {"missing": "params.yaml", "none of ours": "backup.json"}.get(damage)
                if member.name != dropped:
                    new.addfile(member, io.BytesIO(content) if member.isreg() else None)
            if damage == "added":
                new.addfile(tarfile.TarInfo("state/verdicts/forged.json"))
    named = {
        "altered": "far.dcm",
        "missing": "params.yaml",
        "added": "forged.json",
        "cut": "(cannot be read|incomplete or damaged)",
    }
    with pytest.raises(EvidenceRejected, match=f"BACKUP_ALTERED.*{named.get(damage, 'no backup.json')}") as refused:
        restore_backup(bad, Workspace(there))
    assert "restoring" not in str(refused.value), "the folder that it names is gone"
    assert not there.exists()
    assert not [p for p in tmp_path.iterdir() if "restoring" in p.name]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    return served_workspace(tmp_path / "ws", monkeypatch, empty_mlflow_database)


@pytest.mark.slow
def test_a_restored_and_moved_workspace_goes_on_with_champion_history_and_runs(served: Workspace, tmp_path: Path):
    assert "history verified: 2 events" in done(served, "backup", str(tmp_path / "a.tar.gz"))
    champion = open_champion(served).digest
    shutil.rmtree(served.root)
    there = Workspace(tmp_path / "elsewhere" / "ws")
    assert "history verified: 2 events" in done(there, "restore", str(tmp_path / "a.tar.gz"))
    assert open_champion(there).digest == champion
    moved = Workspace(there.root.rename(tmp_path / "moved"))
    done(moved, "history", "--verify")
    assert "model" in done(moved, "rollback", "--reason", "a test"), "the previous champion's files are found"
    done(moved, "history", "--verify")
    assert open_champion(moved).digest != champion


@pytest.mark.slow
def test_a_backup_of_a_faulty_history_is_written_and_reported(served: Workspace, tmp_path: Path):
    graph = served.champion / "model.onnx"
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes() + b"\0")
    result = typed(served, "backup", str(tmp_path / "a.tar"))
    assert "LOCAL_COPY_ALTERED" in str(result.exception) and (tmp_path / "a.tar").exists()
    there = Workspace(tmp_path / "there")
    assert "LOCAL_COPY_ALTERED" in str(typed(there, "restore", str(tmp_path / "a.tar")).exception)
    assert sha256_of_file(there.champion / "model.onnx") == sha256_of_file(graph), "it is restored as it was"
    done(there, "champion")
    done(there, "history", "--verify")
