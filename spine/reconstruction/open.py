"""Reader of reconstruction files of any known format, which is recognised by the content, not by the file name.

Contract: the result is a ``Reconstruction`` that passed ``checks``, or a ``ReconstructionRejected``. To add a format,
write a module with a ``looks_like_...`` function and a reader. Add them to ``is_reconstruction``, to ``_read_json`` or
``_read_table``, and to ``FORMATS``. Add a new suffix to ``SUFFIXES``. Increase ``spine.intake.records.READER_VERSION``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spine.errors import ReconstructionRejected
from spine.reconstruction.checks import check_reconstruction
from spine.reconstruction.ct_keypoints import looks_like_ct_keypoints, reconstruction_from_ct_keypoints
from spine.reconstruction.plumbline_csv import looks_like_csv, parse_csv
from spine.reconstruction.plumbline_json import SCHEMA, parse_json, parse_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from spine.reconstruction.slicer_markups import looks_like_markups, reconstruction_from_markups

SUFFIXES = (".json", ".csv")
"""Suffixes of files that may be reconstructions. Files with other suffixes are not opened."""

MAX_FILE_BYTES = 32 * 2**20
FORMATS = "Plumbline JSON or CSV, 3D Slicer .mrk.json or a CT keypoint list"


def read_any_reconstruction(path: Path) -> Reconstruction:
    """Read and check a reconstruction of any known format.

    Raises:
        ReconstructionRejected: ``EMPTY_FILE``, ``FILE_TOO_LARGE``, ``FORMAT_UNKNOWN``, and the codes of the reader and
            of ``checks``.
    """
    size = path.stat().st_size
    if size == 0:
        raise _rejected("EMPTY_FILE", "an empty file")
    if size > MAX_FILE_BYTES:
        raise _rejected("FILE_TOO_LARGE", f"{size} bytes")
    payload = path.read_bytes()
    reconstruction = _read_json(payload, path) if _starts_json(payload) else _read_table(payload)
    check_reconstruction(reconstruction)
    return reconstruction


def is_reconstruction(path: Path) -> bool:
    """Whether a file is a reconstruction of a known format, or damaged JSON.

    JSON that does not parse may be a damaged reconstruction. If this file were ignored, its study would be accepted
    without a reconstruction. A JSON or CSV file with other content, such as metadata, is not a reconstruction.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        return False
    payload = path.read_bytes()
    if not _starts_json(payload):
        return looks_like_csv(payload)
    try:
        record = parse_json(payload)
    except ReconstructionRejected:
        return True
    return _is_plumbline_json(record) or looks_like_markups(record) or looks_like_ct_keypoints(record)


def _starts_json(payload: bytes) -> bool:
    return payload[:256].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _is_plumbline_json(record: Any) -> bool:
    return isinstance(record, dict) and str(record.get("schema", "")).startswith(SCHEMA.split("/")[0])


def _read_json(payload: bytes, path: Path) -> Reconstruction:
    record = parse_json(payload)
    if _is_plumbline_json(record):
        return parse_reconstruction(payload)
    if looks_like_markups(record):
        return reconstruction_from_markups(record)
    if not looks_like_ct_keypoints(record):
        raise _rejected("FORMAT_UNKNOWN", "JSON in an unknown format")
    return reconstruction_from_ct_keypoints(record, subject_id=path.stem)


def _read_table(payload: bytes) -> Reconstruction:
    if not looks_like_csv(payload):
        raise _rejected("FORMAT_UNKNOWN", "neither JSON nor a Plumbline table")
    return parse_csv(payload)


def _rejected(code: str, found: str) -> ReconstructionRejected:
    return ReconstructionRejected(code, found, FORMATS, "export the reconstruction again")


def points_kind(path: Path) -> str | None:
    """Stub until the formats are merged."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    return "points" if path.stat().st_size == 0 or is_reconstruction(path) else None


def read_reconstruction_files(files: Sequence[Path]) -> Reconstruction:
    """Stub until the formats are merged."""
    if len(files) > 1:
        found = f"{len(files)} reconstructions"
        remedy = "keep only the right reconstruction in the folder of the study"
        raise ReconstructionRejected("RECONSTRUCTION_AMBIGUOUS", found, "one reconstruction", remedy)
    return read_any_reconstruction(files[0])
