"""Index of accepted and refused candidates, with which later runs skip known candidates and detect duplicates.

Contract: the store is authoritative, and the index only saves time. An entry whose study folder or quarantine folder is
missing is ignored. If a finished study folder has no entry, an entry is made from the folder. An incomplete last line
is dropped. The index is beside the store (``.<store>-intake/ledger.jsonl``), so the store contains only studies. All
identifiers in the index are keyed hashes.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spine.storage import sha256_of_bytes, write_text_atomically
from spine.study import Points2D, Study, StudyView, iterate_study_folders, read_study

TRANSIENT_CODES = frozenset(
    {"UID_CONFLICT", "DUPLICATE_IMAGE", "FILE_UNREADABLE", "READER_FAULT", "IMAGE_MISSING", "COPY_ABORTED"}
    | {"DECODER_MISSING", "DECODER_KILLED", "READER_KILLED"}
)
"""Codes of refusals that may be temporary: a later run may accept the same, unchanged files."""


@dataclass(frozen=True)
class Entry:
    """The outcome of one candidate.

    Attributes:
        candidate: keyed hash of the candidate's fingerprint.
        study_id: id of the candidate's study in the store, or None if the candidate was quarantined.
        key: keyed hash of the candidate's name; the hash is the name of the quarantine folder.
        patient: pseudonym of the patient.
        instances: view -> keyed hash of the image's identifier.
        images: view -> SHA-256 of the image.
        places: view -> digest of the view's spacing and geometry.
        examination: keyed hash of the examination's identifier, or empty.
        truth: digest of the reconstruction and the labels, or empty without either.
        revises: ids of the studies that the study replaces.
        files: the candidate's files, as in ``FileCount``.
        code, message: code and text of the refusal, if the candidate was quarantined.
    """

    candidate: str
    study_id: str | None = None
    key: str = ""
    patient: str = ""
    instances: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    examination: str = ""
    truth: str = ""
    revises: Sequence[str] = ()
    files: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""


class Ledger:
    """The index of one store and its quarantine.

    Attributes:
        by_candidate: keyed hash of a candidate's fingerprint -> its entry.
        by_study: id of a study in the store -> its entry.
        image_of_instance: keyed hash of an image's identifier -> SHA-256 of the image in the store.
        studies_of_image: SHA-256 of an image -> ids of the studies with this image.
        studies_of_examination: keyed hash of an examination -> ids of its studies.
    """

    def __init__(self, store: Path, quarantine: Path) -> None:
        self._path = intake_folder(store) / "ledger.jsonl"
        self.by_candidate: dict[str, Entry] = {}
        self.by_study: dict[str, Entry] = {}
        self.image_of_instance: dict[str, str] = {}
        self.studies_of_image: dict[str, set[str]] = defaultdict(set)
        self.studies_of_examination: dict[str, set[str]] = defaultdict(set)
        self._replaced: set[str] = set()
        finished = {folder.name for folder in iterate_study_folders(store)}
        refused = {reason.parent.name for reason in quarantine.glob("*/reason.json")}
        for entry in self._read():
            exists = (entry.study_id in finished) if entry.study_id else (entry.key in refused)
            if exists and entry.code not in TRANSIENT_CODES:
                self._index(entry)
        for name in sorted(finished - self.by_study.keys()):
            self._index(_entry_of_folder(store / name))

    def add(self, entry: Entry) -> None:
        """Record the outcome of a candidate, after its study or quarantine folder was written."""
        self._index(entry)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(entry), sort_keys=True) + "\n")

    def latest(self, study_ids: Iterable[str]) -> list[Entry]:
        """The entries of those studies that no other study replaces, by id."""
        return [self.by_study[study_id] for study_id in sorted(set(study_ids) - self._replaced)]

    def _index(self, entry: Entry) -> None:
        if entry.candidate:
            self.by_candidate[entry.candidate] = entry
        if entry.study_id is not None:
            self.by_study[entry.study_id] = entry
            self._replaced.update(entry.revises)
            for sha256 in entry.images.values():
                self.studies_of_image[sha256].add(entry.study_id)
            if entry.examination:
                self.studies_of_examination[entry.examination].add(entry.study_id)
            self.image_of_instance |= {i: entry.images[view] for view, i in entry.instances.items()}

    def _read(self) -> list[Entry]:
        if not self._path.is_file():
            return []
        text = self._path.read_text(encoding="utf-8")
        entries = []
        for line in text.splitlines():
            try:
                entries.append(Entry(**json.loads(line)))
            except (json.JSONDecodeError, TypeError):
                # A killed run may leave an incomplete last line; its candidate is read again.
                continue
        if not text.endswith("\n"):
            write_text_atomically(self._path, "".join(json.dumps(asdict(e), sort_keys=True) + "\n" for e in entries))
        return entries


def intake_folder(store: Path) -> Path:
    """The folder that contains the index and the lock of a store."""
    return store.parent / f".{store.name}-intake"


def _entry_of_folder(folder: Path) -> Entry:
    """An entry for a study folder that has no entry, because its run was killed or the index was lost."""
    return entry_of_study(read_study(folder))


def entry_of_study(study: Study) -> Entry:
    """The entry of a study, without the candidate that it came from."""
    return Entry(
        candidate="",
        study_id=study.study_id,
        patient=study.patient,
        instances={name: view.facts["instance"] for name, view in study.views.items() if "instance" in view.facts},
        images={name: view.sha256 for name, view in study.views.items()},
        places={name: _digest(_place(view)) for name, view in study.views.items()},
        examination=next((str(v.facts["examination"]) for v in study.views.values() if "examination" in v.facts), ""),
        truth=_truth(study),
        revises=study.revises,
    )


def content_address(study: Study) -> str:
    """Study id: 16 hex digits of the SHA-256 of the images, their places, the labels and the 3D points."""
    images = {name: [view.sha256, _place(view)] for name, view in study.views.items()}
    return _digest({"images": images, "truth": _truth(study)})[:16]


def _place(view: StudyView) -> list[Any]:
    return [view.spacing_mm, view.calibration, asdict(view.geometry) if view.geometry is not None else None]


def _truth(study: Study) -> str:
    """SHA-256 of the names and coordinates of the 3D points and the labels; empty without either."""
    groups: dict[str, Points2D] = {name: view.labels for name, view in study.views.items() if view.labels}
    if study.reconstruction is not None:
        groups |= {"reconstruction": study.reconstruction.points}
    if not any(groups.values()):
        return ""
    # Each record of a correction is a study of its own: a person may return to the points of an earlier record.
    digest = hashlib.sha256(str(study.facts.get("correction", "")).encode())
    for group, points in sorted(groups.items()):
        for name in sorted(points):
            digest.update(f"{group}\0{name}\0".encode() + np.asarray(points[name], dtype="<f8").tobytes())
    return digest.hexdigest()


def _digest(content: Any) -> str:
    return sha256_of_bytes(json.dumps(content, sort_keys=True).encode())
