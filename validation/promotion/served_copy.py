"""The copy that goes into service: the judged files, in a run and a registered model that belong to the promoter.

Contract: if MLflow copies a version, the copy refers to files that the trainer can still overwrite. Therefore the files
themselves are copied, with the verdict and its evidence. A file that runs code when it is loaded is refused.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import GateRefused
from spine.model_digest import find_model_folder, model_digest
from spine.storage import sha256_of_tree
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import summarise_verdict
from validation.promotion.champion import TAG, download, model_altered
from validation.promotion.history_length import place_of
from validation.promotion.local_artifacts import experiment_location
from validation.promotion.promotion_request import PromotionRequest

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNSAFE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".py", ".so"})
"""The suffixes of files that run code when they are loaded. A model with such a file is not promoted."""

AUTHOR_TAG = TAG + "author"
HISTORY_TAG = TAG + "history"
"""The tag with the place of a promotion's history. From it, the cleanup recognises the promotions of one history."""

PREPARED = "prepared"
"""The state of a version that is registered and was not in service yet."""

NOT_PROMOTED = "not_promoted"
"""The state of a promotion's run that failed, was killed, or whose version was never in service."""

DEAD_RUNS = frozenset({"FAILED", "KILLED"})


def copy_judged_bytes(
    client: "MlflowClient",
    request: PromotionRequest,
    verdict: Verdict,
    evidence: Sequence[Path],
    inspect: Callable[[Path], None],
) -> str:
    """Copy the candidate's files to a run of the promoter, and register the copy. Return the new version.

    Args:
        verdict: the verified verdict, which permits the promotion.
        evidence: the files of the verdict, the policy, the approval and the evaluation records.
        inspect: a function that is called with the folder of the downloaded copy before the copy is registered. If it
            raises an exception, nothing is registered.

    Raises:
        GateRefused: CANDIDATE_ADDRESS, CANDIDATE_MISSING, CANDIDATE_RUN_DEAD, UNSAFE_FILES, MODEL_ALTERED.
        EvidenceRejected: MODEL_NOT_FOUND, MODEL_AMBIGUOUS, MODEL_INCOMPLETE.
    """
    from mlflow.exceptions import MlflowException

    tags, model = tags_of(request, verdict), request.production_model
    with tempfile.TemporaryDirectory() as scratch:
        folder = _download_candidate(client, request, verdict, Path(scratch) / "judged")
        name = f"promotion of {verdict.challenger_model[:12]}"
        run = client.create_run(_experiment(client, request), tags=tags, run_name=name)
        try:
            client.log_artifacts(run.info.run_id, str(folder), "model")
            for path in evidence:
                client.log_artifact(run.info.run_id, str(path), f"evidence/{path.parent.name}")
            back = download(request.tracking_uri, f"runs:/{run.info.run_id}/model", Path(scratch) / "back")
            _require_same(folder, back)
            inspect(back)
        except BaseException:
            with suppress(MlflowException):  # An error here must not hide the first error.
                client.set_terminated(run.info.run_id, "FAILED")
                tag_run(client, run.info.run_id, NOT_PROMOTED)
            raise
        client.set_terminated(run.info.run_id)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model, description="The model in service; only promotions write here.")
    source, description = f"{run.info.artifact_uri}/model", summarise_verdict(verdict)
    version = client.create_model_version(model, source, run_id=run.info.run_id, tags=tags, description=description)
    return str(version.version)


def tags_of(request: PromotionRequest, verdict: Verdict) -> dict[str, str]:
    """The tags of the promoter's run and of the promoted version."""
    tags = {
        "model_digest": verdict.challenger_model,
        "verdict": verdict.digest,
        "policy": f"{verdict.policy} version {verdict.policy_version}",
        "policy_hash": verdict.policy_hash,
        "test_digest": verdict.test_digest,
        "candidate": request.candidate_uri,
        "evidence": verdict.challenger_evidence or "",
        "previous_digest": verdict.champion_model or "none",
        "promoter": request.promoter,
        "promoted_at": request.at.isoformat(),
        "simulated": str(verdict.simulated).lower(),
        "history": place_of(request.ledger_path),
        "state": PREPARED,
    }
    return {TAG + name: value for name, value in tags.items()}


