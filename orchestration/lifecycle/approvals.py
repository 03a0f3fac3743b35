"""What a human says of a verdict: granting, refusing, and finding the grant a promotion needs.

Contract: the verdict is named by its file or the beginning of its digest, so what is approved is what was read; its
author is read from the registry, never asked for.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import policy_path
from orchestration.pipeline.registry_ownership import require_own_registry
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import author_of_model
from spine.errors import EvidenceRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.gates.verdict import Verdict
    from validation.promotion.approval import Approval, SignOff


def approve_verdict(workspace: Workspace, params: Params, verdict: str, word: "SignOff") -> "Approval":
    """Grant the verdict named by file or digest; raises what ``validation.promotion.approval.grant`` does."""
    from validation.promotion.approval import grant

    return _said(grant, workspace, params, verdict, word)


def reject_verdict(workspace: Workspace, params: Params, verdict: str, word: "SignOff") -> "Approval":
    """Refuse the verdict for good."""
    from validation.promotion.approval import reject

    return _said(reject, workspace, params, verdict, word)


def _said(say: "Callable[..., Path]", workspace: Workspace, params: Params, verdict: str, word: "SignOff") -> "Approval":
    """The record of what is said of a verdict by ``grant`` or ``reject``."""
    from validation.gates.policy import read_policy
    from validation.promotion.approval import read_approval
    from validation.promotion.champion_record import champion_record_or_none
    from validation.promotion.promote import refusing

    require_own_registry(workspace)
    judged = find_verdict(workspace, verdict)
    with errors_as_refusals():
        path = say(
            judged,
            read_policy(policy_path(params, workspace)),
            word,
            author=author_of_model(workspace, judged.challenger_model),
            production_model=PRODUCTION_MODEL,
            folder=workspace.approvals,
            ledger_path=workspace.promotion_ledger,
            at=datetime.now(UTC),
            seat=champion_record_or_none(workspace.tracking_uri, PRODUCTION_MODEL),
        )
    return read_approval(path)


def find_verdict(workspace: Workspace, named: str) -> "Verdict":
    """The verdict in the file ``named``, or of the workspace with a digest that begins so.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING where none or several do, or what reading it raises.
    """
    from validation.gates.verdict import read_verdict

    if Path(named).is_file():
        return read_verdict(Path(named))
    return read_verdict(_beginning(workspace.verdict_file.parent, named, "verdict"))


def find_approval(workspace: Workspace, named: str) -> Path | None:
    """The grant in the file or with the digest ``named``; "": of the latest verdict, the latest that is good now.

    Where none is good, the latest: the gate says why it is not. None where there is none.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING where the named one is not there.
    """
    from validation.gates.verdict import read_verdict
    from validation.promotion.approval import usable_approval, read_approval
    from validation.promotion.history import read_history

    if named:
        return Path(named) if Path(named).is_file() else _beginning(workspace.approvals, named, "approval")
    if not workspace.verdict_file.exists():
        return None
    return usable_approval(
        {path: read_approval(path) for path in workspace.approvals.glob("*.json")},
        read_verdict(workspace.verdict_file),
        production_model=PRODUCTION_MODEL,
        entries=read_history(workspace.promotion_ledger),
        at=datetime.now(UTC),
    )


def _beginning(folder: Path, digest: str, what: str) -> Path:
    found = [p for p in sorted(folder.glob("*.json")) if p.stem.startswith(digest)]
    enough = len(digest) >= _LEAST_OF_A_DIGEST
    if enough and len(found) == 1:
        return found[0]
    raise EvidenceRejected(
        "EVIDENCE_MISSING",
        found=f"{len(found)} {what}s with a digest that begins with {digest!r}"
        if enough
        else f"{digest!r}, which is no file and too short for the beginning of a digest",
        expected="one" if enough else f"at least {_LEAST_OF_A_DIGEST} characters, so that it cannot name another",
        remedy=f"name the {what}'s file, or at least {_LEAST_OF_A_DIGEST} characters of its digest",
    )


_LEAST_OF_A_DIGEST = 8
"""A shorter beginning could come to name another one later."""
