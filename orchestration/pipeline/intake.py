"""Taking in studies: the source of the chain and the batches dropped into the inbox.

Contract: received = used + already present + quarantined, always; a batch without its ``COMPLETE`` marker is not
touched; taking in twice changes nothing. Names of folders and radiographs, which may be those of patients, are told to
whoever asks here and has the key; they are written nowhere.
"""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from orchestration.pipeline.params import Params
from orchestration.pipeline.step_report import Figure, StepReport
from orchestration.pipeline.workspace import Workspace
from spine.errors import PairingRejected
from spine.intake.ingest import ingest, quarantine_name
from spine.intake.intake_report import IntakeReport
from spine.intake.pseudonym import load_pseudonym_key
from spine.intake.records import StudySource
from spine.intake.sources import open_source
from spine.storage import write_text_atomically
from spine.types import Progress

COMPLETE = "COMPLETE"

VIRTUAL_KEY = hashlib.sha256(b"plumbline virtual cohort").digest()
"""The public pseudonym key of virtual patients."""


@dataclass(frozen=True)
class Batch:
    """A finished batch in the inbox: its folder and a key of name and marker time, new when corrected."""

    folder: Path
    key: str


@dataclass(frozen=True)
class QuarantinedStudy:
    """A folder of quarantine: why it is there, and what it was called where it came from.

    Attributes:
        folder: in quarantine.
        origins: (location of the source, name within it); empty where the source holds it no longer.
        code, found, expected, remedy: as in its ``reason.json``.
    """

    folder: Path
    origins: tuple[tuple[Path, str], ...]
    code: str
    found: str
    expected: str
    remedy: str


def quarantined_studies(workspace: Workspace, params: Params) -> list[QuarantinedStudy]:
    """Everything in quarantine, in the order of its names."""
    reasons = sorted(workspace.quarantine.glob("*/reason.json"))
    if not reasons:
        return []
    origins: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for location, source, virtual in _sources(workspace, params):
        key = _key(workspace, virtual=virtual)
        for candidate in source.candidates():
            origins[quarantine_name(key, source.name, candidate)].append((location, candidate.key))
    told = [(path.parent, json.loads(path.read_text())) for path in reasons]
    return [
        QuarantinedStudy(
            folder, tuple(origins[folder.name]), *(str(r[k]) for k in ("code", "found", "expected", "remedy"))
        )
        for folder, r in told
    ]


def finished_batches(workspace: Workspace) -> list[Batch]:
    """Batches in the inbox whose marker is there, oldest first."""
    if not workspace.inbox.is_dir():
        return []
    markers = sorted(workspace.inbox.glob(f"*/{COMPLETE}"), key=lambda marker: marker.stat().st_mtime_ns)
    return [Batch(m.parent, f"{m.parent.name}-{m.stat().st_mtime_ns:x}") for m in markers]


def ingest_everything(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Take in the source and every finished batch."""
    parts = [_ingest(s, workspace, progress, virtual=v) for _, s, v in _sources(workspace, params)]
    return _report(parts)


def _sources(workspace: Workspace, params: Params) -> list[tuple[Path, StudySource, bool]]:
    """(location, source, whether its patients are virtual) of the source and every finished batch."""

    kind, location = params.source.kind, location_of(params, workspace)
    batches = [batch.folder for batch in finished_batches(workspace)]
    first = (location, open_source(kind, location), kind == "virtual")
    return [first, *((folder, open_source("folder", folder), False) for folder in batches)]


def ingest_batch(workspace: Workspace, key: str, progress: Progress | None = None) -> StepReport:
    """Take in one finished batch of the inbox, once: a second call repeats the first one's report."""
    done = workspace.state / "batches" / f"{key}.json"
    if done.exists():
        return StepReport(**json.loads(done.read_text()) | {"skipped": True})
    folders = [batch.folder for batch in finished_batches(workspace) if batch.key == key]
    if not folders:
        raise PairingRejected(
            "BATCH_GONE",
            found=f"no finished batch {key!r} in the inbox",
            expected="the batch as it was when its ingest was asked for",
            remedy="it was corrected or removed meanwhile; a corrected batch is taken in under its new key",
        )
    report = _report([_ingest(open_source("folder", folders[0]), workspace, progress)])
    write_text_atomically(done, json.dumps({"step": report.step, "figures": dict(report.figures)}))
    return report


def _ingest(
    source: StudySource, workspace: Workspace, progress: Progress | None, *, virtual: bool = False
) -> IntakeReport:
    key = _key(workspace, virtual=virtual)
    return ingest(source, workspace.studies, workspace.quarantine, pseudonym_key=key, progress=progress)


def _key(workspace: Workspace, *, virtual: bool) -> bytes:
    # Virtual patients have nobody to protect, and the same seed shall give the same splits in every workspace.
    return VIRTUAL_KEY if virtual else load_pseudonym_key(workspace.pseudonym_key_file)


def _report(parts: list[IntakeReport]) -> StepReport:
    reasons = Counter(q.code for part in parts for q in part.quarantined)
    figures: dict[str, Figure] = {
        "received": sum(part.received for part in parts),
        "used": sum(part.used for part in parts),
        "already present": sum(part.already_present for part in parts),
        "quarantined": sum(reasons.values()),
    }
    return StepReport("studies", figures | {f"quarantined: {code}": n for code, n in sorted(reasons.items())})


def location_of(params: Params, workspace: Workspace) -> Path:
    """Where the source lies; relative locations are relative to the workspace."""
    path = Path(params.source.location).expanduser()
    return path if path.is_absolute() else workspace.root / path
