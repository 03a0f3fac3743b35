"""The intake of studies from the workspace's source, the batches in its inbox, and its corrections.

Contract: always, received = used + already present + waiting + quarantined. A batch without its ``COMPLETE`` marker is
not touched. A second intake of the same studies changes nothing. Names of folders and files may identify patients.
These names are found again with the pseudonym key, and never written, also not in an error.

    INTAKE_FAULT    an unforeseen error, without its text, which may quote such a name
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestration.pipeline.batch_files import digest_of_files
from orchestration.pipeline.corrections import correction_figures, ingest_corrections
from orchestration.pipeline.params import Params, read_params
from orchestration.pipeline.step_report import Figure, Row, StepReport
from orchestration.pipeline.text_reader import open_text_reader
from orchestration.pipeline.work import work_of
from orchestration.pipeline.workspace import Workspace
from spine.errors import PairingRejected, ParametersRejected, PlumblineError
from spine.intake.burned_in_text import TextCheck
from spine.intake.complete_marker import COMPLETE
from spine.intake.corrections import CorrectionSource
from spine.intake.ingest import ingest
from spine.intake.intake_ledger import Ledger
from spine.intake.intake_report import IntakeReport
from spine.intake.pseudonym import load_pseudonym_key, pseudonym
from spine.intake.records import FileCount, StudySource
from spine.intake.sources import open_source
from spine.intake.staging import quarantine_name
from spine.storage import write_text_atomically
from spine.study import iterate_study_folders
from spine.types import Progress
from spine.work import Work, place_of_fault

STUDY_COUNTS = ("used", "already present", "waiting", "quarantined")
FILE_COUNTS = ("files used", "files passed over", "files waiting", "files quarantined")
WAITING_TABLE, PASSED_OVER_TABLE = "waiting by reason", "files passed over"

VIRTUAL_KEY = hashlib.sha256(b"plumbline virtual cohort").digest()
"""The public pseudonym key of virtual patients, who need no protection."""


@dataclass(frozen=True)
class Batch:
    """A finished batch in the inbox.

    Attributes:
        folder: the batch's folder in the inbox.
        key: a keyed hash of the folder's name, which may be a patient's, and of the names, sizes and times of its
            files. A batch with a new, corrected or removed file therefore has a new key. Times are in seconds, because
            an archive keeps no nanoseconds and a restored batch must have the same key. Dagster stores the key as
            partition, run key and tag.
    """

    folder: Path
    key: str


@dataclass(frozen=True)
class QuarantinedStudy:
    """A study in quarantine.

    Attributes:
        folder: the study's folder in quarantine.
        origins: (location of the source, name in the source) of the study; empty if no source has the study any more.
        file: name below its location of the file that is the reason; empty if it is not one file.
        code, found, expected, remedy: the same texts as in the study's ``reason.json``.
    """

    folder: Path
    origins: tuple[tuple[Path, str], ...]
    file: str
    code: str
    found: str
    expected: str
    remedy: str


def quarantined_studies(workspace: Workspace, params: Params) -> list[QuarantinedStudy]:
    """All studies in quarantine, ordered by folder name."""
    reasons = sorted(workspace.quarantine.glob("*/reason.json"))
    if not reasons:
        return []
    origins: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    files: dict[str, list[tuple[Path, Path]]] = {}
    try:
        sources = _sources(workspace, params)
    except ParametersRejected:  # the source is gone, but the reasons are known
        sources = _inbox_sources(workspace)
    for location, source, virtual in sources:
        key = _key(workspace, virtual=virtual)
        for candidate in source.contents().candidates:
            batch = location.name if location.parent == workspace.inbox else ""
            name = quarantine_name(key, source.name, candidate, batch)
            origins[name].append((location, candidate.key))
            files[name] = [(file, location) for file in candidate.files]
    records = [(path.parent, json.loads(path.read_text())) for path in reasons]
    parts = ("code", "found", "expected", "remedy")
    return [
        QuarantinedStudy(
            at, tuple(origins[at.name]), _file(at, record, files.get(at.name, [])), *(str(record[p]) for p in parts)
        )
        for at, record in records
    ]


def _file(folder: Path, record: Mapping[str, Any], files: Sequence[tuple[Path, Path]]) -> str:
    """The name below its location of the file that is the reason, unless the files have changed."""
    name = str(record.get("file", ""))
    number = int(name.partition(".")[0]) if name else len(files)
    if number >= len(files):
        return ""
    file, location = files[number]
    same = file.is_file() and file.stat().st_size == (folder / name).stat().st_size
    return str(file.relative_to(location)) if same and file.is_relative_to(location) else ""


@contextmanager
def faults_without_names() -> Iterator[None]:
    """Replace an unforeseen error by ``INTAKE_FAULT``: what Dagster and the logs store of it names no file."""
    try:
        yield
    except PlumblineError as error:
        raise error from None
    except Exception as error:
        kind = type(error).__name__ + (f" ({error.strerror})" if isinstance(error, OSError) else "")
        raise PlumblineError(
            "INTAKE_FAULT",
            found=f"{kind} in {place_of_fault(error)}",
            expected="folders and files that can be read, and space for the studies",
            remedy="check that source and inbox are there, their permissions and the disk; then report a defect",
        ) from None


@faults_without_names()
def finished_batches(workspace: Workspace) -> list[Batch]:
    """Batches in the inbox that have a ``COMPLETE`` marker, oldest first."""
    if not workspace.inbox.is_dir():
        return []
    markers = sorted(workspace.inbox.glob(f"*/{COMPLETE}"), key=_modified)
    if not markers:
        return []
    key = load_pseudonym_key(workspace.pseudonym_key_file)
    return [Batch(m.parent, "batch-" + pseudonym(key, "batch", digest_of_files(m.parent))) for m in markers]


def _modified(file: Path) -> int:
    """Time of the last change in ns; 0 for a file that was removed or cannot be read meanwhile."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def unfinished_batches(workspace: Workspace) -> list[str]:
    """Names of the folders in the inbox without a ``COMPLETE`` marker."""
    if not workspace.inbox.is_dir():
        return []
    finished = {marker.parent for marker in workspace.inbox.glob(f"*/{COMPLETE}")}
    return [entry.name for entry in sorted(workspace.inbox.iterdir()) if entry.is_dir() and entry not in finished]


