"""The state of a patient's folder, and the list of its files that belong to the cohort.

Contract:

    <case>/frontal.dcm, lateral.dcm, reconstruction.json
    <case>/extras/...     meshes and markups for other programs, if they are requested (``mesh_export``); the intake
                          ignores a reconstruction in this folder
    <case>/UNFINISHED     marker that exists while the patient is rendered; the next run renders a case with this marker
    <case>/COMPLETE       marker that is written last

A marker contains the fingerprint of the configuration and, for every file, a line with its size and name. The lines of
``UNFINISHED`` have names or patterns, and the size 0. Only files that a marker names are deleted or overwritten.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from simulation.cohort.config import COMPLETE, EXTRAS, MARKUPS, MESHES, UNFINISHED, CohortConfig, FolderState
from spine.storage import partials_of, write_text_atomically

_CASE = re.compile(r"case-(\d{5,})")
_FILES = ("frontal.dcm", "lateral.dcm", "reconstruction.json")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def case_folder(folder: Path, index: int) -> Path:
    """The folder of one patient."""
    return folder / f"case-{index:05d}"


def case_folders(folder: Path) -> list[Path]:
    """All folders in the folder of a cohort whose name is the name of a case."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and _CASE.fullmatch(p.name))


def case_state(case: Path, config: CohortConfig) -> FolderState:
    """The state of a case.

    ``other`` is a case that was finished with another configuration. ``foreign`` is a link, or a folder that contains
    files, but no marker of a cohort.
    """
    if case.is_symlink():
        return "foreign"
    if not case.exists():
        return "absent"
    if _read_marker(case / UNFINISHED) is not None:
        return "unfinished"
    found = _read_marker(case / COMPLETE)
    if found is None:
        empty = case.is_dir() and set(case.iterdir()) <= set(partials_of(case / UNFINISHED))
        return "absent" if empty else "foreign"
    fingerprint, sizes = found
    if fingerprint != config.fingerprint:
        return "other"
    whole = all((case / name).is_file() and (case / name).stat().st_size == size for name, size in sizes.items())
    return "finished" if whole and sizes.keys() >= set(_FILES) else "unfinished"


def conflicting_files(case: Path, config: CohortConfig) -> list[Path]:
    """Files that are not part of a cohort but have the name of a file of this case."""
    return sorted(_existing(case, planned_files(config)) - _own_files(case))


def planned_files(config: CohortConfig) -> list[str]:
    """The names and patterns of all files of a case with this configuration."""
    names = list(_FILES)
    if "markups" in config.extras:
        names.append(f"{EXTRAS}/{MARKUPS}")
    if "meshes" in config.extras:
        names.append(f"{EXTRAS}/{MESHES}/*.{config.mesh_format}")
    return names


def begin_case(case: Path, config: CohortConfig) -> None:
    """Delete the files of the case and mark it as unfinished."""
    case.mkdir(parents=True, exist_ok=True)
    _clear(case)
    _write_marker(case / UNFINISHED, config, dict.fromkeys(planned_files(config), 0))
    (case / COMPLETE).unlink(missing_ok=True)


def finish_case(case: Path, config: CohortConfig) -> None:
    """Mark a case as complete, with the size of every file."""
    written = sorted(_existing(case, planned_files(config)))
    _write_marker(case / COMPLETE, config, {p.relative_to(case).as_posix(): p.stat().st_size for p in written})
    (case / UNFINISHED).unlink()


def remove_case(case: Path) -> None:
    """Delete the files of the case, then its markers. A folder that contains other files is kept with these."""
    _clear(case)
    for marker in (COMPLETE, UNFINISHED):
        (case / marker).unlink(missing_ok=True)
    if not any(case.iterdir()):
        case.rmdir()


def _clear(case: Path) -> None:
    """Delete the files of the case except its markers."""
    for path in _own_files(case):
        path.unlink(missing_ok=True)
    for folder in (case / EXTRAS / MESHES, case / EXTRAS):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _read_marker(path: Path) -> tuple[str, dict[str, int]] | None:
    """The fingerprint of a marker, and name -> size of each file in bytes; None if this is not a cohort's marker."""
    try:
        fingerprint, *lines = path.read_text().splitlines()
        sizes = {name: int(size) for size, name in (line.split(" ", 1) for line in lines)}
    except (OSError, ValueError):
        return None
    outside = any(not name or name.startswith("/") or ".." in name.split("/") for name in sizes)
    return (fingerprint, sizes) if _FINGERPRINT.fullmatch(fingerprint) and not outside else None


def _write_marker(path: Path, config: CohortConfig, sizes: Mapping[str, int]) -> None:
    lines = [config.fingerprint, *(f"{size} {name}" for name, size in sizes.items())]
    write_text_atomically(path, "\n".join(lines) + "\n")


def _own_files(case: Path) -> set[Path]:
    """The files that a case's markers name, and partial files of an interrupted writer."""
    finished, begun = (_named_files(case / marker) for marker in (COMPLETE, UNFINISHED))
    partials = {path for name in (COMPLETE, UNFINISHED, *begun) for path in partials_of(case / name)}
    return _existing(case, [*finished, *begun]) | partials


def _named_files(marker: Path) -> Iterable[str]:
    found = _read_marker(marker)
    return () if found is None else found[1]


def _existing(case: Path, names: Iterable[str]) -> set[Path]:
    """Files that exist under these names or patterns."""
    return {p for name in names for p in (case.glob(name) if "*" in name else [case / name]) if p.exists()}
