"""Putting a study into the store or a candidate into quarantine, whole or not at all.

Contract: a folder appears under its final name by one rename (store) or with its ``reason.json`` written last
(quarantine); a killed run leaves only staging folders, which the next run clears; a full disk ends the run with
``DISK_FULL`` and leaves what was there before.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import InputRejected, PlumblineError
from spine.intake.intake_ledger import side_folder
from spine.intake.records import StudyCandidate
from spine.storage import write_array_atomically, write_text_atomically
from spine.study import Study, write_study_record

_STAGING = ".staging"
_KEPT_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".json", ".csv", ".jpg", ".jpeg", ".png"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def opened(store: Path) -> Iterator[None]:
    """Hold the store for one run; clears what a killed run left, and its own staging folder at the end.

    Raises:
        PlumblineError: ``STORE_BUSY``: another run holds it; ``DISK_FULL``: no space left.
    """
    import fcntl

    try:
        store.mkdir(parents=True, exist_ok=True)
        side_folder(store).mkdir(parents=True, exist_ok=True)
        with (side_folder(store) / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PlumblineError(
                    "STORE_BUSY", found="another ingest into this store", expected="one at a time", remedy="wait for it"
                ) from error
            _clear(store)
            try:
                yield
            finally:
                _clear(store)
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(store) from error
        raise


def shelve(store: Path, study: Study, images: Mapping[str, NDArray[np.uint16]]) -> None:
    """Write a study: everything in a staging folder, the record last, then one rename."""
    staged, final = store / _STAGING / study.study_id, store / study.study_id
    staged.mkdir(parents=True)
    for name, view in study.views.items():
        write_array_atomically(staged / view.image, images[name])
    write_study_record(study, staged)
    if final.exists() and not (final / "study.json").exists():
        shutil.rmtree(final)
    staged.rename(final)


def quarantine_candidate(
    folder: Path, candidate: StudyCandidate, refusal: InputRejected, *, source: str, position: int
) -> None:
    """Keep a refused candidate's files (hard links where possible) under neutral names, and the reason last."""
    release_candidate(folder)
    folder.mkdir(parents=True)
    # The files still carry identifiers; nobody but the owner has business here.
    folder.chmod(0o700)
    names = [f"{number:03d}{_suffix(file)}" for number, file in enumerate(candidate.files)]
    for name, file in zip(names, candidate.files, strict=True):
        _link_or_copy(file, folder / name)
    record = {
        "schema": "plumbline.quarantine/1",
        "source": source,
        "position": position,
        "code": refusal.code,
        "found": refusal.found,
        "expected": refusal.expected,
        "remedy": refusal.remedy,
        "files": names,
    }
    write_text_atomically(folder / "reason.json", json.dumps(record, indent=1))


def release_candidate(folder: Path) -> None:
    """Empty a candidate's quarantine, for it is read again."""
    if folder.exists():
        shutil.rmtree(folder)


def _clear(store: Path) -> None:
    shutil.rmtree(store / _STAGING, ignore_errors=True)


def _suffix(file: Path) -> str:
    return file.suffix.lower() if file.suffix.lower() in _KEPT_SUFFIXES else ".bin"


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno in _FULL:
            raise
        # Another file system, or a file that may not be linked.
        shutil.copyfile(file, target)


def _disk_full(store: Path) -> PlumblineError:
    free = shutil.disk_usage(store if store.exists() else store.parent).free
    return PlumblineError(
        "DISK_FULL",
        found=f"no space left while taking in studies ({free // 2**20} MiB free)",
        expected="room for every image at 2 bytes a pixel",
        remedy="free space and run again: finished studies stay, the rest is taken in then",
    )