@faults_without_names()
def ingest_everything(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Take in the studies of the source, of every finished batch, and of every correction."""
    check, work = _text_check(params), work_of(workspace)
    ledger = Ledger(workspace.studies, workspace.quarantine)
    _, source, virtual = _source(workspace, params)
    parts = [_ingest(source, workspace, progress, work, virtual=virtual, check=check, ledger=ledger)]
    for batch in finished_batches(workspace):
        parts.append(_ingest_batch(batch, workspace, progress, work, check, ledger))
        _record_batch(workspace, batch.key, parts[-1])
    keys = (_key(workspace, virtual=False), VIRTUAL_KEY if virtual else None)
    corrections = ingest_corrections(workspace, keys, check, progress, work)
    report = _report([*parts, corrections] if corrections else parts)
    if corrections:
        figures = {**report.figures, **correction_figures(workspace, corrections)}
        report = replace(report, figures=figures)
    if not iterate_study_folders(workspace.studies):
        counts = ", ".join(f"{report.figures[name]} {name}" for name in ("received", "waiting", "quarantined"))
        counts += "".join(f", {row['reason']} {row['studies']}" for row in report.tables.get(WAITING_TABLE, ()))
        raise PairingRejected(
            "NO_STUDIES",
            found=f"no usable study in the source or the inbox ({counts})",
            expected="at least one study",
            remedy="check source.kind and source.location in params.yaml, and the list of `plumbline quarantine`",
        )
    return report


def _sources(workspace: Workspace, params: Params) -> list[tuple[Path, StudySource, bool]]:
    """(location, source, whether its patients are virtual) of the source and of every finished batch."""
    corrected = [(workspace.corrections, CorrectionSource(workspace.corrections), False)]
    return [
        _source(workspace, params),
        *_inbox_sources(workspace),
        *(corrected if workspace.corrections.is_dir() else []),
    ]


def _source(workspace: Workspace, params: Params) -> tuple[Path, StudySource, bool]:
    kind, location = params.source.kind, workspace.root / Path(params.source.location).expanduser()
    if workspace.root.resolve().is_relative_to(location.resolve()):
        raise ParametersRejected(
            "SOURCE_HAS_WORKSPACE",
            found="a source that contains the workspace, whose files would be taken for studies",
            expected="a folder that contains studies only",
            remedy="set source.location to the folder of the studies, or make the workspace elsewhere",
        )
    return location, open_source(kind, location), kind == "virtual"


def _inbox_sources(workspace: Workspace) -> list[tuple[Path, StudySource, bool]]:
    folders = [batch.folder for batch in finished_batches(workspace)]
    return [(folder, open_source("folder", folder), False) for folder in folders]


def is_taken_in(workspace: Workspace, batch: Batch) -> bool:
    """Whether every study of the batch is used, already present or in quarantine, so that none is waiting."""
    return _record_of(workspace, batch.key).exists()


def latest_intake(workspace: Workspace) -> StepReport | None:
    """The report of the last intake, of the source or of a batch; None if there was none."""
    reports = [workspace.reports / "studies.json", *(workspace.state / "batches").glob("*.json")]
    existing = [path for path in reports if path.exists()]
    if not existing:
        return None
    return StepReport(**json.loads(max(existing, key=lambda path: path.stat().st_mtime_ns).read_text()))


def _record_of(workspace: Workspace, key: str) -> Path:
    return workspace.state / "batches" / f"{key}.json"


@faults_without_names()
def ingest_batch(workspace: Workspace, key: str, progress: Progress | None = None) -> StepReport:
    """Take in one finished batch of the inbox; a second call only repeats the report of the first.

    A batch with studies that are not complete yet is read again by a later call.

    Raises:
        PairingRejected: BATCH_GONE.
    """
    done = _record_of(workspace, key)
    if done.exists():
        return StepReport(**json.loads(done.read_text()) | {"skipped": True})
    batches = [batch for batch in finished_batches(workspace) if batch.key == key]
    if not batches:
        raise PairingRejected(
            "BATCH_GONE",
            found=f"no finished batch {key!r} in the inbox",
            expected="the batch that this run was started for",
            remedy="if the batch was corrected or removed on purpose, do nothing; otherwise put it back into the inbox",
        )
    check = _text_check(read_params(workspace.params_file))
    part = _ingest_batch(batches[0], workspace, progress, work_of(workspace), check)
    _record_batch(workspace, key, part)
    return _report([part])


def _ingest_batch(
    batch: Batch,
    workspace: Workspace,
    progress: Progress | None,
    work: Work,
    check: TextCheck | None,
    ledger: Ledger | None = None,
) -> IntakeReport:
    source = open_source("folder", batch.folder)
    return _ingest(source, workspace, progress, work, check=check, batch=batch.folder.name, ledger=ledger)


def _record_batch(workspace: Workspace, key: str, part: IntakeReport) -> None:
    """Record that a batch is taken in, if none of its studies is waiting."""
    if not part.waiting:
        report = _report([part])
        record = {"step": report.step, "figures": report.figures, "tables": report.tables}
        write_text_atomically(_record_of(workspace, key), json.dumps(record))


def _text_check(params: Params) -> TextCheck | None:
    reader = open_text_reader(params.source.text_reader)
    accepted = frozenset(entry.partition(":")[0].strip() for entry in params.source.accepted_text)
    return TextCheck(reader, accepted) if reader is not None else None


def _ingest(
    source: StudySource,
    workspace: Workspace,
    progress: Progress | None,
    work: Work,
    *,
    check: TextCheck | None,
    virtual: bool = False,
    batch: str = "",
    ledger: Ledger | None = None,
) -> IntakeReport:
    return ingest(
        source,
        workspace.studies,
        workspace.quarantine,
        pseudonym_key=_key(workspace, virtual=virtual),
        progress=progress,
        text_check=None if virtual else check,  # the text in images of virtual patients is invented
        batch=batch,
        work=work,
        ledger=ledger,
    )


def _key(workspace: Workspace, *, virtual: bool) -> bytes:
    # With a public key, the same seed of virtual patients gives the same splits in every workspace.
    return VIRTUAL_KEY if virtual else load_pseudonym_key(workspace.pseudonym_key_file)


def _report(parts: list[IntakeReport]) -> StepReport:
    quarantined = Counter(q.code for part in parts for q in part.quarantined)
    waiting = Counter(w.code for part in parts for w in part.waiting)
    files = sum((part.files for part in parts), FileCount())
    figures: dict[str, Figure] = {
        "received": sum(part.received for part in parts),
        "used": sum(part.used for part in parts),
        "already present": sum(part.already_present for part in parts),
        "waiting": sum(waiting.values()),
        "quarantined": sum(quarantined.values()),
        "revisions among the used": sum(part.revised for part in parts),
        "files used": files.used,
        "files passed over": sum(files.passed_over.values()),
        "files waiting": files.waiting,
        "files quarantined": files.quarantined,
    }
    tables: dict[str, list[Row]] = {
        "quarantined by reason": [{"reason": code, "studies": n} for code, n in sorted(quarantined.items())],
        WAITING_TABLE: [{"reason": code, "studies": n} for code, n in sorted(waiting.items())],
        PASSED_OVER_TABLE: [{"kind": kind, "files": n} for kind, n in files.passed_over.items()],
    }
    return StepReport("studies", figures, {title: rows for title, rows in tables.items() if rows})
