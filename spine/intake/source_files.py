"""The files below a folder, and what kind each of them is, so that intake accounts for every file.

Contract: ``files_below`` returns every entry, as a file or as an obstacle. Links are not followed, because they may
lead out of the source. ``kind_of`` gives every file a kind and a fate. A file that looks like a radiograph, a picture
or points is never passed over: it is read, or its study is refused with the kind of the file as the reason.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spine.errors import PairingRejected, StudyWaiting
from spine.radiograph.recognise import dicom_kind
from spine.reconstruction.open import points_kind

Fate = Literal["radiograph", "points", "archive", "passed over", "under way", "refused"]

RADIOGRAPH_SUFFIXES = (".dcm", ".dicom", ".ima")
"""A file with one of these suffixes must be DICOM. Otherwise a damaged view would be lost silently."""

ABORTED_AFTER_S = 3600.0
"""A temporary file of a copy that has not changed for this time belongs to a copy that was broken off."""

_UNDER_WAY_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")
_RSYNC_TEMPORARY = re.compile(r"\..+\.[A-Za-z0-9]{6}")
_SYSTEM_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "complete")
_SYSTEM_FOLDERS = ("__macosx", "system volume information", "$recycle.bin")
_PICTURE_STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"GIF8", b"BM", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    *(b"NRRD", b"P5", b"P6", b"RIFF", b"\x76\x2f\x31\x01"),
)
_PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".j2k", ".webp", ".heic", ".raw", ".img", ".hdr"}
    | {".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".pgm", ".ppm", ".exr"}
)
_ARCHIVE_STARTS = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_ARCHIVE_SUFFIXES = (".7z", ".rar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".tar", ".iso", ".zip")
_ZIP_START = b"PK\x03\x04"
_KINDS_BY_SUFFIX: Mapping[str, str] = (
    dict.fromkeys((".pdf", ".doc", ".docx", ".rtf", ".odt", ".ppt", ".pptx", ".ps", ".eml"), "document")
    | dict.fromkeys((".htm", ".html", ".css", ".js", ".xsl", ".xslt", ".dtd"), "web page")
    | dict.fromkeys((".txt", ".md", ".log", ".rst", ".nfo"), "text")
    | dict.fromkeys((".exe", ".dll", ".inf", ".bat", ".cmd", ".sh", ".jar", ".msi", ".app", ".so", ".cab"), "program")
    | dict.fromkeys((".ico", ".ini", ".cfg", ".conf", ".lnk", ".url", ".ttf", ".chm", ".hlp"), "system file")
    | dict.fromkeys((".md5", ".sha1", ".sha256", ".sfv", ".sum", ".asc", ".sig"), "checksums")
    | dict.fromkeys((".yaml", ".yml", ".toml", ".dvc", ".lock"), "settings")
    | dict.fromkeys((".mp3", ".wav", ".m4a", ".ogg", ".mp4", ".avi", ".mov", ".wmv"), "sound or film")
)


@dataclass(frozen=True)
class Kind:
    """The kind of a file, and what becomes of the file. ``refusal`` is set if the fate is ``refused``."""

    name: str
    fate: Fate
    refusal: PairingRejected | None = None


@dataclass(frozen=True)
class Tree:
    """The regular files below a folder, sorted, and the kinds of the entries that cannot be read."""

    files: tuple[Path, ...]
    obstacles: tuple[str, ...] = ()


def files_below(folder: Path, *, own: bool = False) -> Tree:
    """All entries below a folder at any depth, without following links.

    With ``own``, a link to a file counts as a file: DVC may replace Plumbline's own files by links into its cache.
    """
    files: list[Path] = []
    obstacles: list[str] = []
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        at = Path(parent)
        obstacles += ["a link" for name in folders if obstacle_of(at / name) == "a link"]
        for name in names:
            obstacle = None if own and (at / name).is_file() else obstacle_of(at / name)
            if obstacle is None:
                files.append(at / name)
            else:
                obstacles.append(obstacle)
    obstacles += ["a folder that cannot be read"] * len(unreadable)
    return Tree(tuple(sorted(files)), tuple(sorted(obstacles)))


def obstacle_of(path: Path) -> str | None:
    """Why an entry is not a regular file, or None if it is one."""
    try:
        mode = path.lstat().st_mode
    except PermissionError:
        return "a file that cannot be read"
    if stat.S_ISREG(mode):
        return None
    return "a link" if stat.S_ISLNK(mode) else "a pipe, socket or device"


def require_files(obstacles: tuple[str, ...]) -> None:
    """Refuse a study with entries that are not regular files: ``LINK_NOT_FOLLOWED``, ``FILE_UNREADABLE``."""
    if not obstacles:
        return
    found = f"{obstacles[0]} among the files of the study" + (f", and {len(obstacles) - 1} more" * (len(obstacles) > 1))
    if "a link" in obstacles:
        remedy = "copy the files themselves (cp -rL), because intake does not follow links"
        raise PairingRejected("LINK_NOT_FOLLOWED", found, "regular files and folders", remedy)
    remedy = "check the permissions, and remove what is not a file"
    raise PairingRejected("FILE_UNREADABLE", found, "regular files and folders that can be read", remedy)


def is_hidden(file: Path, root: Path) -> bool:
    """Whether a file below ``root`` is hidden or belongs to an operating system; a copy under way is not hidden."""
    parts = [part.lower() for part in file.relative_to(root).parts]
    hidden = [part.startswith((".", "~$")) or part in _SYSTEM_FOLDERS for part in parts]
    return any(hidden[:-1]) or (hidden[-1] and not _is_temporary(file))


def _is_temporary(file: Path) -> bool:
    return file.suffix.lower() in _UNDER_WAY_SUFFIXES or bool(_RSYNC_TEMPORARY.fullmatch(file.name))


def kind_of(file: Path, root: Path) -> Kind:
    """The kind of a regular file below ``root``: by its name if the name decides, otherwise by its content."""
    name, suffix = file.name.lower(), file.suffix.lower()
    if is_hidden(file, root):
        return Kind("hidden file", "passed over")
    if _is_temporary(file):
        return Kind("temporary file of a copy", "under way")
    if name in _SYSTEM_NAMES:
        return Kind("system file", "passed over")
    dicom = dicom_kind(file)
    if dicom == "radiograph" or (dicom is None and suffix in RADIOGRAPH_SUFFIXES):
        return Kind("radiograph", "radiograph")
    if dicom is not None:
        return Kind(dicom, "passed over")
    if points_kind(file) is not None:
        return Kind("points", "points")
    return _other_kind(file, suffix)


def _other_kind(file: Path, suffix: str) -> Kind:
    with file.open("rb") as stream:
        start = stream.read(512)
    if suffix in _KINDS_BY_SUFFIX:
        return Kind(_KINDS_BY_SUFFIX[suffix], "passed over")
    if start.startswith(_PICTURE_STARTS) or suffix in _PICTURE_SUFFIXES:
        remedy = "export the radiograph as DICOM, or remove the file"
        return _refused("IMAGE_NOT_DICOM", "a picture that is not DICOM", "DICOM radiographs", remedy)
    if start.startswith(_ZIP_START):
        return Kind("zip archive", "archive")
    if start.startswith(_ARCHIVE_STARTS) or suffix in _ARCHIVE_SUFFIXES:
        remedy = "unpack the archive into the folder of the study"
        return _refused("ARCHIVE_UNSUPPORTED", "an archive that is not a readable zip archive", "files", remedy)
    if not start:
        remedy = "copy the file again, or remove it"
        return _refused("EMPTY_FILE", "an empty file that may be a damaged radiograph", "a complete file", remedy)
    if _is_text(start):
        return Kind("text", "passed over")
    if not suffix or suffix[1:].isdigit():
        # Exports name radiographs IM000001 or by their UID.
        remedy = "export the file as DICOM (Part 10), or remove it"
        return _refused("FILE_UNKNOWN", "a file without a suffix in an unknown format", "DICOM radiographs", remedy)
    return Kind("unknown file", "passed over")


def _refused(code: str, found: str, expected: str, remedy: str) -> Kind:
    return Kind(found, "refused", PairingRejected(code, found, expected, remedy))


def _is_text(start: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 27 for byte in start)


def require_finished_copies(files: list[Path], now: float) -> None:
    """Raise ``StudyWaiting`` for temporary files of a copy under way, and ``COPY_ABORTED`` if that copy has stopped.

    ``now`` is the time in seconds by the clock of the machine that listed the source, because the machine that reads
    the files may have another one.
    """
    if not files:
        return
    found = f"{len(files)} temporary file(s) of a copy"
    # A time in the future is of another clock. It must not let the study wait until then.
    if abs(now - max(file.stat().st_mtime for file in files)) < ABORTED_AFTER_S:
        raise StudyWaiting("COPY_UNDER_WAY", found, "the finished copy", "wait until the copy has finished")
    raise PairingRejected("COPY_ABORTED", found, "a finished copy", "copy the study again, and remove these files")
