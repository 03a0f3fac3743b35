"""Writes a workspace into an archive, and restores it from one.

Contract: an archive is a tar file, compressed if its name ends in ``.gz`` or ``.tgz``. It has everything that champion,
records, history and runs need, and ``backup.json`` with the SHA-256 of every file. No run and no decision can be
written meanwhile. SQLite files are copied by SQLite's backup, so the services may keep running. DVC's cache is left
out, except for older versions of the data that a model in service names: a restore fills it from ``data/``. A restore
verifies every file before the workspace appears. An archive contains the pseudonym key and quarantined studies, so it
is as confidential as ``state/``; only its owner can read it.
"""

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from orchestration.lifecycle.data_in_use import data_versions_in_use
from orchestration.pipeline.cache import current_versions, files_of, fill_cache, lists_of, unused_files
from orchestration.pipeline.lock import IDENTITY, workspace_lock
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, ParametersRejected, PlumblineError
from spine.storage import PARTIAL_SUFFIX, locked, sha256_of_bytes, sha256_of_file
from validation.promotion.sync import lock_file

SCHEMA = "plumbline.backup/1"
MANIFEST = "backup.json"
LEFT_OUT = (".dvc/cache", ".dvc/tmp", "state/logs", "state/evidence")
_NOT_NEEDED = ("-wal", "-shm", "-journal", PARTIAL_SUFFIX)
_SQLITE_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Backup:
    """The number of files in an archive, and the size of their content."""

    files: int
    content_bytes: int


def write_backup(workspace: Workspace, archive: Path) -> Backup:
    """Write the workspace into a new archive.

    Raises:
        ParametersRejected: ARCHIVE_EXISTS; ARCHIVE_INSIDE: the archive would lie in the workspace.
        WorkspaceBusy: RUN_IN_PROGRESS.
        OSError: the disk is full. No archive is left then.
    """
    archive = archive.expanduser().resolve()
    if archive.exists():
        raise ParametersRejected(
            "ARCHIVE_EXISTS",
            found=f"{archive}",
            expected="a new file",
            remedy="choose another name, e.g. with the date",
        )
    if archive.is_relative_to(workspace.root):
        raise ParametersRejected(
            "ARCHIVE_INSIDE",
            found=f"{archive}, inside the workspace",
            expected="an archive outside, best on another disk",
            remedy="choose another folder",
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        workspace_lock(workspace, without_registry=True),
        locked(lock_file(workspace.history_copy)),
        _scratch(archive.parent, f".backup-{sha256_of_bytes(str(workspace.root).encode())[:12]}.") as scratch,
    ):
        written = Path(scratch) / archive.name
        done = _write(workspace, written, Path(scratch) / "copy")
        written.chmod(0o600)
        written.rename(archive)
    return done


def _scratch(folder: Path, prefix: str) -> "tempfile.TemporaryDirectory[str]":
    """A new folder for unfinished files, after those of killed commands for the same workspace were removed."""
    for left in folder.iterdir():
        if left.name.startswith(prefix):
            shutil.rmtree(left)
    return tempfile.TemporaryDirectory(dir=folder, prefix=prefix)


def _write(workspace: Workspace, archive: Path, scratch: Path) -> Backup:
    digests: dict[str, str] = {}
    size = 0
    compressed = archive.suffix in (".gz", ".tgz")
    # gzip's default level takes five times as long for images, and saves little.
    with tarfile.open(archive, "x:gz", compresslevel=1) if compressed else tarfile.open(archive, "x") as tar:
        for path in files_to_keep(workspace):
            with suppress(FileNotFoundError):  # a temporary file of a running service
                size += _add(tar, path.relative_to(workspace.root).as_posix(), path, digests, scratch)
        facts = {"schema": SCHEMA, "at": datetime.now(UTC).isoformat(timespec="seconds"), "files": digests}
        scratch.write_text(json.dumps(facts, indent=1))
        tar.add(scratch, MANIFEST)
    return Backup(len(digests), size)


def files_to_keep(workspace: Workspace) -> Iterator[Path]:
    """The files and empty folders of a backup. Folders behind symbolic links are included."""
    yield from _cached(workspace)
    for folder, folders, names in os.walk(workspace.root, followlinks=True):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if (here / n).relative_to(workspace.root).as_posix() not in LEFT_OUT)
        if not folders and not names:
            yield here  # an empty folder is an output of a stage too
        yield from (here / n for n in sorted(names) if _is_needed(here / n))


