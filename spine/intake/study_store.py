"""Writes a study into the store, or a candidate into quarantine, completely or not at all.

Contract: every attempt to write a study has a folder of its own in the staging folder beside the store, so that two
attempts at one study are harmless, and a task that comes too late leaves nothing in the store. A study folder gets its
final name by one rename. In a quarantine folder, ``reason.json`` is written last. A killed run leaves only the staging
folder, which the next run deletes. A full disk ends the run with ``DISK_FULL``. Everything that was written before
remains.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from spine.errors import InputRejected, PlumblineError
from spine.intake.intake_ledger import intake_folder
from spine.intake.records import StudyCandidate
from spine.landmarks import ViewName
from spine.reconstruction.open import SUFFIXES
from spine.storage import locked, write_array_atomically, write_text_atomically
from spine.study import Study, StudyView, write_study_record

_STAGING = "staging"
_KEPT_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".jpg", ".jpeg", ".png", *SUFFIXES})
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def reserved(store: Path) -> Iterator[Path]:
    """Reserve the store for one run; yields a new folder, in which its tasks stage studies.

    What earlier runs staged is deleted at the start, so a run that was cut off can no longer store what it has staged.
    At the end, a run deletes its own folder only: another run may have begun, if this one was cut off.

    Raises:
        PlumblineError: ``STORE_BUSY`` if another run is using the store, ``DISK_FULL`` if no space is left.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with locked(intake_folder(store) / "lock", wait=False) as held:
            if not held:
                found = "another intake into this store"
                raise PlumblineError("STORE_BUSY", found, "one intake at a time", "wait until the other intake ends")
            _clear(store)
            own = intake_folder(store) / _STAGING / uuid4().hex
            own.mkdir(parents=True)
            try:
                yield own
            finally:
                shutil.rmtree(own, ignore_errors=True)
                with suppress(OSError):  # another run's folder is there
                    own.parent.rmdir()
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(store) from error
        raise


def stage_study(into: Path, study: Study, images: Mapping[ViewName, NDArray[np.uint16]]) -> Path:
    """Write the (H, W) images and then the record of a study into a new folder of this attempt; return the folder.

    ``into`` is the folder of ``reserved``. It is not made here: a task that comes after the end of its run must fail.
    """
    staged = into / uuid4().hex
    staged.mkdir()
    change_staged(staged, study, images)
    return staged


def change_staged(staged: Path, study: Study, images: Mapping[ViewName, NDArray[np.uint16]]) -> None:
    """Add (H, W) images to a staged study, and write its record."""
    for name, image in images.items():
        write_array_atomically(staged / study.views[name].image, image)
    write_study_record(study, staged)


def shelve_study(store: Path, staged: Path, study_id: str) -> None:
    """Give a staged study its final name, by one rename. If the store has the same study by now, that one stays."""
    final = store / study_id
    if final.exists() and not (final / "study.json").exists():
        shutil.rmtree(final)
    try:
        staged.rename(final)
    except OSError:
        if not (final / "study.json").exists():
            raise


def discard_staged(staged: Path) -> None:
    """Delete a staged study, unless it was shelved."""
    shutil.rmtree(staged, ignore_errors=True)


def stored_study(store: Path, study_id: str) -> Path | None:
    """The folder of a study in the store, or None if the store has no such study."""
    folder = store / study_id
    return folder if study_id.isalnum() and (folder / "study.json").is_file() else None


def read_images(folder: Path, views: Mapping[ViewName, StudyView]) -> dict[ViewName, NDArray[np.uint16]]:
    """View -> (H, W) image of the ``views`` in a study folder."""
    return {name: np.load(folder / view.image, allow_pickle=False) for name, view in views.items()}


def quarantine_candidate(
    folder: Path, candidate: StudyCandidate, refusal: InputRejected, *, source: str, position: int
) -> None:
    """Link or copy the files of a refused candidate under neutral names, and write the reason last."""
    clear_quarantine(folder)
    folder.mkdir(parents=True)
    # The files still contain identifiers, so only their owner may read them.
    folder.chmod(0o700)
    files = {f"{number:03d}{_suffix(file)}": file for number, file in enumerate(candidate.files)}
    names = [name for name, file in files.items() if _link_or_copy(file, folder / name)]
    record = {
        "schema": "plumbline.quarantine/1",
        "source": source,
        "position": position,
        "code": refusal.code,
        "found": refusal.found,
        "expected": refusal.expected,
        "remedy": refusal.remedy,
        "files": names,
        "file": next((name for name, file in files.items() if file == refusal.file), ""),
    }
    write_text_atomically(folder / "reason.json", json.dumps(record, indent=1))


def clear_quarantine(folder: Path) -> None:
    """Delete the quarantine folder of a candidate that has been read again."""
    if folder.exists():
        shutil.rmtree(folder)


def _clear(store: Path) -> None:
    shutil.rmtree(intake_folder(store) / _STAGING, ignore_errors=True)


def _suffix(file: Path) -> str:
    return file.suffix.lower() if file.suffix.lower() in _KEPT_SUFFIXES else ".bin"


def _link_or_copy(file: Path, target: Path) -> bool:
    """Whether a file could be linked or copied. One that cannot be read, or that is gone, stays where it is."""
    try:
        os.link(file, target)
        return True
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
    try:
        # The file is on another file system, or it must not be linked.
        shutil.copyfile(file, target)
        return True
    except (FileNotFoundError, PermissionError):
        return False


def _disk_full(store: Path) -> PlumblineError:
    free = shutil.disk_usage(store if store.exists() else store.parent).free
    found = f"no space left during the intake of studies ({free // 2**20} MiB free)"
    expected = "space for every image, with 2 bytes per pixel"
    return PlumblineError("DISK_FULL", found, expected, "make space and run again; finished studies are kept")
