"""The state of a patient's folder, and the list of its files that belong to the cohort.

Contract:

    <case>/frontal.dcm, lateral.dcm, reconstruction.json
    <case>/extras/...     meshes and markups for other programs, if they are requested (``mesh_export``); the intake
                          ignores a reconstruction in this folder
    <case>/UNFINISHED     marker of a case that has to be rendered, in a folder with files of somebody else
    <case>/COMPLETE       marker that is written last

A case is rendered in a folder of this attempt (``new_attempt``) and gets its name by one rename. Two attempts at one
case, also at the same time, are harmless: the second one to finish is deleted. Only where the case has files of
somebody else, its files are moved one by one, the marker last.

A marker contains the fingerprint of the configuration and, for every file, a line with its size and name. The lines of
``UNFINISHED`` have names or patterns, and the size 0. Only files that a marker names are deleted or overwritten.
"""

import errno
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

from simulation.cohort.config import COMPLETE, EXTRAS, MARKUPS, MESHES, UNFINISHED, CohortConfig, FolderState
from spine.storage import partials_of, write_text_atomically

_CASE = re.compile(r"case-(\d{5,})")
_ATTEMPTS = ".plumbline-attempts"
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


def clear_case(case: Path, config: CohortConfig) -> None:
    """Delete a case that has to be rendered. A folder with files of somebody else stays, marked as unfinished."""
    if case.exists():
        _clear(case)
        _write_marker(case / UNFINISHED, config, dict.fromkeys(planned_files(config), 0))
        (case / COMPLETE).unlink(missing_ok=True)
        if [path.name for path in case.iterdir()] == [UNFINISHED]:
            (case / UNFINISHED).unlink()
            case.rmdir()


def new_attempt(folder: Path) -> Path:
    """A new folder for one attempt at a case, in the folder of its cohort."""
    attempt = folder / _ATTEMPTS / uuid4().hex
    attempt.mkdir(parents=True)
    return attempt


def remove_attempts(folder: Path) -> None:
    """Delete what killed attempts left."""
    shutil.rmtree(folder / _ATTEMPTS, ignore_errors=True)


def finish_case(attempt: Path, case: Path, config: CohortConfig) -> None:
    """Mark an attempt as complete, with the size of every file, and make it the case, unless another attempt is it."""
    written = sorted(_existing(attempt, planned_files(config)))
    sizes = {path.relative_to(attempt).as_posix(): path.stat().st_size for path in written}
    _write_marker(attempt / COMPLETE, config, sizes)
    try:
        attempt.rename(case)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if case_state(case, config) != "finished":
            _move_into(case, attempt, [*sizes, COMPLETE])
        shutil.rmtree(attempt, ignore_errors=True)


def _move_into(case: Path, attempt: Path, names: Iterable[str]) -> None:
    """Move the files of an attempt into a folder with files of somebody else; another attempt may do the same."""
    for name in names:
        (case / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt / name).replace(case / name)
    (case / UNFINISHED).unlink(missing_ok=True)


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
