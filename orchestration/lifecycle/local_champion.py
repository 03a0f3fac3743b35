"""The local copy of the champion in a workspace, ready to measure.

Contract: a record beside the copy contains the digest of the promoted bytes. Bytes with another digest are refused.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.model import Model, load_model
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from spine.storage import write_text_atomically
from validation.promotion.champion import Champion, current_champion, fetch_champion
from validation.promotion.registry_errors import errors_as_refusals


@dataclass(frozen=True)
class LocalChampion:
    """The promoted version whose bytes the local copy must have."""

    version: str
    digest: str
    verdict: str


def refresh_local_champion(workspace: Workspace) -> LocalChampion:
    """Fetch the champion's verified bytes from the registry, then write the record beside them.

    Raises:
        GateRefused: the registry's champion is missing, unknown or altered; ROLLBACK_PENDING.
    """
    _require_nothing_pending(workspace)
    with errors_as_refusals():
        present = current_champion(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
        _keep_previous(workspace, present)
        champion = fetch_champion(workspace.tracking_uri, PRODUCTION_MODEL, into=workspace.champion)
    return write_local_champion(workspace, LocalChampion(champion.version, champion.model_digest, champion.verdict))


def write_local_champion(workspace: Workspace, record: LocalChampion) -> LocalChampion:
    """Write the record of the version and the digest that the local copy must have."""
    write_text_atomically(workspace.champion_record, json.dumps(asdict(record), indent=1))
    return record


def local_champion(workspace: Workspace) -> LocalChampion | None:
    """The record of the local copy; None before the first promotion."""
    return _read(workspace.champion_record)


def fault_of_local_copy(workspace: Workspace) -> str | None:
    """What is wrong with the local copy's bytes; None if they match its record, or if there is no copy."""
    record = local_champion(workspace)
    if record is None:
        return None
    try:
        actual = model_digest(workspace.champion)
    except EvidenceRejected as error:
        return f"no complete model: {error.found}"
    return None if actual == record.digest else f"model {actual[:12]}, instead of {record.digest[:12]} as promoted"


def previous_local_champion(workspace: Workspace) -> LocalChampion | None:
    """The record of the local copy of the previous champion; None if there is no complete copy."""
    record = _read(workspace.previous_champion / "champion.json")
    try:
        return record if record and model_digest(workspace.previous_champion) == record.digest else None
    except EvidenceRejected:
        return None


def _read(path: Path) -> LocalChampion | None:
    return LocalChampion(**json.loads(path.read_text())) if path.exists() else None


def _keep_previous(workspace: Workspace, coming: Champion | None) -> None:
    """Keep the local copy as the copy of the previous champion, before another model replaces it."""
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
            found="a local rollback that was not made in the registry",
            expected="the same rollback in the registry",
            remedy="run `plumbline rollback`",
        )


def open_champion(workspace: Workspace) -> Model:
    """The champion, ready to measure.

    Raises:
        GateRefused: ``NO_CHAMPION``: nothing was promoted in this workspace.
        EvidenceRejected: ``MODEL_ALTERED``: the bytes are not the promoted bytes.
    """
    record = local_champion(workspace)
    if record is None:
        raise GateRefused(
            "NO_CHAMPION",
            found=f"no promoted model in {workspace.root.name}/",
            expected="a workspace with a promoted model",
            remedy=f"name another workspace with -w, or a model, e.g. --model {workspace.candidate}",
        )
    if model_digest(workspace.champion) != record.digest:
        raise EvidenceRejected(
            "MODEL_ALTERED",
            found="a local copy of the champion whose digest differs from the digest of the promoted model",
            expected="the bytes that were promoted",
            remedy="fetch the champion again with `plumbline champion --fetch`",
        )
    return load_model(workspace.champion)
