"""Taking in studies: the source of the chain and the batches dropped into the inbox.

What belongs here: which folders are taken in, and the count over all of them. What does not: how a study is
read or refused (``spine.intake``). Contract: received = used + already present + quarantined, always; a batch
without its ``COMPLETE`` marker is not touched; taking in twice changes nothing.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from orchestration.chain.params import Params
from orchestration.chain.report import Figure, Progress, StepReport
from orchestration.chain.workspace import Workspace
from spine.errors import PairingRejected
from spine.intake.ingest import ingest
from spine.intake.pseudonym import load_pseudonym_key
from spine.intake.report import IntakeReport
from spine.intake.sources import StudySource, open_source
from spine.storage import write_text_atomically

COMPLETE = "COMPLETE"

VIRTUAL_KEY = hashlib.sha256(b"plumbline virtual cohort").digest()
"""The public pseudonym key of virtual patients."""


@dataclass(frozen=True)
class Batch:
    """A finished batch in the inbox: its folder and a key of name and marker time, new when corrected."""

    folder: Path
    key: str


def finished_batches(workspace: Workspace) -> list[Batch]:
    """Batches in the inbox whose marker is there, oldest first."""
    if not workspace.inbox.is_dir():
        return []
    markers = sorted(workspace.inbox.glob(f"*/{COMPLETE}"), key=lambda marker: marker.stat().st_mtime_ns)
    return [Batch(m.parent, f"{m.parent.name}-{m.stat().st_mtime_ns:x}") for m in markers]


def ingest_everything(workspace: Workspace, params: Params, progress: Progress | None) -> StepReport:
    """Take in the source and every finished batch."""
    from orchestration.chain.steps import location_of

    sources = [open_source(params.source.kind, location_of(params, workspace))]
    sources += [open_source("folder", batch.folder) for batch in finished_batches(workspace)]
    virtual = [params.source.kind == "virtual", *[False] * (len(sources) - 1)]
    parts = [_ingest(s, workspace, progress, virtual=v) for s, v in zip(sources, virtual, strict=True)]
    return _report(parts)


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
    # Virtual patients have nobody to protect, and the same seed shall give the same splits in every workspace.
    key = VIRTUAL_KEY if virtual else load_pseudonym_key(workspace.pseudonym_key_file)
    return ingest(source, workspace.studies, workspace.quarantine, pseudonym_key=key, progress=progress)


def _report(parts: list[IntakeReport]) -> StepReport:
    reasons = Counter(q.code for part in parts for q in part.quarantined)
    figures: dict[str, Figure] = {
        "received": sum(part.received for part in parts),
        "used": sum(part.used for part in parts),
        "already present": sum(part.already_present for part in parts),
        "quarantined": sum(reasons.values()),
    }
    return StepReport("studies", figures | {f"quarantined: {code}": n for code, n in sorted(reasons.items())})
