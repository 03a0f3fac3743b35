"""Sorts the files of a folder that holds several examinations, such as an export to CD, by their Study Instance UID.

Contract: every file is in one group, in the rest, or counted as passed over. Points belong to the only examination, or
to the only one whose folder contains them. Points that belong to none or to several are in the rest.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from spine.intake.source_files import Kind, kind_of
from spine.radiograph.read import pydicom_silent


@dataclass(frozen=True)
class Examinations:
    """The files of a folder by examination.

    Attributes:
        groups: Study Instance UID -> files. The UID is empty for radiographs whose header cannot be read.
        rest: files that cannot be read, or that look like points, pictures or archives and belong to no examination.
        passed_over: kind -> number of files.
    """

    groups: Mapping[str, tuple[Path, ...]]
    rest: tuple[Path, ...]
    passed_over: Mapping[str, int]


def sort_by_examination(files: Sequence[Path], root: Path, *, is_export: bool) -> Examinations:
    """Sort files below ``root``. In an export (``is_export``), pictures belong to the viewer and are passed over."""
    kinds: dict[Path, Kind] = {}
    rest: list[Path] = []
    for file in files:
        try:
            kinds[file] = kind_of(file, root)
        except OSError:
            rest.append(file)  # reading the rest says that the file cannot be read
    groups: dict[str, list[Path]] = defaultdict(list)
    for file, kind in kinds.items():
        if kind.fate == "radiograph":
            groups[_study_uid(file)].append(file)
    folders = {uid: Path(os.path.commonpath([f.parent for f in members])) for uid, members in groups.items()}
    passed_over: Counter[str] = Counter()
    for file, kind in kinds.items():
        if kind.fate == "radiograph":
            continue
        if kind.fate == "passed over":
            passed_over[kind.name] += 1
        elif kind.fate == "refused" and is_export:
            passed_over["file of the export's viewer"] += 1
        else:
            owners = [uid for uid, folder in folders.items() if len(folders) == 1 or file.is_relative_to(folder)]
            (groups[owners[0]] if len(owners) == 1 else rest).append(file)
    return Examinations({uid: tuple(sorted(g)) for uid, g in sorted(groups.items())}, tuple(rest), passed_over)


def _study_uid(file: Path) -> str:
    """The Study Instance UID of a radiograph, or an empty text if its header cannot be read."""
    try:
        with pydicom_silent():
            header = dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID"], force=True)
            return str(header.get("StudyInstanceUID", ""))  # converted here, with warnings that quote the value
    except Exception:
        # The parser may raise anything on malformed bytes; reading the study says what is wrong.
        return ""
