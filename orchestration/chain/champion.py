"""The champion's bytes beside the workspace: ready to measure, verified at every use.

What belongs here: the local copy that ``plumbline measure`` opens without asking a registry. What does not:
which version is champion (``validation.gates.promotion`` alone moves the alias). Contract: the copy carries
the digest it was promoted under; bytes that do not match are refused, never used.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.chain.workspace import Workspace
from spine.errors import EvidenceRejected, ParametersRejected
from spine.model_digest import model_digest
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from inference.model import Model

RECORD = "champion.json"


@dataclass(frozen=True)
class LocalChampion:
    """Which promoted version the local copy is."""

    version: str
    digest: str
    verdict_digest: str


def keep_champion(workspace: Workspace, source: Path, champion: LocalChampion) -> None:
    """Replace the local copy with the promoted bytes in ``source`` (a folder), record last, by renaming."""
    fresh = workspace.state / "champion.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh, ignore=shutil.ignore_patterns("checkpoints", "journal*", "history*"))
    if model_digest(fresh) != champion.digest:
        raise _altered("the promoted bytes")
    write_text_atomically(fresh / RECORD, json.dumps(asdict(champion), indent=1))
    stale = workspace.state / "champion.old"
    shutil.rmtree(stale, ignore_errors=True)
    if workspace.champion.exists():
        workspace.champion.rename(stale)
    fresh.rename(workspace.champion)
    shutil.rmtree(stale, ignore_errors=True)


def local_champion(workspace: Workspace) -> LocalChampion | None:
    """Which version the local copy is; None before the first promotion."""
    path = workspace.champion / RECORD
    return LocalChampion(**json.loads(path.read_text())) if path.exists() else None


def open_champion(workspace: Workspace) -> "Model":
    """The champion, ready to measure.

    Raises:
        ParametersRejected: ``NO_CHAMPION``, nothing was promoted in this workspace.
        EvidenceRejected: ``MODEL_ALTERED``, the bytes are not those that were promoted.
    """
    from inference.model import load_model

    record = local_champion(workspace)
    if record is None:
        raise ParametersRejected(
            "NO_CHAMPION",
            found=f"no promoted model in {workspace.root.name}/",
            expected="a workspace whose gate has promoted a model",
            remedy="run `plumbline demo`, name another with --workspace, or a model folder with --model",
        )
    if model_digest(workspace.champion) != record.digest:
        raise _altered("the champion's local copy")
    return load_model(workspace.champion)


def _altered(what: str) -> EvidenceRejected:
    return EvidenceRejected(
        "MODEL_ALTERED",
        found=f"{what} with another digest than was judged",
        expected="the very bytes the verdict speaks of",
        remedy="promote again from the registry with `plumbline promote`",
    )
