"""A DVC repository whose digests leave out what is no readable file.

Contract: links to nowhere, pipes, sockets and files that this process may not read are not among the files of a folder.
DVC stops at such a link and waits for ever at a pipe, so one such entry in the source or in the inbox would stop every
run. Intake refuses the study that it belongs to.
"""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.ignore import DvcIgnoreFilter
from dvc.repo import Repo


class _ReadableFiles(DvcIgnoreFilter):
    """The rules of ``.dvcignore``, which every walk of DVC through a folder applies."""

    def walk(self, fs: Any, path: str, **options: Any) -> Iterator[tuple[str, Any, Any]]:
        """See ``DvcIgnoreFilter``."""
        for parent, folders, files in super().walk(fs, path, **options):
            for name in [name for name in files if not _is_readable(Path(parent, name))]:
                files.remove(name) if isinstance(files, list) else files.pop(name)
            yield parent, folders, files


class ReadableRepository(Repo):
    """DVC's repository with ``_ReadableFiles``. DVC makes the filter anew for each command."""

    @cached_property
    def dvcignore(self) -> DvcIgnoreFilter:
        """See ``Repo``."""
        return _ReadableFiles(self.fs, self.root_dir)


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.is_file()  # is_file raises in a folder that must not be entered
