"""DVC's cache: the files of each version of the data, and the files that no version needs.

Contract: reading only. A version is written as in ``dvc.lock`` and in evaluation records: ``md5:`` and a digest, which
ends in ``.dir`` for a folder. A version that the cache does not contain has no files.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from orchestration.pipeline.workspace import Workspace

CACHE = Path(".dvc/cache/files/md5")


def current_versions(workspace: Workspace) -> frozenset[str]:
    """The versions of all outputs in ``dvc.lock``."""
    lock = workspace.root / "dvc.lock"
    stages = (yaml.load(lock.read_text(), Loader=yaml.CSafeLoader) or {}).get("stages", {}) if lock.exists() else {}
    return frozenset(f"md5:{out['md5']}" for stage in stages.values() for out in stage.get("outs", ()))


def files_of(workspace: Workspace, versions: Iterable[str]) -> frozenset[Path]:
    """The cached files of these versions, with their lists of files."""
    cache = workspace.root / CACHE
    return frozenset(path for version in versions for path in _files(cache, version.removeprefix("md5:")))


def unused_files(workspace: Workspace, versions: Iterable[str]) -> list[Path]:
    """The cached files that none of these versions needs."""
    needed = files_of(workspace, versions)
    return sorted(path for path in (workspace.root / CACHE).rglob("*") if path.is_file() and path not in needed)


def _files(cache: Path, digest: str) -> Iterator[Path]:
    path = cache / digest[:2] / digest[2:]
    if not path.exists():
        return
    yield path
    if digest.endswith(".dir"):
        for entry in json.loads(path.read_text()):
            yield cache / entry["md5"][:2] / entry["md5"][2:]