def tag_run(client: "MlflowClient", run_id: str | None, state: str) -> None:
    """Tag the run of a promotion with the state of its version. The run may be deleted."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        if run_id:
            client.set_tag(run_id, TAG + "state", state)


def promotions_experiment(production_model: str) -> str:
    """The name of the experiment that contains the promoter's runs."""
    return f"{production_model}-promotions"


def author_of(client: "MlflowClient", candidate_uri: str) -> str | None:
    """The candidate's author: the tag ``plumbline.author`` of its run, or else MLflow's user; None without both."""
    from mlflow.exceptions import MlflowException

    kind, _, rest = candidate_uri.partition(":/")
    name, _, version = rest.strip("/").partition("/")
    try:
        run_id = client.get_model_version(name, version).run_id if kind == "models" and version else name
        tags = client.get_run(run_id).data.tags if run_id else {}
    except MlflowException:
        return None
    return tags.get(AUTHOR_TAG) or tags.get("mlflow.user") or None


def _download_candidate(client: "MlflowClient", request: PromotionRequest, verdict: Verdict, into: Path) -> Path:
    """The folder of the downloaded candidate. Its files have the digest of the judged model."""
    from mlflow.exceptions import MlflowException

    address = request.candidate_uri
    if not address.startswith(("models:/", "runs:/")):
        raise GateRefused(
            "CANDIDATE_ADDRESS",
            found=f"the address {address!r}",
            expected="models:/... or runs:/...",
            remedy="use the address of a registered candidate",
        )
    try:
        _require_finished_run(client, address)
        folder = download(request.tracking_uri, address, into)
    except (MlflowException, OSError) as error:
        raise GateRefused(
            "CANDIDATE_MISSING",
            found=f"{address} cannot be downloaded: {str(error)[:200]}",
            expected="the judged candidate",
            remedy="register the candidate again, then promote",
        ) from error
    unsafe = sorted(p.name for p in folder.rglob("*") if p.suffix in UNSAFE_SUFFIXES or p.is_symlink())
    if unsafe:
        raise GateRefused(
            "UNSAFE_FILES",
            found=", ".join(unsafe[:5]),
            expected="only the files of the network, its contract and plain text",
            remedy="register the exported model without code, pickles or symbolic links",
        )
    actual = model_digest(find_model_folder(folder))
    if actual != verdict.challenger_model:
        raise model_altered(actual, verdict.challenger_model, "the candidate")
    return folder


def _require_finished_run(client: "MlflowClient", address: str) -> None:
    """Refuse a candidate whose run failed or was killed. Such a run can register a model before its process ends."""
    name, _, version = address.removeprefix("models:/").partition("/")
    if not address.startswith("models:/") or not version.isdigit():
        return
    run_id = client.get_model_version(name, version).run_id
    status = client.get_run(run_id).info.status if run_id else "FINISHED"
    if status in DEAD_RUNS:
        raise GateRefused(
            "CANDIDATE_RUN_DEAD",
            found=f"run {run_id} did not finish; its status is {status}",
            expected="a run that finished",
            remedy="train again",
        )


def _require_same(judged: Path, copied: Path) -> None:
    ours, theirs = sha256_of_tree(judged), sha256_of_tree(copied)
    if ours != theirs:
        raise model_altered(theirs, ours, "the promoter's copy")


def _experiment(client: "MlflowClient", request: PromotionRequest) -> str:
    name, root = promotions_experiment(request.production_model), request.artifact_root
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    location = f"{root.rstrip('/')}/{name}" if root else experiment_location(request.tracking_uri, name)
    return str(client.create_experiment(name, artifact_location=location))
