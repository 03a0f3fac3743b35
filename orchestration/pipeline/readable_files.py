"""A DVC repository whose digests leave out what is no readable file.

Contract: links to nowhere, pipes, sockets and files that this process may not read are not among the files of a folder.
DVC stops at such a link and waits for ever at a pipe, so one such entry in the source or in the inbox would stop every
run. Intake refuses the study that it belongs to.
"""

import os
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvc.repo import Repo


@cache
def repository_class() -> type["Repo"]:
    """DVC's class ``Repo``, whose filter of files also leaves out what is no readable file."""
    from dvc.ignore import DvcIgnoreFilter
    from dvc.repo import Repo

    class ReadableFiles(DvcIgnoreFilter):
        """The rules of ``.dvcignore``, which every walk of DVC through a folder applies."""

        def walk(self, fs: Any, path: str, **options: Any) -> Iterator[tuple[str, Any, Any]]:
            for parent, folders, files in super().walk(fs, path, **options):
                for name in [name for name in files if not _is_readable(Path(parent, name))]:
                    files.remove(name) if isinstance(files, list) else files.pop(name)
                yield parent, folders, files

    class Repository(Repo):
        """DVC makes the filter anew for each command, so the filter of one repository cannot be replaced once."""

        @cached_property
        def dvcignore(self) -> DvcIgnoreFilter:
            return ReadableFiles(self.fs, self.root_dir)

    return Repository


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.is_file()  # is_file raises in a folder that must not be entered
