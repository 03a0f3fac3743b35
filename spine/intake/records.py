"""The records that a source of studies passes to ``ingest``, and the protocol that a source implements.

Contract: ``load`` returns a ``LoadedStudy`` or raises ``InputRejected``. Only the fields ``patient``, ``examination``,
``instance`` and ``key`` contain identifiers. ``ingest`` hashes these identifiers, and they are never printed.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.study import CalibrationType, Points2D

READER_VERSION = 2
"""Increase this when a reader or a check changes what it accepts. Known candidates are then read again."""


@dataclass(frozen=True)
class FileCount:
    """The number of files below a source, by what became of them.

    Attributes:
        used: files that were read, or are in the store already.
        passed_over: kind -> number of files that no study needs, such as reports and hidden files.
        waiting: files of studies that are not complete yet.
        quarantined: files of refused studies.
    """

    used: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    quarantined: int = 0

    def __add__(self, other: "FileCount") -> "FileCount":
        passed_over = Counter(self.passed_over) + Counter(other.passed_over)
        numbers = (self.waiting + other.waiting, self.quarantined + other.quarantined)
        return FileCount(self.used + other.used, dict(sorted(passed_over.items())), *numbers)

    @property
    def total(self) -> int:
        """The number of all files."""
        return self.used + sum(self.passed_over.values()) + self.waiting + self.quarantined


@dataclass(frozen=True)
class LoadedView:
    """One view as it was read. ``instance`` is the image's identifier; for the rest see ``spine.study.StudyView``."""

    image: NDArray[np.uint16] = field(repr=False)
    instance: str = field(repr=False)
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None = None
    labels: Points2D = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedStudy:
    """One study as it was read, with identifiers that are not hashed yet.

    Attributes:
        patient: identifier of the patient, with its name space (``dicom:...``); ``ingest`` hashes it.
        views: view name -> view; may be empty if the study has a reconstruction.
        reconstruction: 3D points, or None.
        facts: facts of the study, JSON values.
        examination: identifier of the examination (Study Instance UID), or empty; ``ingest`` hashes it. Views of one
            examination may arrive one after the other.
        files: the files that were used or passed over; None if all files of the candidate were used.
        of_study: id of the stored study whose images these are, or empty. ``ingest`` then keeps that study's patient
            and images, and reads no identifier from the files.
    """

    patient: str = field(repr=False)
    views: Mapping[ViewName, LoadedView]
    reconstruction: Reconstruction | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    examination: str = field(default="", repr=False)
    files: FileCount | None = None
    of_study: str = ""


class StudyCandidate(Protocol):
    """Files that may be a study."""

    @property
    def key(self) -> str:
        """Name of the study within the source, which is the same in every run."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the study, which are kept in quarantine if the study is refused."""

    def fingerprint(self) -> str:
        """A text that changes whenever the result of ``load`` would change. It is cheap to compute."""

    def load(self) -> LoadedStudy:
        """Read the study. Raise ``StudyWaiting`` if it is not complete, or ``InputRejected`` if it cannot be used."""


@dataclass(frozen=True)
class Contents:
    """All that lies below a source: the candidates in a fixed order, and the number of other files by kind."""

    candidates: Sequence[StudyCandidate]
    passed_over: Mapping[str, int] = field(default_factory=dict)


class StudySource(Protocol):
    """A place where studies come from."""

    @property
    def name(self) -> str:
        """Kind of the source, which is recorded with every study."""

    def contents(self) -> Contents:
        """The candidates and the other files, so that no file is lost."""


def contents_of(location: Path, candidates: Sequence[StudyCandidate]) -> Contents:
    """The contents of a source whose candidates name their files. Every other file below it is passed over."""
    taken = {file for candidate in candidates for file in candidate.files}
    others = sum(file.is_file() and file not in taken for file in location.rglob("*"))
    return Contents(candidates, {"other file": others} if others else {})


def fingerprint_of(files: Sequence[Path], *further: str) -> str:
    """SHA-256 of the names, sizes and modification times of ``files``, and of the ``further`` texts."""
    digest = hashlib.sha256(f"{READER_VERSION}".encode())
    for file in files:
        status = file.stat()
        digest.update(f"\0{file.name}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    for text in further:
        digest.update(b"\1" + text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
