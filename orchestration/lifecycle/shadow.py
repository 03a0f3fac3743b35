"""The challenger of the shadow runs: a registered candidate, fetched and verified."""

from inference.model import Model, load_model
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import DIGEST_TAG
from spine.errors import GateRefused
from spine.storage import locked
from validation.registry.client import fetch_version, open_registry, versions_of
from validation.registry.errors import errors_as_refusals

NEWEST = "newest"


def challenger_model(workspace: Workspace, named: str) -> Model:
    """The registered candidate ``named`` (its version, or ``newest``), ready to measure.

    Raises:
        GateRefused: CANDIDATE_UNKNOWN, MODEL_ALTERED, VERSION_GONE, REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        versions = versions_of(open_registry(workspace.tracking_uri), CANDIDATES_MODEL)
        known = {str(each.version): each for each in versions if each.tags.get(DIGEST_TAG)}
        version = max(known, key=int, default="") if named == NEWEST else named
        if version not in known:
            remedy = "name a version that MLflow lists, or newest"
            found = f"no candidate {named!r} with a model digest"
            raise GateRefused("CANDIDATE_UNKNOWN", found, f"a version of {CANDIDATES_MODEL}", remedy)
        digest, into = str(known[version].tags[DIGEST_TAG]), workspace.challenger
        with locked(into.with_name(f".{into.name}.lock")):
            fetch_version(workspace.tracking_uri, CANDIDATES_MODEL, version, digest, into=into)
            return load_model(into, expected_digest=digest)
