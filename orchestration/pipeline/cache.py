"""DVC's cache: the files of each version of the data, and the files that no version needs.

Contract: a version is written as in evaluation records: ``md5:`` and the digest in ``dvc.lock``, which ends in ``.dir``
for a folder. A version that the cache does not contain has no files. A file of the cache never changes; it may be the
same file as one in ``data/`` (a hard link), so a step must replace such a file and not write into it.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from orchestration.pipeline.workspace import Workspace
from spine.storage import write_bytes_atomically

CACHE = Path(".dvc/cache/files/md5")


def current_versions(workspace: Workspace) -> frozenset[str]:
    """The versions of all outputs in ``dvc.lock``."""
    return frozenset(version for _, version in _outputs(workspace))


def _outputs(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Path and version of each output in ``dvc.lock``."""
    lock = workspace.root / "dvc.lock"
    stages = (yaml.load(lock.read_text(), Loader=yaml.CSafeLoader) or {}).get("stages", {}) if lock.exists() else {}
    for stage in stages.values():
        for out in stage.get("outs", ()):
            yield workspace.root / out["path"], f"md5:{out['md5']}"


def lists_of(workspace: Workspace, versions: Iterable[str]) -> list[Path]:
    """The cached lists of files of these versions, without the files."""
    return sorted(path for path in files_of(workspace, versions) if path.suffix == ".dir")


def fill_cache(workspace: Workspace) -> None:
    """Link or copy the current data into a cache that has only the lists of files, so that DVC finds them up to date.

    A file that differs from its list is left out, so DVC still notices a change.
    """
    cache = workspace.root / CACHE
    for folder, version in _outputs(workspace):
        listed = _place(cache, version.removeprefix("md5:"))
        for entry in json.loads(listed.read_text()) if listed.suffix == ".dir" and listed.exists() else ():
            source, target = folder / entry["relpath"], _place(cache, entry["md5"])
            if not target.exists() and source.exists() and _md5(source) == entry["md5"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(source, target)
                target.chmod(0o444)  # as DVC does


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def separate_from_cache(folder: Path) -> None:
    """Replace links in ``folder`` by writable files of their own, before a step that writes into files there.

    `dvc repro`, `dvc checkout` and a restored backup leave links, and a copy of a link is read-only too.
    """
    for path in folder.rglob("*"):
        if path.is_file() and (path.stat().st_nlink > 1 or not path.stat().st_mode & stat.S_IWUSR):
            write_bytes_atomically(path, path.read_bytes())


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _place(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def files_of(workspace: Workspace, versions: Iterable[str]) -> frozenset[Path]:
    """The cached files of these versions, with their lists of files."""
    cache = workspace.root / CACHE
    return frozenset(path for version in versions for path in _files(cache, version.removeprefix("md5:")))


def unused_files(workspace: Workspace, versions: Iterable[str]) -> list[Path]:
    """The cached files that none of these versions needs."""
    needed = files_of(workspace, versions)
    return sorted(path for path in (workspace.root / CACHE).rglob("*") if path.is_file() and path not in needed)


def _files(cache: Path, digest: str) -> Iterator[Path]:
    path = _place(cache, digest)
    if not path.exists():
        return
    yield path
    if digest.endswith(".dir"):
        for entry in json.loads(path.read_text()):
            yield _place(cache, entry["md5"])
