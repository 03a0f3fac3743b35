"""The files of one study: which kind each of them is, and how they become one loaded study.

Contract: a study is loaded from all its files, or refused, or waiting. No file is left out without being counted.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spine.errors import InputRejected, PairingRejected, StudyWaiting
from spine.intake.archives import unpacked
from spine.intake.complete_marker import COMPLETE, require_listed
from spine.intake.pairing import join_study, require_one_study
from spine.intake.records import FileCount, LoadedStudy, fingerprint_of
from spine.intake.source_files import Kind, files_below, kind_of, require_files, require_finished_copies
from spine.radiograph.read import Radiograph, read_radiograph
from spine.reconstruction.open import read_reconstruction_files
from spine.reconstruction.reconstruction import Reconstruction

EXTRAS = "extras"
MAX_FILES = 500


@dataclass(frozen=True)
class FolderCandidate:
    """The files of one study.

    Attributes:
        key: path of the study relative to the location.
        root: folder that the study's files lie below.
        files: regular files, sorted, without hidden files and ``COMPLETE``.
        is_complete: whether there is a file ``COMPLETE``.
        simulated: whether the source has virtual patients.
        obstacles: kinds of the entries that are not regular files.
        part: top folder of the archive that is this study, if ``files`` is one archive of several studies.
        listed: path relative to ``root`` -> SHA-256, if ``COMPLETE`` lists the files.
        passed_over: kind -> number of files that are not in ``files``.
        examinations: number of examinations in the folder, if it was sorted by examination.
        is_rest: whether the files belong to none of these examinations.
        seen_at: when the source was listed, in seconds, by the one clock that decides whether a copy has stopped.
    """

    key: str
    root: Path
    files: tuple[Path, ...]
    is_complete: bool = False
    simulated: bool = False
    obstacles: tuple[str, ...] = ()
    part: str = ""
    listed: Mapping[str, str] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    examinations: int = 1
    is_rest: bool = False
    seen_at: float = field(default_factory=time.time, compare=False)

    def fingerprint(self) -> str:
        """Fingerprint of the files' names, sizes and modification times, and of what ``COMPLETE`` says."""
        listed = "\0".join(f"{name}\0{digest}" for name, digest in self.listed.items())
        state = (str(self.is_complete), str(self.simulated), *self.obstacles, self.part, listed)
        return fingerprint_of(self.files, *state)

    def load(self) -> LoadedStudy:
        """Read the radiographs and the reconstruction and join them.

        Raises:
            StudyWaiting: ``STUDY_UNFINISHED``, ``COPY_UNDER_WAY``, ``FILES_CHANGING``, ``FILES_MISSING``.
            InputRejected: ``TOO_MANY_FILES``, ``UID_CONFLICT``, ``EXAMINATION_UNCLEAR``, and the codes of
                ``source_files``, ``archives``, ``complete_marker``, ``pairing``, ``read_radiograph`` and
                ``read_reconstruction_files``.
        """
        before = self.fingerprint()
        try:
            loaded = self._loaded()
        except InputRejected as refusal:
            self._require_unchanged(before)
            if self.examinations > 1:
                # The reason would otherwise not show why one folder gave several refusals.
                found = f"{refusal.found}, in one of {self.examinations} examinations (of one or more patients) that "
                refusal.found = found + "share a folder"
            raise
        self._require_unchanged(before)
        return loaded

    def _require_unchanged(self, before: str) -> None:
        try:
            after = self.fingerprint()
        except FileNotFoundError:
            after = ""
        if after != before:
            found = "files that changed while they were read"
            raise StudyWaiting("FILES_CHANGING", found, "files that stay the same", "wait until the copy has finished")

    def _loaded(self) -> LoadedStudy:
        if len(self.files) > MAX_FILES:
            found = f"{len(self.files)} files"
            expected = f"at most {MAX_FILES} files in a study"
            raise PairingRejected("TOO_MANY_FILES", found, expected, "make one folder for each study")
        require_files(self.obstacles)
        require_listed(self.root, self.listed)
        kinds = {file: kind_of(file, self.root) for file in self.files}
        if self.is_rest:
            raise _refusal_of_rest(kinds, self.seen_at)
        archives = [file for file, kind in kinds.items() if kind.fate == "archive"]
        if not archives:
            return self._joined(kinds, self.is_complete)
        with unpacked(archives, self.part) as folder:
            inside = {file: kind_of(file, folder) for file in files_below(folder).files}
            beside = {file: kind for file, kind in kinds.items() if kind.fate != "archive"}
            is_complete = self.is_complete or any(file.name == COMPLETE for file in inside)
            try:
                return self._joined(beside | inside, is_complete)
            except InputRejected as refusal:
                refusal.found += ", in a zip archive that is read as one study"
                raise

    def _joined(self, kinds: Mapping[Path, Kind], is_complete: bool) -> LoadedStudy:
        require_finished_copies([file for file, kind in kinds.items() if kind.fate == "under way"], self.seen_at)
        for file, kind in kinds.items():
            if kind.refusal is not None:
                kind.refusal.file = file
                raise kind.refusal
            if kind.fate == "archive":
                found, remedy = "an archive inside an archive", "unpack the inner archive"
                raise PairingRejected("ARCHIVE_UNSUPPORTED", found, "files", remedy)
        if not is_complete and self.simulated:
            raise _unfinished()
        radiographs = [_read_radiograph(file) for file, kind in kinds.items() if kind.fate == "radiograph"]
        if not is_complete and any(radiograph.facts.get("simulated") for radiograph in radiographs):
            raise _unfinished()
        points = [file for file, kind in kinds.items() if kind.fate == "points"]
        require_one_study(radiographs)  # first, because two studies also have two reconstructions
        joined = join_study(_without_copies(radiographs), _reconstruction(points), simulated=self.simulated)
        passed_over = Counter(self.passed_over) + Counter(k.name for k in kinds.values() if k.fate == "passed over")
        used = len(radiographs) + len(points)
        return replace(joined, files=FileCount(used, dict(sorted(passed_over.items()))))


