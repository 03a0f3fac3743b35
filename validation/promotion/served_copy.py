"""The served copy: the bytes that were judged, under the promoter's own run and registered model.

Contract: a registry's own "copy" is a pointer to files the trainer can still overwrite; here the bytes are copied,
together with the verdict and the records they rest on, and nothing that runs code when it is loaded comes along.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import GateRefused
from spine.model_digest import find_model_folder, model_digest
from spine.storage import sha256_of_tree
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import summarise_verdict
from validation.promotion.champion import TAG, altered, download

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNSAFE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".py", ".so"})
"""Files that run code when they are loaded; a model that brings any is not promoted."""

AUTHOR_TAG = TAG + "author"
HISTORY_TAG = TAG + "history"
"""Into which history a promotion writes: by it one that died is told from one that is under way elsewhere."""

PREPARED = "prepared"
"""State of a version that was registered and has not served."""
DEAD_RUNS = frozenset({"FAILED", "KILLED"})


@dataclass(frozen=True)
class Order:
    """What is to be copied, from where to where, and by whom.

    Attributes:
        verdict: PROMOTE, verified; evidence: the files it rests on, itself among them.
        tracking_uri, candidate_uri, production_model, artifact_root, promoter, at: as in ``promotion.promote``.
        history: where the history lies (``anchor.place_of``).
    """

    verdict: Verdict
    evidence: Sequence[Path]
    tracking_uri: str
    candidate_uri: str
    production_model: str
    promoter: str
    at: datetime
    artifact_root: str | None
    history: str

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run and the version: what they rest on."""
        verdict = self.verdict
        facts = {
            "model_digest": verdict.challenger_model,
            "verdict": verdict.digest,
            "policy": f"{verdict.policy} version {verdict.policy_version}",
            "policy_hash": verdict.policy_hash,
            "test_digest": verdict.test_digest,
            "candidate": self.candidate_uri,
            "evidence": verdict.challenger_evidence or "",
            "previous_digest": verdict.champion_model or "none",
            "promoter": self.promoter,
            "promoted_at": self.at.isoformat(),
            "simulated": str(verdict.simulated).lower(),
            "history": self.history,
            "state": PREPARED,
        }
        return {TAG + name: value for name, value in facts.items()}


def copy_judged_bytes(client: "MlflowClient", order: Order, inspect: Callable[[Path], None]) -> str:
    """Copy the candidate's files into a run of the promoter and register that copy; the new version.

    Args:
        inspect: called with the copy's folder, read back, before it is registered; what it raises ends it.

    Raises:
        GateRefused: CANDIDATE_ADDRESS, CANDIDATE_MISSING, CANDIDATE_RUN_DEAD, UNSAFE_FILES, MODEL_ALTERED.
        EvidenceRejected: MODEL_NOT_FOUND, MODEL_AMBIGUOUS, MODEL_INCOMPLETE.
    """
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        folder = _candidate(client, order, Path(scratch) / "judged")
        run = client.create_run(
            _experiment(client, order), tags=order.tags, run_name=f"promotion of {order.verdict.challenger_model[:12]}"
        )
        try:
            client.log_artifacts(run.info.run_id, str(folder), "model")
            for path in order.evidence:
                client.log_artifact(run.info.run_id, str(path), f"evidence/{path.parent.name}")
            back = download(order.tracking_uri, f"runs:/{run.info.run_id}/model", Path(scratch) / "back")
            _require_same(folder, back)
            inspect(back)
        except BaseException:
            with suppress(MlflowException):  # where the registry is gone, the reason it went for is the one to tell
                client.set_terminated(run.info.run_id, "FAILED")
            raise
        client.set_terminated(run.info.run_id)
    if not client.search_registered_models(f"name = '{order.production_model}'"):
        client.create_registered_model(order.production_model, description="What serves; written by promotion alone.")
    version = client.create_model_version(
        order.production_model,
        f"{run.info.artifact_uri}/model",
        run_id=run.info.run_id,
        tags=order.tags,
        description=summarise_verdict(order.verdict),
    )
    return str(version.version)


def promotions_experiment(production_model: str) -> str:
    """Name of the experiment that holds the promoter's runs."""
    return f"{production_model}-promotions"


def author_of(client: "MlflowClient", candidate_uri: str) -> str | None:
    """Who made the candidate: its run's tag ``plumbline.author``, or MLflow's user; None where neither is known."""
    from mlflow.exceptions import MlflowException

    kind, _, rest = candidate_uri.partition(":/")
    name, _, version = rest.strip("/").partition("/")
    try:
        run_id = client.get_model_version(name, version).run_id if kind == "models" and version else name
        tags = client.get_run(run_id).data.tags if run_id else {}
    except MlflowException:
        return None
    return tags.get(AUTHOR_TAG) or tags.get("mlflow.user") or None


def _candidate(client: "MlflowClient", order: Order, into: Path) -> Path:
    """The candidate's files, downloaded and found to be those that were judged."""
    from mlflow.exceptions import MlflowException

    address = order.candidate_uri
    if not address.startswith(("models:/", "runs:/")):
        raise _refused("CANDIDATE_ADDRESS", f"the address {address!r}", "models:/... or runs:/...", "name a candidate")
    try:
        _require_living_run(client, address)
        folder = download(order.tracking_uri, address, into)
    except (MlflowException, OSError) as error:
        found = f"{address}, which cannot be fetched: {str(error)[:200]}"
        raise _refused("CANDIDATE_MISSING", found, "the judged candidate", "register it again, then promote") from error
    unsafe = sorted(p.name for p in folder.rglob("*") if p.suffix in UNSAFE_SUFFIXES or p.is_symlink())
    if unsafe:
        remedy = "register the exported model without code, pickles or links"
        raise _refused("UNSAFE_FILES", ", ".join(unsafe[:5]), "a network, its contract, plain text", remedy)
    actual = model_digest(find_model_folder(folder))
    if actual != order.verdict.challenger_model:
        raise altered(actual, order.verdict.challenger_model, "the candidate")
    return folder


def _require_living_run(client: "MlflowClient", address: str) -> None:
    """A run marked as failed or killed may still have registered a model before its process ended."""
    name, _, version = address.removeprefix("models:/").partition("/")
    if not address.startswith("models:/") or not version.isdigit():
        return
    run_id = client.get_model_version(name, version).run_id
    status = client.get_run(run_id).info.status if run_id else "FINISHED"
    if status in DEAD_RUNS:
        remedy = "train again; a run that was given up does not promote"
        raise _refused("CANDIDATE_RUN_DEAD", f"run {run_id} with status {status}", "a run that finished", remedy)


def _require_same(judged: Path, copied: Path) -> None:
    ours, theirs = sha256_of_tree(judged), sha256_of_tree(copied)
    if ours != theirs:
        raise altered(theirs, ours, "the promoter's copy, read back")


def _experiment(client: "MlflowClient", order: Order) -> str:
    name, root = promotions_experiment(order.production_model), order.artifact_root
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    if root is None and order.tracking_uri.startswith("sqlite:///"):
        # MLflow would put it below the working directory of whoever happens to promote.
        root = (Path(order.tracking_uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=f"{root.rstrip('/')}/{name}" if root else None))


def _refused(code: str, found: str, expected: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected=expected, remedy=remedy)
