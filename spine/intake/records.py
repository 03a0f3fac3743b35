"""What a source offers and what reading it yields: the records between readers and ``ingest``.

Contract: ``load`` returns a ``LoadedStudy`` or raises ``InputRejected``; identifiers stand only in ``patient``,
``instance`` and ``key``, which ``ingest`` hashes and nothing prints.
"""

import hashlib
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

READER_VERSION = 1
"""Raise it when a reader or check changes what it accepts, so that known candidates are read again."""


@dataclass(frozen=True)
class LoadedView:
    """One view as read; fields as in ``spine.study.StudyView``.

    Attributes:
        image: (H, W) uint16.
        instance: identifier of this very image (SOP Instance UID, file name); hashed by ``ingest``.
    """

    image: NDArray[np.uint16] = field(repr=False)
    instance: str = field(repr=False)
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None = None
    labels: Points2D = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedStudy:
    """One study as read, identifiers still in clear.

    Attributes:
        patient: identifier of the patient, with its name space (``dicom:...``); hashed by ``ingest``.
        views: the images there are; may be empty with a reconstruction.
        reconstruction: 3D points, where they came along.
        facts: facts of the study, JSON values.
    """

    patient: str = field(repr=False)
    views: Mapping[ViewName, LoadedView]
    reconstruction: Reconstruction | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)


class StudyCandidate(Protocol):
    """Something that may be a study. Picklable, so that it can be read in another process."""

    @property
    def key(self) -> str:
        """Names it within its source; the same on every run."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, for quarantine."""

    def fingerprint(self) -> str:
        """Changes whenever what ``load`` would read changes; cheap."""

    def load(self) -> LoadedStudy:
        """Read it.

        Raises:
            InputRejected: it cannot be used.
        """


class StudySource(Protocol):
    """Where studies come from."""

    @property
    def name(self) -> str:
        """The kind, recorded with every study."""

    def candidates(self) -> Sequence[StudyCandidate]:
        """What there is, in a fixed order."""


def fingerprint_of(files: Sequence[Path], *further: str) -> str:
    """SHA-256 over names, sizes and modification times of files and over further text."""
    digest = hashlib.sha256(f"{READER_VERSION}".encode())
    for file in files:
        status = file.stat()
        digest.update(f"\0{file.name}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    for text in further:
        digest.update(b"\1" + text.encode())
    return digest.hexdigest()
