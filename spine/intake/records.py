"""The records that a source of studies passes to ``ingest``, and the protocol that a source implements.

Contract: ``load`` returns a ``LoadedStudy`` or raises ``InputRejected``. Only the fields ``patient``, ``instance`` and
``key`` contain identifiers. ``ingest`` hashes these identifiers, and they are never printed.
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

READER_VERSION = 2
"""Increase this when a reader or a check changes what it accepts. Known candidates are then read again."""


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
    """

    patient: str = field(repr=False)
    views: Mapping[ViewName, LoadedView]
    reconstruction: Reconstruction | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)


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
        """Read the study, or raise ``InputRejected`` if it cannot be used."""


class StudySource(Protocol):
    """A place where studies come from."""

    @property
    def name(self) -> str:
        """Kind of the source, which is recorded with every study."""

    def candidates(self) -> Sequence[StudyCandidate]:
        """All candidates, in a fixed order."""


def fingerprint_of(files: Sequence[Path], *further: str) -> str:
    """SHA-256 of the names, sizes and modification times of ``files``, and of the ``further`` texts."""
    digest = hashlib.sha256(f"{READER_VERSION}".encode())
    for file in files:
        status = file.stat()
        digest.update(f"\0{file.name}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    for text in further:
        digest.update(b"\1" + text.encode())
    return digest.hexdigest()