def _cached(workspace: Workspace) -> list[Path]:
    """Older data that a model or record names, and the lists of the current files.

    All files, if the registry or a record cannot say what it needs.
    """
    current = current_versions(workspace)
    try:
        older = files_of(workspace, data_versions_in_use(workspace) - current)
    except PlumblineError:
        return unused_files(workspace, ())
    return sorted(older.union(lists_of(workspace, current)))


def _is_needed(path: Path) -> bool:
    lock = path.suffix == ".lock" and path.name != "dvc.lock"
    # What names this folder is made again where it is needed.
    here = path.parts[-2:] in ((".dvc", "config.local"), ("state", IDENTITY))
    return not lock and not here and not path.name.endswith(_NOT_NEEDED) and path.is_file()


def _add(tar: tarfile.TarFile, name: str, path: Path, digests: dict[str, str], scratch: Path) -> int:
    """Add one file, note its digest, and return its size. An empty folder has neither."""
    real = path.resolve()
    if real.is_dir():
        tar.add(real, name, recursive=False)
        return 0
    with real.open("rb") as stream:
        is_database = stream.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    if is_database:
        _copy_database(real, scratch)
    info = tar.gettarinfo(scratch if is_database else real, name)
    if info.islnk():  # another name of a file in the archive
        tar.addfile(info)
        digests[name] = digests[info.linkname]
        return 0
    with (scratch if is_database else real).open("rb") as stream:
        hashed = _Hashed(stream)
        tar.addfile(info, hashed)
    digests[name] = hashed.digest.hexdigest()
    return int(info.size)


def _copy_database(database: Path, to: Path) -> None:
    to.unlink(missing_ok=True)
    address = f"{database.as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


class _Hashed:
    """A file whose bytes are hashed while tar reads them, so that the digest is of what the archive has."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        payload = self._stream.read(size)
        self.digest.update(payload)
        return payload


def restore_backup(archive: Path, workspace: Workspace) -> Backup:
    """Restore a workspace into a folder that does not exist or is empty.

    Raises:
        ParametersRejected: WORKSPACE_EXISTS.
        EvidenceRejected: BACKUP_ALTERED: a file differs from the one that was saved, or the archive is none of ours.
            Nothing is left in the folder then.
    """
    root = workspace.root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ParametersRejected(
            "WORKSPACE_EXISTS",
            found=f"{root}, which is not empty",
            expected="a new or empty folder",
            remedy="choose another folder with -w, or move this one away",
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(root.parent, f".{root.name}.restoring.") as scratch:
        staged = Path(scratch) / "workspace"
        done = _extract(archive, staged)
        fill_cache(Workspace(staged))
        if root.exists():
            root.rmdir()
        shutil.move(staged, root)
    return done


def _extract(archive: Path, into: Path) -> Backup:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
        manifest = into / MANIFEST
        facts = json.loads(manifest.read_text())
        saved = facts["files"] if facts["schema"] == SCHEMA else {}
        manifest.unlink()
    except FileNotFoundError as error:  # tar ends without an error where a damaged archive looks like the end
        raise _altered(archive, f"an archive that is incomplete or damaged (no {MANIFEST})") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, KeyError) as error:
        raise _altered(archive, f"an archive that cannot be read ({str(error).splitlines()[0].rstrip(':')})") from error
    files = {p.relative_to(into).as_posix(): p for p in into.rglob("*") if p.is_file()}
    wrong = sorted(saved.keys() ^ files.keys()) or [n for n, p in files.items() if sha256_of_file(p) != saved[n]]
    if wrong or not saved:
        raise _altered(archive, f"{len(wrong)} files that are missing, added or altered: {', '.join(wrong[:5])}")
    return Backup(len(files), sum(p.stat().st_size for p in files.values()))


def _altered(archive: Path, found: str) -> EvidenceRejected:
    return EvidenceRejected(
        "BACKUP_ALTERED",
        found=f"{archive.name}, {found}",
        expected="an archive as `plumbline backup` wrote it",
        remedy="use another backup",
    )
