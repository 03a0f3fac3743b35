"""Source of corrections: radiographs whose landmarks a person accepted, corrected or set from nothing.

Each folder in the location is one case (``correction_record``). Its newest record becomes one study with the points as
2D labels. A rejected measurement makes no study: its files are counted, and its record keeps the reason.

Contract: the points of a study are those of its newest record, in pixels of the image that intake reads from the same
file. ``facts`` say which model proposed them, what the person decided, with which weight training counts them, and
which record they come from.

    PIXELS_DIFFER         the file is read as another image than the one that was corrected
    PATIENT_ID_MISSING    neither the radiographs nor the record identify the patient
    VIEW_MISMATCH         the file shows another view than the record says
"""

from collections import Counter
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

from spine.errors import InputRejected, LabelsRejected, PairingRejected
from spine.intake.correction import CORRECTIONS, LABEL_WEIGHT, CorrectedView, Correction, Decision
from spine.intake.correction_record import digest_of_record, read_correction, read_record, record_files
from spine.intake.pairing import join_study
from spine.intake.records import Contents, FileCount, LoadedStudy, fingerprint_of
from spine.landmarks import ViewName
from spine.radiograph.orientation import GivenOrientation
from spine.radiograph.picture import is_picture, read_picture
from spine.radiograph.read import Radiograph, read_radiograph
from spine.storage import sha256_of_image

REJECTED = "file of a rejected measurement"
PROPOSED = "file of a case that is no annotation"


@dataclass(frozen=True)
class Case:
    """A folder with at least one record.

    Attributes:
        number: number of the newest record.
        record: the newest record; None if it cannot be read.
        digest: 16 hex digits that name the newest record.
        former: the digests of the other records.
    """

    folder: Path
    number: int
    record: Correction | None
    digest: str
    former: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision | None:
        """What the person decided; None if the record cannot be read."""
        return self.record.decision if self.record else None


@dataclass(frozen=True)
class CorrectionCandidate:
    """One case."""

    folder: Path

    @property
    def key(self) -> str:
        """The name of the case."""
        return self.folder.name

    @property
    def files(self) -> tuple[Path, ...]:
        """The regular files of the case, without hidden ones."""
        return tuple(file for file in sorted(self.folder.iterdir()) if _is_plain(file))

    def fingerprint(self) -> str:
        """Fingerprint of the files of the case."""
        return fingerprint_of(self.files)

    def load(self) -> LoadedStudy:
        """Read the newest record and its radiographs.

        Raises:
            InputRejected: see the head of the module, ``correction_record``, ``read_radiograph`` and ``join_study``.
        """
        record = read_correction(self.folder)
        files = record_files(self.folder)
        read = {view: _read(self.folder / each.file, view, each) for view, each in record.views.items()}
        joined = join_study([_identified(radiograph, record) for radiograph in read.values()], None)
        views = {name: replace(view, labels=record.views[name].points) for name, view in joined.views.items()}
        facts = {
            **joined.facts,
            **({"proposed_by": record.model_digest} if record.model_digest else {}),
            "decision": record.decision,
            "label_weight": LABEL_WEIGHT[record.decision],
            "correction": digest_of_record(files[max(files)]),
        }
        used = len(read) + 1
        passed_over = {"file of an earlier record": len(self.files) - used}
        joined = replace(joined, of_study=record.study)
        return replace(
            joined, views=views, facts=facts, files=FileCount(used, {k: n for k, n in passed_over.items() if n})
        )


@dataclass(frozen=True)
class CorrectionSource:
    """The source of all cases in a location whose newest record has one of the ``decisions``."""

    location: Path
    name: str = CORRECTIONS
    decisions: Set[Decision] = frozenset(LABEL_WEIGHT)

    def contents(self) -> Contents:
        """One candidate for each case that is not rejected. An entry that is no case is a candidate, and is refused."""
        candidates, passed_over = [], Counter[str]()
        for entry in sorted(self.location.iterdir()):
            if not entry.is_dir() or entry.is_symlink():
                passed_over["hidden file" if entry.name.startswith(".") else "other file"] += 1
                continue
            candidate = CorrectionCandidate(entry)
            passed_over["hidden file"] += sum(file.name.startswith(".") for file in entry.iterdir())
            case = _case(entry)
            decision = case.decision if case else None
            if decision is None or decision in self.decisions:
                candidates.append(candidate)
            else:
                passed_over[REJECTED if decision == "rejected" else PROPOSED] += len(candidate.files)
        return Contents(candidates, dict(sorted((+passed_over).items())))


def cases(location: Path, known: Collection[str] = ()) -> Iterator[Case]:
    """Every case in a location, by name; nothing if the location is not there.

    A case whose newest record has one of the digests in ``known`` is left out; its record is not parsed.
    """
    if location.is_dir():
        for entry in sorted(location.iterdir()):
            if entry.is_dir() and not entry.is_symlink() and (case := _case(entry, known)) is not None:
                yield case


def _case(folder: Path, known: Collection[str] = ()) -> Case | None:
    files = record_files(folder)
    if not files:
        return None
    number = max(files)
    digests = [digest_of_record(path) for path in files.values() if _is_plain(path)]
    if digests and digests[-1] in known:
        return None
    try:
        record = read_record(files[number])
    except LabelsRejected:
        record = None
    return Case(folder, number, record, digests[-1] if digests else "", tuple(digests[:-1]))


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and not file.name.startswith(".")


def _read(path: Path, view: ViewName, corrected: CorrectedView) -> Radiograph:
    given = GivenOrientation(view, corrected.facing)
    try:
        if is_picture(path):
            radiograph = read_picture(path, given, corrected.spacing_mm)
        else:
            radiograph = read_radiograph(path, given)
        _require_pixels(radiograph, view, corrected)
    except InputRejected as refusal:
        refusal.file = path
        raise
    return radiograph


def _require_pixels(radiograph: Radiograph, view: ViewName, corrected: CorrectedView) -> None:
    if radiograph.view != view:
        remedy = "correct the view tags, or make a new case"
        raise PairingRejected("VIEW_MISMATCH", f"no {view} radiograph by its tags", f"a {view} radiograph", remedy)
    same = radiograph.image.shape == corrected.shape and sha256_of_image(radiograph.image) == corrected.pixels_sha256
    if not same:
        found = f"a {view} file that is read as another image than the one that was corrected"
        remedy = "measure and correct the file again: its reader has changed since"
        raise InputRejected("PIXELS_DIFFER", found, "the image of the record", remedy)


def _identified(radiograph: Radiograph, record: Correction) -> Radiograph:
    """The radiograph with the record's patient if its file names none."""
    if radiograph.identity.patient_id or not record.patient:
        return radiograph
    return replace(radiograph, identity=replace(radiograph.identity, patient_id=record.patient))
