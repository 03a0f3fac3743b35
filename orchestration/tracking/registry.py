"""Look-ups in the workspace's model registry: candidates, authors, the model in service, the history of promotions."""

from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from validation.promotion.champion import open_registry, versions_of
from validation.promotion.champion_record import champion_record_or_none
from validation.promotion.history import last_champion, read_history
from validation.promotion.registry_errors import errors_as_refusals
from validation.promotion.served_copy import author_of


def candidate_with(workspace: Workspace, wanted: str) -> str:
    """Address of the registered candidate with the model digest ``wanted``.

    Raises:
        GateRefused: VERDICT_ABSENT, REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        versions = versions_of(open_registry(workspace.tracking_uri), CANDIDATES_MODEL)
    for version in versions:
        if version.tags.get("plumbline.model_digest") == wanted:
            return f"models:/{CANDIDATES_MODEL}/{version.version}"
    raise no_judged_candidate(f"no registered candidate with the judged digest {wanted[:12]}")


def no_judged_candidate(found: str) -> GateRefused:
    """The error for a promotion without a judged candidate."""
    return GateRefused(
        "VERDICT_ABSENT",
        found=found,
        expected="a candidate that was evaluated, registered and judged",
        remedy="run the pipeline (`plumbline run`), then promote",
    )


def serving_version(workspace: Workspace, digest: str) -> str:
    """The version under which the model with this digest is in service; "" if it is not in service."""
    with errors_as_refusals():
        record = champion_record_or_none(workspace.tracking_uri, PRODUCTION_MODEL)
        serving = record.serving() if record is not None else None
        if serving is not None:
            return serving.version if serving.digest == digest else ""
        last = last_champion(read_history(workspace.promotion_ledger), PRODUCTION_MODEL)
        return last.version if last is not None and last.model_digest == digest else ""


def author_of_model(workspace: Workspace, digest: str) -> str | None:
    """The author of the candidate with this model digest; None if the candidate's run names no author."""
    try:
        address = candidate_with(workspace, digest)
    except GateRefused as refusal:
        if refusal.code != "VERDICT_ABSENT":
            raise
        return None
    return author_of(open_registry(workspace.tracking_uri), address)
