"""Puts every candidate of a source into the store, or into quarantine with a reason.

Contract: received = used + already present + waiting + quarantined. A report with other counts is refused. One bad
candidate never stops the batch, even if it ends the worker that reads it. A run may be killed at any moment and
repeated. Repeating a finished run changes nothing. Outside quarantine, no identifier is stored. Keyed hashes replace
the identifiers of patients, examinations, images and candidates.

A waiting candidate is read again in every run. A refused candidate is read again if its files have changed or its
quarantine folder was deleted. After a refusal that may be temporary (``intake_ledger.TRANSIENT_CODES``), the candidate
is read again in every run. ``revisions`` decides what becomes of a study that the store has already, in part or in
another version.

Many processes may read and stage the candidates (``staging``). This process alone compares them with the store and
writes the store, the index and quarantine, in the order of the source. The result is therefore byte for byte the same
with any number of workers.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import InputRejected, PairingRejected, StudyWaiting
from spine.intake.burned_in_text import TextCheck
from spine.intake.correction import CORRECTIONS
from spine.intake.intake_ledger import Entry, Ledger, content_address, entry_of_study
from spine.intake.intake_report import IntakeReport, Quarantined, Waiting
from spine.intake.known_views import labels_of_stored, with_known_views
from spine.intake.pairing import check_parts
from spine.intake.records import Contents, FileCount, StudyCandidate, StudySource
from spine.intake.revisions import relation_to_store
from spine.intake.staging import Staged, Staging, staged_in_order
from spine.intake.study_store import (
    change_staged,
    clear_quarantine,
    discard_staged,
    quarantine_candidate,
    read_images,
    reserved,
    shelve_study,
)
from spine.landmarks import ViewName
from spine.study import Study, read_study
from spine.types import Progress
from spine.work import IN_THIS_PROCESS, Work

Images = Mapping[ViewName, NDArray[np.uint16]]


def ingest(
    source: StudySource,
    store: Path,
    quarantine: Path,
    *,
    pseudonym_key: bytes,
    progress: Progress | None = None,
    text_check: TextCheck | None = None,
    batch: str = "",
    simulated_key: bytes | None = None,
    work: Work = IN_THIS_PROCESS,
    ledger: Ledger | None = None,
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
        simulated_key: the key of the identifiers of simulated studies, if it is another one. The text in their images
            is invented and is not read.
        work: where the candidates are read.
        ledger: the index, if the caller takes in several sources one after the other. Otherwise it is read here.

    Raises:
        PlumblineError: ``DISK_FULL`` or ``STORE_BUSY`` (see ``study_store.reserved``).
    """
    with reserved(store) as into:
        contents = source.contents()
        candidates = contents.candidates
        staging = Staging(store, into, (source.name, batch), pseudonym_key, simulated_key, text_check)
        shelving = _Shelving(staging, quarantine, ledger or Ledger(store, quarantine))
        known = dict(shelving.ledger.by_candidate)
        fingerprints = [staging.fingerprint(candidate) for candidate in candidates]
        unknown = [c for c, fingerprint in zip(candidates, fingerprints, strict=True) if fingerprint not in known]
        outcomes: list[tuple[str, Entry]] = []
        # Closed before the staging folder is deleted, so that no task is still writing there.
        with closing(staged_in_order(work, staging, unknown)) as staged:
            for position, (candidate, fingerprint) in enumerate(zip(candidates, fingerprints, strict=True), 1):
                entry = known.get(fingerprint)
                outcomes.append(
                    ("present", entry) if entry else shelving.settle(candidate, next(staged), fingerprint, position)
                )
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


class _Shelving:
    """Moves staged studies into the store or refused candidates into quarantine, and records the outcome."""

    def __init__(self, staging: Staging, quarantine: Path, ledger: Ledger) -> None:
        self.ledger = ledger
        self._staging, self._store, self._quarantine = staging, staging.store, quarantine
        self._source, _ = staging.source

    def settle(
        self, candidate: StudyCandidate, found: Staged | InputRejected, fingerprint: str, position: int
    ) -> tuple[str, Entry]:
        """Shelve or quarantine a candidate; return (``used`` | ``present`` | ``waiting`` | ``quarantined``, entry)."""
        key = self._staging.name(candidate)
        folder, count = self._quarantine / key, len(candidate.files)
        try:
            kind, entry, used = self._accepted(found)
            clear_quarantine(folder)
            files = asdict(used or FileCount(used=count))
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

    def _accepted(self, found: Staged | InputRejected) -> tuple[str, Entry, FileCount | None]:
        if isinstance(found, InputRejected):
            raise found
        try:
            return *self._shelved(found), found.files
        finally:
            discard_staged(found.folder)

    def _shelved(self, staged: Staged) -> tuple[str, Entry]:
        """Shelve a study, alone or with the view of its examination that the store has, unless it is present."""
        amended = self._corrected(staged) if staged.of_study or self._source == CORRECTIONS else None
        entry = entry_of_study(amended.study) if amended else staged.entry
        relation = relation_to_store(entry, self.ledger)
        if relation.kind == "present":
            return "present", relation.studies[0]
        if staged.text is not None:
            raise staged.text
        if relation.kind == "completion":
            completed = self._completed(staged.folder, amended, str(relation.studies[0].study_id))
            if completed is None:
                relation = replace(relation, studies=())
            else:
                amended, entry = completed, entry_of_study(completed.study)
        revises = tuple(str(replaced.study_id) for replaced in relation.studies)
        if amended or revises:
            amended = amended or _Amended(read_study(staged.folder))
            change_staged(staged.folder, replace(amended.study, revises=revises), amended.further)
        shelve_study(self._store, staged.folder, str(entry.study_id))
        return "used", replace(entry, revises=revises)

    def _corrected(self, staged: Staged) -> "_Amended":
        """A study with what the store knows of its images."""
        study = read_study(staged.folder)
        if staged.of_study:
            study = labels_of_stored(study, staged.of_study, self._store)
        return (
            _Amended(*with_known_views(study, self._store, self.ledger))
            if self._source == CORRECTIONS
            else _Amended(study)
        )

    def _completed(self, staged: Path, amended: "_Amended | None", other_id: str) -> "_Amended | None":
        """The study with the view that the store has of its examination, or None if the views do not fit together."""
        amended = amended or _Amended(read_study(staged))
        study, other = amended.study, read_study(self._store / other_id)
        own = {name: view for name, view in study.views.items() if name not in amended.further}
        further = {**amended.further, **read_images(self._store / other_id, other.views)}
        views = {**other.views, **study.views}
        geometries = {name: view.geometry for name, view in views.items() if view.geometry is not None}
        points = study.reconstruction or other.reconstruction
        if points is not None and len(geometries) < len(views):
            return None
        try:
            check_parts({**read_images(staged, own), **further}, geometries, points)
        except PairingRejected:
            return None  # one examination may have images of different parts of the body
        whole = replace(study, views=views, reconstruction=points, facts={**other.facts, **study.facts})
        return _Amended(replace(whole, study_id=content_address(whole)), further)


@dataclass(frozen=True)
class _Amended:
    """A staged study with what the store knows of it, and the (H, W) images that its folder lacks."""

    study: Study
    further: Images = field(default_factory=dict)
