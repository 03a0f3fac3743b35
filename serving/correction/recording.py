"""Writes the decisions of the page as correction records, and finds the newest record of a case.

Contract: the records and radiographs of a case lie in a folder with its name (``spine.intake.correction_record``), from
which intake takes them. A record is only appended. A picture names no patient, so each case of pictures counts as one
patient unless somebody states whose it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.correction.answers import proposed_points
from serving.correction.cases import Case
from serving.correction.requests import GivenDecision
from spine.intake.correction import CorrectedView, Correction, Decision, corrected_view
from spine.intake.correction_record import read_record, record_files, write_correction
from spine.landmarks import ViewName
from spine.radiograph.picture import SIGNATURES
from spine.storage import sha256_of_bytes, sha256_of_image
from spine.study import Points2D

_SUFFIXES = {"PNG": "png", "JPEG": "jpg"}


@dataclass(frozen=True)
class SavedRecord:
    """The newest record of a case: its number, and what it says."""

    number: int
    decision: str
    who: str
    when: str
    points: Mapping[ViewName, Points2D]


@dataclass(frozen=True)
class Recorder:
    """The records in ``folder``, one folder a case."""

    folder: Path

    def save(self, case: Case, given: GivenDecision) -> SavedRecord:
        """Append a record.

        Raises:
            InputRejected: ``CORRECTION_CONFLICT``: somebody wrote a newer record than ``given.after``.
            LabelsRejected: see ``spine.intake.correction``.
        """
        placed = case.proposal is None and given.decision != "rejected"
        decision: Decision = "annotated" if placed else given.decision
        # A view without points says nothing of it: as labels, all its landmarks would count as not visible.
        views = [view for view in case.inputs if given.points.get(view) or decision == "rejected"]
        record = Correction(
            case=case.case_id,
            views={view: _view(case, view, given.points.get(view, {})) for view in views},
            decision=decision,
            who=given.who,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            model_digest=case.model.digest if case.model else None,
            reason=given.reason,
            patient="" if _is_tagged(case) else case.patient or f"case-{case.case_id}",
            study=case.study,
        )
        contents = {view: _content(case, view) for view in views}
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = write_correction(self.folder / case.case_id, record, contents, seen=given.after)
        return _saved(number, record)

    def latest(self, case_id: str) -> SavedRecord | None:
        """The newest record of a case; None if there is none."""
        files = record_files(self.folder / case_id)
        return _saved(max(files), read_record(files[max(files)])) if files else None


def _saved(number: int, record: Correction) -> SavedRecord:
    points = {view: each.points for view, each in record.views.items()}
    when = f"{datetime.fromisoformat(record.when):%Y-%m-%d %H:%M} UTC"
    return SavedRecord(number, record.decision, record.who, when, points)


def _view(case: Case, view: ViewName, points: Points2D) -> CorrectedView:
    content, image = _content(case, view), case.inputs[view].image
    kind = next((_SUFFIXES[name] for start, name in SIGNATURES.items() if content.startswith(start)), "dcm")
    return corrected_view(
        f"{view}.{kind}",
        sha256_of_bytes(content),
        sha256_of_image(image),
        (image.shape[0], image.shape[1]),
        proposed_points(case).get(view, {}),
        points,
        facing=case.facing.get(view),
        spacing_mm=case.files[view].spacing_mm,
    )


def _content(case: Case, view: ViewName) -> bytes:
    content = case.files[view].content
    return content if isinstance(content, bytes) else content.read_bytes()


def _is_tagged(case: Case) -> bool:
    """Whether a tag of the radiographs names the patient."""
    return any(each.radiograph.identity.patient_id for each in case.opened.values())
