"""Measures a folder of studies, one after the other; a study that cannot be measured has its reason in its row.

Contract: the studies are those that intake would find in the folder (``spine.intake.folder``): one folder or zip
archive each, or radiographs of several examinations sorted by their Study Instance UID. Every study gives exactly one
row. Reconstructions, reports and other files beside the radiographs are ignored. A picture counts if its name says the
view, such as ``frontal.png``.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inference.measured_study import MeasuredStudy, measure_radiographs
from inference.model import Model
from inference.overlay import warnings_of
from inference.radiograph_files import RadiographFile, open_radiographs
from spine.errors import InputRejected, PairingRejected, PlumblineError
from spine.intake.archives import is_zip, unpacked
from spine.intake.folder import FolderSource
from spine.intake.folder_candidate import FolderCandidate
from spine.intake.source_files import files_below, kind_of
from spine.landmarks import VIEWS
from spine.radiograph.picture import is_picture


@dataclass(frozen=True)
class BatchRow:
    """One study of a batch: its measurement, or why there is none.

    Attributes:
        study: name of the study in the folder.
        content: digest of the study's files; a study with the same content need not be measured again.
        measured: the measurement; None if the study was refused.
        refusal: code and reason of a refusal; None for a measured study.
    """

    study: str
    content: str
    model: str
    seconds: float
    measured: MeasuredStudy | None = field(default=None, repr=False)
    refusal: PlumblineError | None = None

    @property
    def notes(self) -> list[str]:
        """What to check before the values are used."""
        return warnings_of(self.measured.prediction) if self.measured else []


@dataclass(frozen=True)
class BatchStudy:
    """One study of a folder, before it is measured."""

    candidate: FolderCandidate

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.candidate.key

    def content(self) -> str:
        """SHA-256 of the names and bytes of its files; a file that cannot be read counts by its name."""
        digest = hashlib.sha256(f"{self.candidate.part}\0{self.candidate.obstacles}".encode())
        for file in self.candidate.files:
            digest.update(f"\0{file.relative_to(self.candidate.root).as_posix()}\0".encode("utf-8", "surrogateescape"))
            try:
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            except OSError as error:
                digest.update(type(error).__name__.encode())
        return digest.hexdigest()

    def measure(self, model: Model) -> BatchRow:
        """Measure the study. Never raises for what is wrong with a study."""
        began, content, measured, refusal = time.perf_counter(), self.content(), None, None
        try:
            with _radiographs(self.candidate) as files:
                measured = measure_radiographs(model, open_radiographs(files))
        except PlumblineError as error:
            refusal = error
        except Exception as error:  # a defect that one study reveals must not stop the others
            found = f"an error that nobody foresaw ({type(error).__name__})"
            refusal = InputRejected("MEASUREMENT_FAULT", found, "a measurement", "report this study as a defect")
        return BatchRow(self.name, content, model.digest, time.perf_counter() - began, measured, refusal)


def studies_below(folder: Path) -> list[BatchStudy]:
    """The studies of a folder, in the order of their names.

    Raises:
        InputRejected: ``NO_STUDIES``: the folder has none.
    """
    candidates = FolderSource(folder).contents().candidates
    found = [BatchStudy(candidate) for candidate in candidates if isinstance(candidate, FolderCandidate)]
    if not found:
        remedy = "name a folder with a folder for each study, or with radiographs"
        raise InputRejected("NO_STUDIES", f"no study in {folder.name}/", "folders with radiographs", remedy)
    return sorted(found, key=lambda study: study.name)


@contextmanager
def _radiographs(candidate: FolderCandidate) -> Iterator[list[RadiographFile]]:
    """The radiographs of a study, also those in its zip archives."""
    if candidate.obstacles:
        found = f"{candidate.obstacles[0]} among the files of the study"
        raise PairingRejected("FILE_UNREADABLE", found, "regular files that can be read", "copy the files themselves")
    archives = [file for file in candidate.files if is_zip(file)]
    loose = _wanted([file for file in candidate.files if file not in archives], candidate.root)
    if not archives:
        yield _require_some(loose)
        return
    with unpacked(archives, candidate.part) as inside:
        yield _require_some([*loose, *_wanted(files_below(inside).files, inside)])


def _wanted(files: Sequence[Path], root: Path) -> list[RadiographFile]:
    """The radiographs among the files; a file that should be one and is not is among them, so that it is refused."""
    wanted = []
    for file in files:
        view = next((view for view in VIEWS if file.stem.lower() == view), None)
        if view is not None and is_picture(file):
            wanted.append(RadiographFile(file, file.name, view))
            continue
        kind = kind_of(file, root)
        if kind.fate == "radiograph":
            wanted.append(RadiographFile(file, file.name))
        elif kind.refusal is not None:
            raise kind.refusal
    return wanted


def _require_some(files: list[RadiographFile]) -> list[RadiographFile]:
    if not files:
        raise PairingRejected(
            "STUDY_EMPTY", "a study without a radiograph", "one or two radiographs", "copy its radiographs"
        )
    return files
