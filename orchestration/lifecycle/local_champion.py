"""The champion's bytes beside the workspace: ready to measure, verified at every use.

Contract: the copy carries the digest it was promoted under; bytes that do not match are refused, never used.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from inference.model import Model
    from validation.promotion.champion import Champion


@dataclass(frozen=True)
class LocalChampion:
    """Which promoted version the local copy is."""

    version: str
    digest: str
    verdict: str


def refresh_local_champion(workspace: Workspace) -> LocalChampion:
    """Fetch the champion's verified bytes from the registry; the record of what they must be is written last.

    Raises:
        GateRefused: the registry's champion is missing, unknown or altered; ROLLBACK_PENDING.
    """
    from validation.promotion.champion import current_champion, fetch_champion
    from validation.promotion.promote import refusing

    _require_nothing_pending(workspace)
    with errors_as_refusals():
        present = current_champion(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
        _keep_previous(workspace, present)
        champion = fetch_champion(workspace.tracking_uri, PRODUCTION_MODEL, into=workspace.champion)
    return write_local_champion(workspace, LocalChampion(champion.version, champion.model_digest, champion.verdict))


def write_local_champion(workspace: Workspace, record: LocalChampion) -> LocalChampion:
    """Say what the local copy must be."""
    write_text_atomically(workspace.champion_record, json.dumps(asdict(record), indent=1))
    return record


def local_champion(workspace: Workspace) -> LocalChampion | None:
    """Which version the local copy is; None before the first promotion."""
    return _read(workspace.champion_record)


def fault_of_local_copy(workspace: Workspace) -> str | None:
    """What is wrong with the bytes of the local copy, None where they are those of its record (or there is none)."""
    record = local_champion(workspace)
    if record is None:
        return None
    try:
        actual = model_digest(workspace.champion)
    except EvidenceRejected as error:
        return f"no whole model: {error.found}"
    return None if actual == record.digest else f"model {actual[:12]}, not {record.digest[:12]} as promoted"


def previous_local_champion(workspace: Workspace) -> LocalChampion | None:
    """Which version the local copy of the previous champion is; None where there is none, or not the whole of it."""
    record = _read(workspace.previous_champion / "champion.json")
    try:
        return record if record and model_digest(workspace.previous_champion) == record.digest else None
    except EvidenceRejected:
        return None


def _read(path: Path) -> LocalChampion | None:
    return LocalChampion(**json.loads(path.read_text())) if path.exists() else None


def _keep_previous(workspace: Workspace, coming: "Champion | None") -> None:
    """Put the local copy aside before another model takes its place."""
    record = local_champion(workspace)
    if record is None or coming is None or coming.model_digest == record.digest or not workspace.champion.exists():
        return
    shutil.rmtree(workspace.previous_champion, ignore_errors=True)
    shutil.copytree(workspace.champion, workspace.previous_champion)
    write_text_atomically(workspace.previous_champion / "champion.json", json.dumps(asdict(record), indent=1))


def _require_nothing_pending(workspace: Workspace) -> None:
    if workspace.rollback_pending.exists():
        raise GateRefused(
            "ROLLBACK_PENDING",
            found="a model that was left while the registry was down, and a registry that does not know",
            expected="a registry that was told",
            remedy="run `plumbline rollback`",
        )


def open_champion(workspace: Workspace) -> "Model":
    """The champion, ready to measure.

    Raises:
        GateRefused: ``NO_CHAMPION``, nothing was promoted in this workspace.
        EvidenceRejected: ``MODEL_ALTERED``, the bytes are not those that were promoted.
    """
    from inference.model import load_model

    record = local_champion(workspace)
    if record is None:
        raise GateRefused(
            "NO_CHAMPION",
            found=f"no promoted model in {workspace.root.name}/",
            expected="a workspace whose gate has promoted a model",
            remedy=f"name another workspace with -w, or a model by hand, e.g. --model {workspace.candidate}",
        )
    if model_digest(workspace.champion) != record.digest:
        raise EvidenceRejected(
            "MODEL_ALTERED",
            found="a local copy of the champion with another digest than was promoted",
            expected="the very bytes the verdict speaks of",
            remedy="fetch it again with `plumbline champion --fetch`",
        )
    return load_model(workspace.champion)
