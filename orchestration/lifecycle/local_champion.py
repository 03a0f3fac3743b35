"""The local copy of the champion in a workspace, ready to measure.

Contract: a record beside the copy has the digest of the promoted files, and files with another digest are refused.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.model import Model, load_model
from orchestration.pipeline.workspace import Workspace
from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from spine.storage import write_text_atomically


@dataclass(frozen=True)
class LocalChampion:
    """The promoted version whose files the local copy must have."""

    version: str
    digest: str
    verdict: str


def local_champion(workspace: Workspace) -> LocalChampion | None:
    """The record of the local copy; None before the first promotion."""
    return _read(workspace.champion_record)


def fault_of_local_copy(workspace: Workspace) -> str | None:
    """What is wrong with the local copy's files; None if they match its record, or if there is no copy."""
    record = local_champion(workspace)
    if record is None:
        return None
    try:
        actual = model_digest(workspace.champion)
    except EvidenceRejected as error:
        return f"no complete model: {error.found}"
    return None if actual == record.digest else f"model {actual[:12]}, instead of {record.digest[:12]} as promoted"


def open_champion(workspace: Workspace) -> Model:
    """The champion, ready to measure.

    Raises:
        GateRefused: ``NO_CHAMPION``: nothing was promoted in this workspace.
        EvidenceRejected: ``MODEL_ALTERED``: the files are not the promoted files.
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
            expected="the files that were promoted",
            remedy="fetch the champion again with `plumbline champion`",
        )
    return load_model(workspace.champion)


def previous_local_champion(workspace: Workspace) -> LocalChampion | None:
    """The record of the local copy of the previous champion; None if there is no complete copy."""
    record = _read(workspace.previous_champion / "champion.json")
    try:
        return record if record and model_digest(workspace.previous_champion) == record.digest else None
    except EvidenceRejected:
        return None


def write_record(path: Path, record: LocalChampion) -> None:
    """Write the record of a local copy, if it is not there yet."""
    if _read(path) != record:
        write_text_atomically(path, json.dumps(asdict(record), indent=1))


def _read(path: Path) -> LocalChampion | None:
    return LocalChampion(**json.loads(path.read_text())) if path.exists() else None
