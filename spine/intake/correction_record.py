"""The folder of one case with corrections: its radiographs, and an append-only series of records.

Contract: a case is one folder, whose name is that of the case:

    frontal.dcm, lateral.dcm   the radiographs, as they were measured (also .png and .jpg)
    record-0001.json           the first record (``correction``); the newest record counts, and none is ever changed

A record and the files that it names are written completely or not at all. Links are not followed.

    CORRECTION_CONFLICT      another person wrote a newer record, or the case has another radiograph of this name
    CORRECTION_MISSING       the folder has no record
    CORRECTION_FILE_MISSING, CORRECTION_FILE_DIFFERS   a radiograph is gone, or has another digest than the record says
    CASE_INVALID             the name of the folder is not that of the case, or cannot be one
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spine.errors import InputRejected, LabelsRejected, StudyWaiting
from spine.intake.correction import (
    MAX_RECORD_BYTES,
    Correction,
    correction_from_json,
    correction_to_json,
    is_case_name,
)
from spine.landmarks import ViewName
from spine.radiograph.structure import MAX_FILE_BYTES
from spine.storage import locked, sha256_of_bytes, sha256_of_file, write_bytes_atomically, write_text_atomically

_RECORD = re.compile(r"record-(\d{4})\.json")
_LOCK = ".lock"
MAX_RECORDS = 9999


def record_files(folder: Path) -> dict[int, Path]:
    """Number -> file of the records of a case, in order; empty for a folder that is not there."""
    if not folder.is_dir():
        return {}
    found = {int(match[1]): path for path in folder.iterdir() if (match := _RECORD.fullmatch(path.name))}
    return dict(sorted(found.items()))


def read_record(path: Path) -> Correction:
    """Read one record without the radiographs that it names.

    Raises:
        LabelsRejected: see ``correction``; ``CORRECTION_UNREADABLE`` also for a link.
    """
    if path.is_symlink() or not path.is_file():
        found = "a record that is a link or no file"
        raise LabelsRejected("CORRECTION_UNREADABLE", found, "a regular file", "put the file itself there")
    with path.open("rb") as stream:
        return correction_from_json(stream.read(MAX_RECORD_BYTES + 1))


def digest_of_record(path: Path) -> str:
    """16 hex digits of the SHA-256 of a record's bytes, which name the record without its case."""
    return sha256_of_file(path)[:16]


def read_correction(folder: Path) -> Correction:
    """The newest record of a case, whose radiographs are there and unchanged.

    Raises:
        LabelsRejected: see ``correction``.
        StudyWaiting: ``CORRECTION_MISSING``.
        InputRejected: see the head of the module.
    """
    files = record_files(folder)
    if not files:
        found, remedy = "a folder without a record", "wait until it is written, or remove the folder"
        raise StudyWaiting("CORRECTION_MISSING", found, "record-0001.json", remedy)
    record = read_record(files[max(files)])
    _require_case(folder, record)
    for view, each in record.views.items():
        path = folder / each.file
        if path.is_symlink() or not path.is_file():
            raise _refused("CORRECTION_FILE_MISSING", f"no {view} radiograph", "the file that the record names", path)
        if path.stat().st_size > MAX_FILE_BYTES or sha256_of_file(path) != each.sha256:
            expected = "the file whose digest the record has"
            raise _refused("CORRECTION_FILE_DIFFERS", f"another {view} radiograph", expected, path)
    return record


def write_correction(
    folder: Path, record: Correction, radiographs: Mapping[ViewName, bytes], *, seen: int | None = None
) -> int:
    """Append a record to the case in ``folder`` and return its number.

    A record that equals the newest one but for its time is not written again, so that a repeated request does no harm.

    Args:
        radiographs: view -> bytes of the file that the record names.
        seen: number of the newest record that the person saw, 0 for none; None accepts any.

    Raises:
        InputRejected: ``CASE_INVALID``, ``CORRECTION_CONFLICT``, ``CORRECTION_FILE_DIFFERS``,
            ``CORRECTION_FILE_MISSING``.
        LabelsRejected: see ``correction``.
    """
    _require_case(folder, record)
    for view, each in record.views.items():
        if view not in radiographs:
            raise _refused("CORRECTION_FILE_MISSING", f"no {view} radiograph", "a file for each view of the record")
        if sha256_of_bytes(radiographs[view]) != each.sha256:
            expected = "the file whose digest the record has"
            raise _refused("CORRECTION_FILE_DIFFERS", f"another {view} radiograph", expected)
    if folder.is_symlink():
        raise _refused("CASE_INVALID", "a link in place of the folder of the case", "a folder")
    with locked(folder / _LOCK):
        return _append(folder, record, radiographs, seen)


def _append(folder: Path, record: Correction, radiographs: Mapping[ViewName, bytes], seen: int | None) -> int:
    files = record_files(folder)
    newest = max(files, default=0)
    if newest and _is_same(read_record(files[newest]), record):
        return newest
    if seen is not None and seen != newest:
        found, expected = f"record {newest} of this case, newer than record {seen}", "the record that was corrected"
        raise _refused("CORRECTION_CONFLICT", found, expected)
    if newest >= MAX_RECORDS:
        raise _refused("CORRECTION_CONFLICT", f"{newest} records of this case", f"at most {MAX_RECORDS}")
    for view, each in record.views.items():
        path = folder / each.file
        if not path.exists() and not path.is_symlink():
            write_bytes_atomically(path, radiographs[view])
        elif path.is_symlink() or sha256_of_file(path) != each.sha256:
            raise _refused("CORRECTION_CONFLICT", f"another {view} radiograph in this case", "one examination a case")
    write_text_atomically(folder / f"record-{newest + 1:04d}.json", correction_to_json(record))
    return newest + 1


def _is_same(one: Correction, other: Correction) -> bool:
    return correction_to_json(replace(one, when=other.when)) == correction_to_json(other)


def _require_case(folder: Path, record: Correction) -> None:
    if folder.name != record.case or not is_case_name(folder.name):
        raise _refused("CASE_INVALID", "a folder whose name is not the case of its record", "one folder a case")


def _refused(code: str, found: str, expected: str, file: Path | None = None) -> InputRejected:
    remedy = "load the case again; if it was changed on purpose, make a new case of it"
    refusal = InputRejected(code, found, expected, remedy)
    refusal.file = file
    return refusal