def _read_radiograph(file: Path) -> Radiograph:
    try:
        return read_radiograph(file)
    except InputRejected as refusal:
        refusal.file = file
        raise


def _refusal_of_rest(kinds: Mapping[Path, Kind], now: float) -> PairingRejected:
    """Why files of no examination are refused. Raises ``StudyWaiting`` if a copy of one of them is under way."""
    require_finished_copies([file for file, kind in kinds.items() if kind.fate == "under way"], now)
    refusals = [kind.refusal for kind in kinds.values() if kind.refusal is not None]
    if refusals and len(refusals) == len(kinds):
        return refusals[0]
    found = f"{len(kinds)} file(s) that belong to none or to several of the examinations in one folder"
    remedy = "make one folder for each study, with its radiographs and its reconstruction; remove other files"
    return PairingRejected("EXAMINATION_UNCLEAR", found, "files of one examination", remedy)


def _reconstruction(files: Sequence[Path]) -> Reconstruction | None:
    chosen = [file for file in files if EXTRAS not in (file.parent.name, file.parent.parent.name)] or list(files)
    return read_reconstruction_files(chosen) if chosen else None


def _without_copies(radiographs: list[Radiograph]) -> list[Radiograph]:
    """The radiographs without further copies of the same image (equal instance UID and pixels)."""
    kept: list[Radiograph] = []
    for radiograph in radiographs:
        same = [k for k in kept if k.identity.sop_uid == radiograph.identity.sop_uid]
        if any(k.image.shape != radiograph.image.shape or (k.image != radiograph.image).any() for k in same):
            found = "two different images with the same SOP Instance UID"
            expected = "one image for each SOP Instance UID"
            raise PairingRejected("UID_CONFLICT", found, expected, "export the images again")
        if not same:
            kept.append(radiograph)
    return kept


def _unfinished() -> StudyWaiting:
    found = "a simulated study without its COMPLETE file"
    remedy = "wait until the writer has finished, or write the study again"
    return StudyWaiting("STUDY_UNFINISHED", found, "the file COMPLETE, which the writer adds last", remedy)
