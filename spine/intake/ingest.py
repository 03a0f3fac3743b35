"""Puts every candidate of a source into the store, or into quarantine with a reason.

Contract: received = used + already present + quarantined. A report with other counts is refused. One bad candidate
never stops the batch. A run may be killed at any moment and repeated. Repeating a finished run changes nothing. Outside
quarantine, no identifier is stored. Keyed hashes replace the identifiers of patients, images and candidates.

A refused candidate is read again if its files have changed or its quarantine folder was deleted. After a refusal that
may be temporary (``intake_ledger.TRANSIENT_CODES``), the candidate is read again in every run.

    UID_CONFLICT       the store has an image with one of the candidate's instance UIDs, but with other pixels
    DUPLICATE_IMAGE    the store has one of the candidate's images in another study, or has the same study under another
                       patient or instance UID. Possible causes: the image was sent twice, was de-identified twice, or
                       was sent with a new reconstruction
    FILE_UNREADABLE    the operating system cannot read a file
    READER_FAULT       a reader failed unexpectedly, which is a defect of Plumbline that should be reported
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spine.errors import InputRejected, PairingRejected
from spine.intake.intake_ledger import Entry, Ledger
from spine.intake.intake_report import IntakeReport, Quarantined
from spine.intake.pseudonym import pseudonym
from spine.intake.records import LoadedStudy, StudyCandidate, StudySource
from spine.intake.study_store import DISK_FULL, clear_quarantine, quarantine_candidate, reserved, store_study
from spine.storage import sha256_of_image
from spine.study import Study, StudyView, points_to_json
from spine.types import Progress


def ingest(
    source: StudySource,
    store: Path,
    quarantine: Path,
    *,
    pseudonym_key: bytes,
    progress: Progress | None = None,
) -> IntakeReport:
    """Put every candidate of a source into the store or into quarantine, and report the outcome.

    Args:
        source: the source, which ``sources.open_source`` returns.
        store: the folder that contains the study folders (``spine.study``).
        quarantine: the folder that contains one folder for each refused candidate, with its files and ``reason.json``.
        pseudonym_key: the key, which ``pseudonym.load_pseudonym_key`` returns.

    Raises:
        PlumblineError: ``DISK_FULL`` or ``STORE_BUSY`` (see ``study_store.reserved``).
    """
    with reserved(store):
        candidates = source.candidates()
        ingestion = _Ingestion(source.name, store, quarantine, pseudonym_key)
        before = dict(ingestion.ledger.by_candidate)
        outcomes: list[tuple[str, Entry]] = []
        for position, candidate in enumerate(candidates, 1):
            fingerprint = ingestion.fingerprint(candidate)
            known = before.get(fingerprint)
            outcomes.append(("present", known) if known else ingestion.process(candidate, fingerprint, position))
            if progress is not None:
                progress(position, len(candidates))
    return _report(source.name, outcomes)


def _report(source: str, outcomes: Sequence[tuple[str, Entry]]) -> IntakeReport:
    refused = [(p, e) for p, (_, e) in enumerate(outcomes, 1) if e.study_id is None]
    return IntakeReport(
        source=source,
        received=len(outcomes),
        used=sum(kind == "used" for kind, _ in outcomes),
        already_present=sum(kind == "present" and e.study_id is not None for kind, e in outcomes),
        quarantined=tuple(Quarantined(e.key, position, e.code, e.message) for position, e in refused),
        study_ids=tuple(e.study_id for _, e in outcomes if e.study_id is not None),
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

    def __init__(self, source: str, store: Path, quarantine: Path, key: bytes) -> None:
        self.ledger = Ledger(store, quarantine)
        self._source, self._store, self._quarantine, self._key = source, store, quarantine, key

    def fingerprint(self, candidate: StudyCandidate) -> str:
        """Keyed hash of source, name and fingerprint, which identifies the candidate in its present state."""
        try:
            fingerprint = candidate.fingerprint()
        except OSError:
            fingerprint = "unreadable"
        return self._hash("fingerprint", f"{self._source}\0{candidate.key}\0{fingerprint}")

    def process(self, candidate: StudyCandidate, fingerprint: str, position: int) -> tuple[str, Entry]:
        """Store or quarantine one candidate; return (``used`` | ``present`` | ``quarantined``, entry)."""
        key = quarantine_name(self._key, self._source, candidate)
        folder = self._quarantine / key
        try:
            outcome = self._accept(load_candidate(candidate), fingerprint, key)
            clear_quarantine(folder)
        except InputRejected as refusal:
            quarantine_candidate(folder, candidate, refusal, source=self._source, position=position)
            outcome = ("quarantined", Entry(fingerprint, None, key, code=refusal.code, message=str(refusal)))
        self.ledger.add(outcome[1])
        return outcome

    def _accept(self, loaded: LoadedStudy, fingerprint: str, key: str) -> tuple[str, Entry]:
        images: dict[str, str] = {name: sha256_of_image(view.image) for name, view in loaded.views.items()}
        entry = Entry(
            candidate=fingerprint,
            study_id=content_address(loaded, images),
            key=key,
            patient="p" + self._hash("patient", loaded.patient),
            instances={n: self._hash("instance", view.instance) for n, view in loaded.views.items()},
            images=images,
        )
        known = self.ledger.by_study.get(str(entry.study_id))
        if known is not None and (known.patient, known.instances) == (entry.patient, entry.instances):
            return "present", entry
        self._require_new(entry, is_known=known is not None)
        store_study(self._store, self._study(loaded, entry), {n: view.image for n, view in loaded.views.items()})
        return "used", entry

    def _require_new(self, entry: Entry, *, is_known: bool) -> None:
        """Refuse images that are already in the store, and instance UIDs that it has for other pixels."""
        for view, instance in entry.instances.items():
            if self.ledger.image_of_instance.get(instance) not in (None, entry.images[view]):
                found = f"a {view} image that has the SOP Instance UID of an image in the store, but other pixels"
                remedy = "find out which image is right; the image that was stored first stays in the store"
                raise PairingRejected("UID_CONFLICT", found, "one image for each SOP Instance UID", remedy)
        owners = {self.ledger.study_of_image.get(sha) for sha in entry.images.values()} - {None}
        if is_known or owners:
            found = f"pixels that are already in study {min(str(owner) for owner in owners or {entry.study_id})}"
            remedy = "send each image once; to replace a study, remove it from the store first"
            raise PairingRejected("DUPLICATE_IMAGE", found, "each image once, under one patient", remedy)

    def _study(self, loaded: LoadedStudy, entry: Entry) -> Study:
        views = {
            name: StudyView(
                view=name,
                image=f"{name}.npy",
                sha256=entry.images[name],
                shape=(view.image.shape[0], view.image.shape[1]),
                spacing_mm=view.spacing_mm,
                calibration=view.calibration,
                geometry=view.geometry,
                labels=view.labels,
                facts={**view.facts, "instance": entry.instances[name]},
            )
            for name, view in loaded.views.items()
        }
        # The subject id in the file may be a name, so the pseudonym replaces it.
        points = replace(loaded.reconstruction, subject_id=entry.patient) if loaded.reconstruction else None
        return Study(str(entry.study_id), entry.patient, self._source, views, points, loaded.facts)

    def _hash(self, kind: str, identifier: str) -> str:
        return pseudonym(self._key, kind, identifier)


def quarantine_name(pseudonym_key: bytes, source: str, candidate: StudyCandidate) -> str:
    """Name of a candidate's folder in quarantine. With the key and the source, one can find the candidate again."""
    return pseudonym(pseudonym_key, "candidate", f"{source}\0{candidate.key}")


def content_address(loaded: LoadedStudy, images: Mapping[str, str]) -> str:
    """Study id: 16 hex digits of the SHA-256 of the images, labels and 3D points."""
    points = loaded.reconstruction.points if loaded.reconstruction is not None else {}
    content = {
        "images": dict(images),
        "labels": {name: points_to_json(view.labels) for name, view in loaded.views.items()},
        "points": points_to_json(points),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
