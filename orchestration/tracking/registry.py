"""Look-ups in the workspace's model registry: candidates, authors, the model in service, the history of promotions."""

from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from validation.promotion.events import State
from validation.promotion.sync import read_state
from validation.registry.client import author_of, open_registry, run_of, versions_of
from validation.registry.errors import errors_as_refusals


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


def history_state(workspace: Workspace) -> State:
    """The state of the workspace's history; raises the errors of ``read_state``."""
    return read_state(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)


def author_of_model(workspace: Workspace, digest: str) -> str | None:
    """The author of the candidate with this model digest; None if the candidate's run names no author."""
    try:
        address = candidate_with(workspace, digest)
    except GateRefused as refusal:
        if refusal.code != "VERDICT_ABSENT":
            raise
        return None
    return author_of(run_of(open_registry(workspace.tracking_uri), address))
