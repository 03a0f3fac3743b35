"""Tells from the name and the first bytes of a file whether it is, or looks like, points of a reconstruction.

Contract: ``points_kind`` reads at most ``HEAD_BYTES`` of a file. It returns None only for a file that certainly has no
points, because the caller passes over such a file, and a study would lose its reconstruction in silence. The kind of a
file says nothing about whether it can be read.
"""

import json
import re
from pathlib import Path
from typing import Any

from spine.reconstruction.decoding import table_text

HEAD_BYTES = 2**16

MESH_SUFFIXES = (".obj", ".stl", ".ply", ".vtp")
UNREAD_SUFFIXES = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), "spreadsheet"),
    **dict.fromkeys((".wrl", ".vrml", ".vtk"), "mesh of another format"),
    **dict.fromkeys((".mat", ".npz", ".npy"), "array"),
    ".o3": "LIO .o3 points",
}
"""Suffix of a file of a format that is not read -> its kind."""
TABLE_SUFFIXES = (".csv", ".tsv", ".fcsv")
JSON_SUFFIXES = (".json", ".json.txt")

_PASSED_OVER = (
    *(".html", ".htm", ".css", ".js", ".svg", ".ini", ".inf", ".cfg", ".log", ".md", ".yaml", ".yml", ".toml"),
    *(".pdf", ".rtf", ".doc", ".docx", ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".exe", ".dll"),
)
"""Suffixes of documents, pictures and programs, such as those of a viewer on a CD. Their contents are not looked at."""
_STARTS = (
    (b"ply\n", "mesh"),
    (b"ply\r", "mesh"),
    (b"<VTKFile", "mesh"),
    (b"#VRML", "mesh of another format"),
    (b"# vtk DataFile", "mesh of another format"),
)
_WORDS = re.compile(
    r"plumbline|markups|points\b|landmark|keypoint|vertebra|centroid|fiducial|level\W{1,3}name|coordinate",
    re.IGNORECASE,
)
_LEVEL = re.compile(r"(?<![A-Za-z0-9])(?:T(?:1[0-3]|[1-9])|L[1-6]|S1|HIP|FH)(?![A-Za-z0-9])", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")


def points_kind(file: Path) -> str | None:
    """What a file of points is, or looks like; None for a file that certainly has no points.

    Kinds: ``table``, ``json``, ``slicer markups``, ``mesh``, ``unreadable points``, and those of ``UNREAD_SUFFIXES``.
    """
    name = file.name.lower()
    if not file.is_file():  # opening a pipe would wait for its writer
        return None
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES + 1)
    if head[128:132] == b"DICM":
        return None
    if name.endswith(MESH_SUFFIXES):
        return "mesh"
    if name.endswith(_PASSED_OVER):
        return None
    unread = UNREAD_SUFFIXES.get(file.suffix.lower())
    if unread:
        return unread
    return _kind_of_text(name, head)


def _kind_of_text(name: str, head: bytes) -> str | None:
    expected = _expected(name)
    started = next((kind for start, kind in _STARTS if head.lstrip().startswith(start)), None)
    if head.startswith(b"solid") and b"facet" in head:
        started = "mesh"
    if started or not head.strip(b"\0 \t\r\n"):
        return started or expected
    text = table_text(head[: HEAD_BYTES // 4 * 4])
    if text is None or "\0" in text:
        # Binary data under the suffix of a table is a damaged table.
        return expected and "unreadable points"
    if text.lstrip()[:1] in ("{", "["):
        return _kind_of_json(text, whole=len(head) <= HEAD_BYTES, expected=expected)
    if expected and not _is_western(text):
        return "unreadable points"
    if expected and _has_content(text):
        return expected
    return "table" if _looks_like_points(text) else None


def _expected(name: str) -> str | None:
    if name.endswith(TABLE_SUFFIXES):
        return "table"
    if name.endswith(JSON_SUFFIXES):
        return "slicer markups" if ".mrk." in name else "json"
    return None


def _is_western(text: str) -> bool:
    """Whether a text is in Latin letters; damaged bytes may decode to other scripts."""
    return sum(ord(letter) < 0x250 for letter in text) > 0.8 * len(text)


def _has_content(text: str) -> bool:
    """Whether a text has a number or the name of a level."""
    return bool(_NUMBER.search(text) or _LEVEL.search(text) or _WORDS.search(text))


def _looks_like_points(text: str) -> bool:
    """Whether a text with any suffix has points: rows of numbers, or named points. Prose with figures has neither."""
    rows = 0
    for line in text.splitlines():
        numbers = len(_NUMBER.findall(_LEVEL.sub(" ", line)))
        if numbers >= 3 and len(_WORD.findall(line)) <= 3:
            if _LEVEL.search(line):
                return True
            rows += 1
    return rows >= 3 or bool(_WORDS.search(text) and rows)


def _kind_of_json(text: str, *, whole: bool, expected: str | None) -> str | None:
    if re.search(r'"(markups|controlPoints)"', text):
        return "slicer markups"
    if whole:
        try:
            return "json" if _has_points(json.loads(text)) else None
        except (ValueError, RecursionError):
            pass
    # Torn or long JSON: nothing certain can be said of it, unless it is a text that begins with a bracket.
    return expected or ("json" if _WORDS.search(text) or _looks_like_points(text) else None)


def _has_points(value: Any) -> bool:
    """Whether parsed JSON has a word of points, the name of a level, three numbers in a list, or x, y and z."""
    if isinstance(value, str):
        return bool(_WORDS.search(value) or _LEVEL.match(value))
    if isinstance(value, dict):
        keys = {str(key).lower() for key in value}
        if {"x", "y", "z"} <= keys or any(_has_points(key) for key in keys):
            return True
        return any(_has_points(part) for part in value.values())
    if isinstance(value, list):
        numbers = [part for part in value if isinstance(part, int | float) and not isinstance(part, bool)]
        return len(numbers) == 3 or len(numbers) >= 9 or any(_has_points(part) for part in value)
    return False
