"""Puts every candidate of a source into the store, or into quarantine with a reason.

Contract: received = used + already present + waiting + quarantined. A report with other counts is refused. One bad
candidate never stops the batch. A run may be killed at any moment and repeated. Repeating a finished run changes
nothing. Outside quarantine, no identifier is stored. Keyed hashes replace the identifiers of patients, examinations,
images and candidates.

A waiting candidate is read again in every run. A refused candidate is read again if its files have changed or its
quarantine folder was deleted. After a refusal that may be temporary (``intake_ledger.TRANSIENT_CODES``), the candidate
is read again in every run. ``revisions`` decides what becomes of a study that the store has already, in part or in
another version.

    FILE_UNREADABLE    the operating system cannot read a file
    READER_FAULT       a reader failed unexpectedly, which is a defect of Plumbline that should be reported
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import InputRejected, PairingRejected, StudyWaiting
from spine.intake.burned_in_text import TextCheck, require_no_text
from spine.intake.intake_ledger import Entry, Ledger, content_address, entry_of_study
from spine.intake.intake_report import IntakeReport, Quarantined, Waiting
from spine.intake.pairing import check_parts
from spine.intake.pseudonym import pseudonym
from spine.intake.records import Contents, FileCount, LoadedStudy, StudyCandidate, StudySource
from spine.intake.revisions import relation_to_store
from spine.intake.study_store import DISK_FULL, clear_quarantine, quarantine_candidate, reserved, store_study
from spine.landmarks import ViewName
from spine.storage import sha256_of_image
from spine.study import Study, StudyView, read_study
from spine.types import Progress

Images = dict[ViewName, NDArray[np.uint16]]


def ingest(
    source: StudySource,
    store: Path,
    quarantine: Path,
    *,
    pseudonym_key: bytes,
    progress: Progress | None = None,
    text_check: TextCheck | None = None,
    batch: str = "",
) -> IntakeReport:
    """Put every candidate of a source into the store or into quarantine, and report the outcome.

    Args:
        source: the source, which ``sources.open_source`` returns.
        store: the folder that contains the study folders (``spine.study``).
        quarantine: the folder that contains one folder for each refused candidate, with its files and ``reason.json``.
        pseudonym_key: the key, which ``pseudonym.load_pseudonym_key`` returns.
        text_check: the check of the pixels for text; without it, no pixels are read for text. It reads studies that
            are new to the store.
        batch: name of the source among several sources of one kind, which may have folders of equal names. It is only
            hashed, because it may identify a patient.

    Raises:
        PlumblineError: ``DISK_FULL`` or ``STORE_BUSY`` (see ``study_store.reserved``).
    """
    with reserved(store):
        contents = source.contents()
        candidates = contents.candidates
        ingestion = _Ingestion((source.name, batch), store, quarantine, pseudonym_key, text_check)
        before = dict(ingestion.ledger.by_candidate)
        outcomes: list[tuple[str, Entry]] = []
        for position, candidate in enumerate(candidates, 1):
            fingerprint = ingestion.fingerprint(candidate)
            known = before.get(fingerprint)
            outcomes.append(("present", known) if known else ingestion.process(candidate, fingerprint, position))
            if progress is not None:
                progress(position, len(candidates))
    return _report(source.name, contents, outcomes)


def _report(source: str, contents: Contents, outcomes: Sequence[tuple[str, Entry]]) -> IntakeReport:
    placed = list(enumerate((entry for _, entry in outcomes), 1))
    waiting = [(p, e) for p, e in placed if outcomes[p - 1][0] == "waiting"]
    refused = [(p, e) for p, e in placed if e.study_id is None and outcomes[p - 1][0] != "waiting"]
    return IntakeReport(
        source=source,
        received=len(outcomes),
        used=sum(kind == "used" for kind, _ in outcomes),
        already_present=sum(kind == "present" and e.study_id is not None for kind, e in outcomes),
        quarantined=tuple(Quarantined(e.key, position, e.code, e.message) for position, e in refused),
        study_ids=tuple(e.study_id for _, e in outcomes if e.study_id is not None),
        waiting=tuple(Waiting(position, e.code, e.message) for position, e in waiting),
        revised=sum(kind == "used" and bool(e.revises) for kind, e in outcomes),
        files=sum((FileCount(**e.files) for _, e in outcomes), FileCount(passed_over=contents.passed_over)),
    )


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


class _Ingestion:
    """Stores or quarantines loaded studies, and records the outcome."""

    def __init__(
        self, source: tuple[str, str], store: Path, quarantine: Path, key: bytes, text_check: TextCheck | None = None
    ) -> None:
        self.ledger, self._text_check = Ledger(store, quarantine), text_check
        (self._source, self._batch), self._store, self._quarantine, self._key = source, store, quarantine, key

    def fingerprint(self, candidate: StudyCandidate) -> str:
        """Keyed hash of source, name and fingerprint, which identifies the candidate in its present state."""
        try:
            fingerprint = candidate.fingerprint()
        except OSError:
            fingerprint = "unreadable"
        reads_text = "\0reads text" if self._must_read(self._name(candidate)) else ""
        return self._hash("fingerprint", f"{self._name(candidate)}\0{fingerprint}{reads_text}")

    def _name(self, candidate: StudyCandidate) -> str:
        return quarantine_name(self._key, self._source, candidate, self._batch)

    def _must_read(self, key: str) -> bool:
        return self._text_check is not None and key not in self._text_check.accepted

    def process(self, candidate: StudyCandidate, fingerprint: str, position: int) -> tuple[str, Entry]:
        """Store or quarantine a candidate; return (``used`` | ``present`` | ``waiting`` | ``quarantined``, entry)."""
        key = self._name(candidate)
        folder, count = self._quarantine / key, len(candidate.files)
        try:
            loaded = load_candidate(candidate)
            kind, entry = self._accept(loaded, key)
            clear_quarantine(folder)
            files = asdict(loaded.files or FileCount(used=count))
            outcome = (kind, replace(entry, candidate=fingerprint, key=key, files=files))
        except StudyWaiting as reason:
            files = asdict(FileCount(waiting=count))
            return "waiting", Entry(fingerprint, None, key, files=files, code=reason.code, message=str(reason))
        except InputRejected as refusal:
            quarantine_candidate(folder, candidate, refusal, source=self._source, position=position)
            files = asdict(FileCount(quarantined=count))
            entry = Entry(fingerprint, None, key, files=files, code=refusal.code, message=str(refusal))
            outcome = ("quarantined", entry)
        self.ledger.add(outcome[1])
        return outcome

    def _accept(self, loaded: LoadedStudy, key: str) -> tuple[str, Entry]:
        """Store a study, alone or with the view of its examination that the store has, unless it is present."""
        study, images = self._study(loaded), {name: view.image for name, view in loaded.views.items()}
        entry = entry_of_study(study)
        relation = relation_to_store(entry, self.ledger)
        if relation.kind == "present":
            return "present", relation.studies[0]
        if self._text_check is not None and self._must_read(key):
            require_no_text(images, self._text_check.read)
        if relation.kind == "completion":
            completed = self._completed(study, images, str(relation.studies[0].study_id))
            if completed is None:
                relation = replace(relation, studies=())
            else:
                study, images = completed
                entry = entry_of_study(study)
        revises = tuple(str(replaced.study_id) for replaced in relation.studies)
        store_study(self._store, replace(study, revises=revises), images)
        return "used", replace(entry, revises=revises)

    def _completed(self, study: Study, images: Images, other_id: str) -> tuple[Study, Images] | None:
        """The study with the view that the store has of its examination, or None if the views do not fit together."""
        other = read_study(self._store / other_id)
        every = images | {name: np.load(self._store / other_id / view.image) for name, view in other.views.items()}
        views = {**other.views, **study.views}
        geometries = {name: view.geometry for name, view in views.items() if view.geometry is not None}
        points = study.reconstruction or other.reconstruction
        if points is not None and len(geometries) < len(views):
            return None
        try:
            check_parts(every, geometries, points)
        except PairingRejected:
            return None  # one examination may have images of different parts of the body
        whole = replace(study, views=views, reconstruction=points, facts={**other.facts, **study.facts})
        return replace(whole, study_id=content_address(whole)), every

    def _study(self, loaded: LoadedStudy) -> Study:
        examination = {"examination": self._hash("examination", loaded.examination)} if loaded.examination else {}
        patient = "p" + self._hash("patient", loaded.patient)
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
                facts={**view.facts, "instance": self._hash("instance", view.instance), **examination},
            )
            for name, view in loaded.views.items()
        }
        # The subject id in the file may be a name, so the pseudonym replaces it.
        points = replace(loaded.reconstruction, subject_id=patient) if loaded.reconstruction else None
        study = Study("", patient, self._source, views, points, loaded.facts)
        return replace(study, study_id=content_address(study))

    def _hash(self, kind: str, identifier: str) -> str:
        return pseudonym(self._key, kind, identifier)


def quarantine_name(pseudonym_key: bytes, source: str, candidate: StudyCandidate, batch: str = "") -> str:
    """Name of a candidate's folder in quarantine. With the key and the source, one can find the candidate again."""
    return pseudonym(pseudonym_key, "candidate", f"{source}\0{batch}\0{candidate.key}")
