"""The corrections of a workspace: their intake, what became of each, and how many wait for a retraining.

Contract: ``corrections/`` has one folder for each case (``spine.intake.correction_record``). The names of cases may
identify patients: they are printed for a person, and never stored. ``state/corrections.json`` names the records by
their digests.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestration.pipeline.workspace import Workspace
from spine.dataset import read_manifest
from spine.intake.burned_in_text import TextCheck
from spine.intake.correction import CORRECTIONS
from spine.intake.corrections import Case, CorrectionSource, cases
from spine.intake.ingest import ingest
from spine.intake.intake_report import IntakeReport
from spine.intake.records import Contents
from spine.intake.withdrawn import update_withdrawn
from spine.storage import write_text_atomically
from spine.types import Progress
from spine.work import Work
from validation.dataset.build import read_build_record
from validation.dataset.selection import LEFT_OUT_BECAUSE


@dataclass(frozen=True)
class Outcome:
    """What became of one record: the id of its study, or the code of its refusal."""

    study: str | None = None
    code: str = ""


@dataclass(frozen=True)
class ListedCorrection:
    """One case for the list that a person reads.

    Attributes:
        case: name of the case.
        when, decision, who, proposed_by: as in the newest record; empty if it cannot be read.
        state: in which dataset it is used, or why it is not.
        used: whether the present dataset uses it.
    """

    case: str
    when: str
    decision: str
    who: str
    proposed_by: str
    state: str
    used: bool = False


@dataclass(frozen=True)
class _Listed:
    """A source whose contents are read once, so that its report can be matched with its cases."""

    name: str
    found: Contents

    def contents(self) -> Contents:
        return self.found


def ingest_corrections(
    workspace: Workspace,
    keys: tuple[bytes, bytes | None],
    check: TextCheck | None,
    progress: Progress | None,
    work: Work,
) -> IntakeReport | None:
    """Take in the newest record of every case; None without a case.

    ``keys`` are the pseudonym key and, if it is another one, that of simulated studies.
    """
    if not workspace.corrections.is_dir() or not any(workspace.corrections.iterdir()):
        return None
    every = list(cases(workspace.corrections))
    contents = CorrectionSource(workspace.corrections).contents()
    report = ingest(
        _Listed(CORRECTIONS, contents),
        workspace.studies,
        workspace.quarantine,
        pseudonym_key=keys[0],
        simulated_key=keys[1],
        progress=progress,
        text_check=check,
        work=work,
    )
    _record_outcomes(workspace, every, contents, report)
    known = {digest for case in every for digest in (case.digest, *case.former)}
    withdrawn = {digest for case in every if case.decision == "rejected" for digest in case.former}
    update_withdrawn(workspace.studies, known, withdrawn)
    return report


def _record_outcomes(workspace: Workspace, every: Sequence[Case], contents: Contents, report: IntakeReport) -> None:
    digests = {case.folder.name: case.digest for case in every}
    codes = {q.position: q.code for q in report.quarantined}
    waiting = {w.position for w in report.waiting}
    ids = iter(report.study_ids)
    outcomes = _outcomes(workspace)
    for position, candidate in enumerate(contents.candidates, 1):
        if position in waiting:
            continue
        outcome = Outcome(code=codes[position]) if position in codes else Outcome(next(ids))
        if digest := digests.get(candidate.key):
            outcomes[digest] = outcome
    record = {"schema": "plumbline.corrections/1", "records": {d: asdict(o) for d, o in sorted(outcomes.items())}}
    write_text_atomically(_index(workspace), json.dumps(record, indent=1))


def _outcomes(workspace: Workspace) -> dict[str, Outcome]:
    """Digest of a record -> what became of it in the last intake that saw it as the newest one."""
    path = _index(workspace)
    return {d: Outcome(**o) for d, o in json.loads(path.read_text())["records"].items()} if path.is_file() else {}


def _index(workspace: Workspace) -> Path:
    return workspace.state / "corrections.json"


def correction_figures(workspace: Workspace, report: IntakeReport) -> dict[str, int]:
    """The counts of one intake of corrections, for the report of the step; they add up to all cases."""
    rejected = sum(case.decision == "rejected" for case in cases(workspace.corrections))
    counts = {
        "received": report.received + rejected,
        "used": report.used,
        "already present": report.already_present,
        "waiting": len(report.waiting),
        "quarantined": len(report.quarantined),
        "rejected by a person": rejected,
    }
    return {f"corrections {name}": count for name, count in counts.items()}


def waiting_corrections(workspace: Workspace) -> list[str]:
    """Digests of the newest records that the next intake would take in for the first time."""
    unknown = cases(workspace.corrections, known=_outcomes(workspace).keys())
    return [case.digest for case in unknown if case.decision not in (None, "rejected")]


def listed_corrections(workspace: Workspace) -> list[ListedCorrection]:
    """Every case with what became of it, by time."""
    outcomes, places = _outcomes(workspace), _places(workspace)
    listed = []
    for case in cases(workspace.corrections):
        record, outcome = case.record, outcomes.get(case.digest)
        state, used = _state(case, outcome, places)
        fields = (record.when, record.decision, record.who, record.model_digest or "") if record else ("", "", "", "")
        listed.append(ListedCorrection(case.folder.name, *fields, state, used))
    return sorted(listed, key=lambda each: (each.when, each.case))


def _state(case: Case, outcome: Outcome | None, places: Mapping[str, tuple[str, bool]]) -> tuple[str, bool]:
    if case.record is None:
        return "not used: the record cannot be read; `plumbline quarantine` has the reason after the next intake", False
    if case.record.decision == "rejected":
        return "not used: the person rejected the measurement", False
    if outcome is None:
        return "waits for the next intake", False
    if outcome.study is None:
        return f"in quarantine: {outcome.code}", False
    return places.get(outcome.study, ("taken in; the next dataset uses it or names the reason", False))


def _places(workspace: Workspace) -> dict[str, tuple[str, bool]]:
    """Study id -> (where the present dataset has it, or why it leaves it out; whether it has it)."""
    if not (workspace.dataset / "manifest.json").is_file():
        return {}
    manifest = read_manifest(workspace.dataset)
    left_out = read_build_record(workspace.dataset).left_out
    places = {study: (f"not used: {LEFT_OUT_BECAUSE[code]}", False) for study, code in left_out.items()}
    used = f"dataset {manifest.digest[:12]}"
    return places | {e.study_id: (f"used for {e.split} in {used}", True) for e in manifest.index()}
