"""The task of intake: reads one candidate and stages its study in a folder of this attempt.

Contract: a task depends on its candidate only, so that it may run in any process, and twice. It needs neither the index
nor other studies: ``ingest``, which is the one writer, compares the staged study with the store and then renames or
deletes its folder. A task returns records, not pixels.

    FILE_UNREADABLE    the operating system cannot read a file
    READER_FAULT       a reader failed unexpectedly, which is a defect of Plumbline that should be reported
    READER_KILLED      the process that read the candidate was killed, or ended itself in a library
"""

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from spine.errors import InputRejected, PlumblineError
from spine.intake.burned_in_text import TextCheck, require_no_text
from spine.intake.intake_ledger import Entry, content_address, entry_of_study
from spine.intake.pseudonym import pseudonym
from spine.intake.records import FileCount, LoadedStudy, StudyCandidate
from spine.intake.study_store import DISK_FULL, stage_study, stored_study
from spine.storage import sha256_of_image
from spine.study import Study, StudyView
from spine.work import Work, run_apart

BATCH = 8
"""Candidates that a worker reads at a time: about 0.2 s for images of 512 x 256 pixels, and some seconds at most."""


@dataclass(frozen=True)
class Staged:
    """A study that was read and staged.

    Attributes:
        folder: the folder of this attempt.
        entry: the study's entry in the index, without the candidate.
        of_study: id of the stored study whose images these are, or empty (``LoadedStudy.of_study``).
        files: the files that were used or passed over; None if all files of the candidate were used.
        text: the refusal for text in the pixels, or None. With a refusal, the folder has no images.
    """

    folder: Path
    entry: Entry
    of_study: str = ""
    files: FileCount | None = None
    text: InputRejected | None = None


@dataclass(frozen=True)
class Staging:
    """The task for all candidates of one source.

    Attributes:
        store: the folder that contains the study folders.
        into: the folder in which this run stages studies (``study_store.reserved``).
        source: kind of the source, and its name among several sources of one kind.
        key, simulated_key: the pseudonym keys; see ``ingest``.
        text_check: the check of the pixels for text, or None.
    """

    store: Path
    into: Path
    source: tuple[str, str]
    key: bytes = field(repr=False)
    simulated_key: bytes | None = field(default=None, repr=False)
    text_check: TextCheck | None = None

    def __call__(self, candidate: StudyCandidate) -> Staged | InputRejected:
        """Read and stage a candidate; a refusal is returned. A full disk raises ``OSError``."""
        try:
            loaded = load_candidate(candidate)
        except InputRejected as refusal:
            return refusal
        study = self._study(loaded)
        text = self._text(candidate, loaded, study)
        images = {} if text else {name: view.image for name, view in loaded.views.items()}
        folder = stage_study(self.into, study, images)
        return Staged(folder, entry_of_study(study), loaded.of_study, loaded.files, text)

    def name(self, candidate: StudyCandidate) -> str:
        """The name of a candidate's folder in quarantine."""
        return quarantine_name(self.key, self.source[0], candidate, self.source[1])

    def fingerprint(self, candidate: StudyCandidate) -> str:
        """Keyed hash of source, name and fingerprint, which identifies the candidate in its present state."""
        try:
            fingerprint = candidate.fingerprint()
        except OSError:
            fingerprint = "unreadable"
        name = self.name(candidate)
        reads_text = "\0reads text" if self._must_read(name) else ""
        return pseudonym(self.key, "fingerprint", f"{name}\0{fingerprint}{reads_text}")

    def _must_read(self, name: str) -> bool:
        return self.text_check is not None and name not in self.text_check.accepted

    def _text(self, candidate: StudyCandidate, loaded: LoadedStudy, study: Study) -> InputRejected | None:
        """The refusal for text in the pixels. A study that the store has is not read again."""
        if self.text_check is None or not self._must_read(self.name(candidate)) or self._has_own_key(loaded):
            return None
        if stored_study(self.store, study.study_id) is not None:
            return None
        try:
            require_no_text({name: view.image for name, view in loaded.views.items()}, self.text_check.read)
        except InputRejected as refusal:
            return refusal
        return None

    def _study(self, loaded: LoadedStudy) -> Study:
        key = self.simulated_key if self.simulated_key and self._has_own_key(loaded) else self.key
        examination = {"examination": pseudonym(key, "examination", loaded.examination)} if loaded.examination else {}
        patient = "p" + pseudonym(key, "patient", loaded.patient)
        views = {
            name: StudyView(
                view=name,
                image=f"{name}.npy",
                sha256=sha256_of_image(view.image),
                shape=(view.image.shape[0], view.image.shape[1]),
                spacing_mm=view.spacing_mm,
                calibration=view.calibration,
                geometry=view.geometry,
                labels=view.labels,
                facts={**view.facts, "instance": pseudonym(key, "instance", view.instance), **examination},
            )
            for name, view in loaded.views.items()
        }
        # The subject id in the file may be a name, so the pseudonym replaces it.
        points = replace(loaded.reconstruction, subject_id=patient) if loaded.reconstruction else None
        study = Study("", patient, self.source[0], views, points, loaded.facts)
        return replace(study, study_id=content_address(study))

    def _has_own_key(self, loaded: LoadedStudy) -> bool:
        return self.simulated_key is not None and loaded.facts.get("simulated") is True


def staged_in_order(
    work: Work, staging: Staging, candidates: Sequence[StudyCandidate]
) -> Generator[Staged | InputRejected, None, None]:
    """The results of the task for all candidates, in their order.

    A worker that dies takes the candidates of others with it, so it is not known which of them was the reason. The
    next ``BATCH`` are then read again, each in a process of its own. One that ends this process too is refused.
    """
    waiting = deque(candidates)
    while waiting:
        try:
            with closing(work.run(staging, tuple(waiting), batch=BATCH)) as results:
                for result in results:
                    waiting.popleft()
                    yield result
        except PlumblineError as error:
            if error.code != "WORKER_DIED":
                raise
            for _ in range(min(BATCH, len(waiting))):
                yield _staged_apart(staging, waiting.popleft())


def _staged_apart(staging: Staging, candidate: StudyCandidate) -> Staged | InputRejected:
    try:
        return run_apart(staging, candidate)
    except PlumblineError as error:
        if error.code != "WORKER_DIED":
            raise
        found = "a study whose reading ended the process, e.g. for want of memory or in a library"
        remedy = "check the files and the memory of the machine, then run again; report it as a defect if it stays"
        return InputRejected("READER_KILLED", found, "a readable study", remedy)


def load_candidate(candidate: StudyCandidate) -> LoadedStudy:
    """Read one candidate, or raise ``InputRejected``. A full disk raises ``OSError`` instead."""
    try:
        return candidate.load()
    except InputRejected:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        found = f"a file that cannot be read ({type(error).__name__})"
        raise InputRejected("FILE_UNREADABLE", found, "a readable study", "check disk and permissions") from None
    except Exception as error:
        # A defect of a reader must not stop the batch. The error's text may quote the file and is not stored.
        found = f"an unexpected fault of the reader ({type(error).__name__})"
        raise InputRejected("READER_FAULT", found, "a readable study", "report this as a defect") from None


def quarantine_name(pseudonym_key: bytes, source: str, candidate: StudyCandidate, batch: str = "") -> str:
    """Name of a candidate's folder in quarantine. With the key and the source, one can find the candidate again."""
    return pseudonym(pseudonym_key, "candidate", f"{source}\0{batch}\0{candidate.key}")
