"""Reader of reconstruction files of any known format, which is recognised by the content, not by the file name.

``points_kind`` tells which files of a study are, or look like, points. ``read_reconstruction_files`` reads them all.
Slicer's point lists are joined, because Slicer saves each list as a file. Meshes of single bones are one
reconstruction. Meshes beside a file of points are its picture, and are not read.

Contract: the result is a ``Reconstruction`` that passed ``checks``, or a ``ReconstructionRejected`` whose message has
no file name, because such names may identify a patient. L6 and T13 are named in ``facts`` (``has_l6``, ``has_t13``). To
add a format, write a module with a ``looks_like_...`` function and a reader. Add them to ``_read_json`` or
``_read_text``, and to ``FORMATS``. Add a new suffix to ``kinds``. Increase ``spine.intake.records.READER_VERSION``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spine.errors import ReconstructionRejected
from spine.reconstruction.checks import check_reconstruction
from spine.reconstruction.ct_keypoints import looks_like_ct_keypoints, reconstruction_from_ct_keypoints
from spine.reconstruction.decoding import MAX_POINTS_BYTES, content_of
from spine.reconstruction.kinds import JSON_SUFFIXES, MESH_SUFFIXES, TABLE_SUFFIXES, points_kind
from spine.reconstruction.mesh_folder import reconstruction_from_meshes
from spine.reconstruction.names import EXTRA_LEVELS
from spine.reconstruction.plumbline_csv import looks_like_csv, parse_csv
from spine.reconstruction.plumbline_json import SCHEMA, parse_json, parse_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from spine.reconstruction.slicer_fcsv import SOURCE_FORMAT as FCSV
from spine.reconstruction.slicer_fcsv import looks_like_fcsv, parse_fcsv
from spine.reconstruction.slicer_markups import SOURCE_FORMAT as MARKUPS
from spine.reconstruction.slicer_markups import join_markups, looks_like_markups, reconstruction_from_markups
from spine.reconstruction.verse_centroids import looks_like_verse, reconstruction_from_verse

__all__ = ["FORMATS", "SUFFIXES", "points_kind", "read_any_reconstruction", "read_reconstruction_files"]

SUFFIXES = (*TABLE_SUFFIXES, *JSON_SUFFIXES[:1], *MESH_SUFFIXES)
"""Suffixes of files of the formats that are read."""

FORMATS = (
    "Plumbline JSON or CSV, 3D Slicer .mrk.json or .fcsv, a CT keypoint list, VerSe centroids with spacing, or meshes "
    "of vertebrae (OBJ, STL, PLY, VTP)"
)
_OTHER_FILE = "export the reconstruction again; if the file is none, take it out of the folder of the study"
_WAYS_OUT = {
    "spreadsheet": "save the sheet as CSV",
    "mesh of another format": "save each vertebra as OBJ, STL, PLY or VTP, for example with 3D Slicer",
    "array": "write the points as Plumbline CSV or JSON",
    "LIO .o3 points": "write the points as Plumbline CSV or JSON, in LPS mm",
}
"""Kind of a file of a format that is not read -> what to do."""


def read_any_reconstruction(path: Path) -> Reconstruction:
    """Read and check the reconstruction in one file of any known format.

    Raises:
        ReconstructionRejected: ``EMPTY_FILE``, ``FILE_TOO_LARGE``, ``FORMAT_UNKNOWN``, ``FORMAT_UNSUPPORTED``, and the
            codes of the reader and of ``checks``.
    """
    return read_reconstruction_files([path])


def read_reconstruction_files(files: Sequence[Path]) -> Reconstruction:
    """Read and check the one reconstruction in all files of a study for which ``points_kind`` is not None.

    Raises:
        ReconstructionRejected: ``RECONSTRUCTION_AMBIGUOUS`` for more than one reconstruction, ``POINT_DUPLICATE`` for a
            point with different positions in two lists, and the codes of ``read_any_reconstruction``.
        ValueError: no files.
    """
    if not files:
        raise ValueError("no file to read")
    meshes = [file for file in files if points_kind(file) == "mesh"]
    read = [_read_points(file) for file in files if file not in meshes]
    lists = [r for r in read if r.source_format in (MARKUPS, FCSV)]
    found = [r for r in read if r.source_format not in (MARKUPS, FCSV)]
    if any(part.points for part in lists) or not (found or meshes):  # a file with angles alone is no reconstruction
        found.append(join_markups(lists))
    if len(found) > 1:
        remedy = "keep only the right reconstruction in the folder of the study"
        raise ReconstructionRejected(
            "RECONSTRUCTION_AMBIGUOUS", f"{len(found)} reconstructions", "one reconstruction", remedy
        )
    if not found:
        found = [reconstruction_from_meshes(meshes)]
    reconstruction = _with_extra_levels(found[0])
    check_reconstruction(reconstruction)
    return reconstruction


def _with_extra_levels(reconstruction: Reconstruction) -> Reconstruction:
    extra = {level for level in EXTRA_LEVELS.values() if any(n.startswith(f"{level}_") for n in reconstruction.points)}
    facts = {f"has_{level.lower()}": True for level in sorted(extra)}
    return replace(reconstruction, facts={**reconstruction.facts, **facts})


def _read_points(path: Path) -> Reconstruction:
    """Read one file that is no mesh. A refusal names the kind of the file, because a study may have several files."""
    kind = points_kind(path) or "unknown"
    try:
        payload = content_of(path, MAX_POINTS_BYTES)
        if kind in _WAYS_OUT:
            raise ReconstructionRejected("FORMAT_UNSUPPORTED", "a format that is not read", FORMATS, _WAYS_OUT[kind])
        return _read_json(payload, path) if _starts_json(payload) else _read_text(payload)
    except ReconstructionRejected as error:
        found = f"{error.found} (kind of the file: {kind})"
        named = ReconstructionRejected(error.code, found, error.expected, error.remedy)
        named.file = path
        raise named from error


def _starts_json(payload: bytes) -> bool:
    return payload[:256].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"{", b"[")


def _is_plumbline_json(record: Any) -> bool:
    return isinstance(record, dict) and str(record.get("schema", "")).startswith(SCHEMA.split("/")[0])


def _read_json(payload: bytes, path: Path) -> Reconstruction:
    record = parse_json(payload)
    if _is_plumbline_json(record):
        return parse_reconstruction(payload)
    if looks_like_markups(record):
        return reconstruction_from_markups(record)
    if looks_like_verse(record):
        return reconstruction_from_verse(record)
    if not looks_like_ct_keypoints(record):
        raise _rejected("FORMAT_UNKNOWN", "JSON in an unknown format")
    return reconstruction_from_ct_keypoints(record, subject_id=path.stem)


def _read_text(payload: bytes) -> Reconstruction:
    if looks_like_csv(payload):
        return parse_csv(payload)
    if looks_like_fcsv(payload):
        return parse_fcsv(payload)
    raise _rejected("FORMAT_UNKNOWN", "neither JSON nor a table whose header is level,name,x,y,z")


def _rejected(code: str, found: str) -> ReconstructionRejected:
    return ReconstructionRejected(code, found, FORMATS, _OTHER_FILE)
