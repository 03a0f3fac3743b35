"""The copy that goes into service: the judged files, in a run and a registered model that belong to the promoter.

Contract: if MLflow copies a version, the copy refers to files that the trainer can still overwrite. Therefore the files
themselves are copied, with the verdict and its evidence. A file that runs code when it is loaded is refused.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import GateRefused
from spine.mlmodel import require_own_mlmodel
from spine.model_digest import find_model_folder, model_digest
from spine.storage import sha256_of_tree
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import summarise_verdict
from validation.promotion.promotion_request import PromotionRequest
from validation.promotion.sync import (
    PREPARED,
    STATE_TAG,
    WORKSPACE_TAG,
    Change,
    place_of,
    promotions_experiment,
)
from validation.registry.client import TAG, download, model_altered
from validation.registry.experiments import experiment_of

if TYPE_CHECKING:
    pass

UNSAFE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".py", ".so"})
"""The suffixes of files that run code when they are loaded. A model with such a file is not promoted."""


def copy_judged_bytes(
    change: Change,
    request: PromotionRequest,
    verdict: Verdict,
    evidence: Sequence[Path],
    inspect: Callable[[Path], None],
) -> str:
    """Copy the candidate's files to a run of the promoter, and register the copy. Return the new version.

    Args:
        verdict: the verified verdict, which permits the promotion.
        evidence: the files of the verdict, the policy and the evaluation records.
        inspect: a function that is called with the folder of the downloaded copy before the copy is registered. If it
            raises an exception, nothing is registered.

    Raises:
        GateRefused: CANDIDATE_ADDRESS, CANDIDATE_MISSING, UNSAFE_FILES, MODEL_ALTERED.
        ParametersRejected: ARTIFACTS_ON_ONE_MACHINE.
        EvidenceRejected: MODEL_NOT_FOUND, MODEL_AMBIGUOUS, MODEL_INCOMPLETE, MLMODEL_ALTERED.
    """
    from mlflow.exceptions import MlflowException

    client, model, tags = change.client, change.history.model, tags_of(change, request, verdict)
    with tempfile.TemporaryDirectory() as scratch:
        folder = _download_candidate(change, request, verdict, Path(scratch) / "judged")
        name = f"promotion of {verdict.challenger_model[:12]}"
        experiment = experiment_of(client, promotions_experiment(model), change.history.tracking_uri)
        run = client.create_run(experiment, tags=tags, run_name=name)
        try:
            client.log_artifacts(run.info.run_id, str(folder), "model")
            client.log_artifacts(run.info.run_id, str(_gathered(evidence, Path(scratch) / "evidence")), "evidence")
            back = download(change.history.tracking_uri, f"{run.info.artifact_uri}/model", Path(scratch) / "back")
            _require_same(folder, back)
            inspect(back)
        except BaseException:
            with suppress(MlflowException):  # An error here must not hide the first error.
                client.set_terminated(run.info.run_id, "FAILED")
            raise
        client.set_terminated(run.info.run_id)
    if not change.versions and not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model, description="The model in service; only promotions write here.")
    source, description = f"{run.info.artifact_uri}/model", summarise_verdict(verdict)
    tags |= {STATE_TAG: PREPARED}
    version = client.create_model_version(model, source, run_id=run.info.run_id, tags=tags, description=description)
    return str(version.version)


def _gathered(files: Sequence[Path], folder: Path) -> Path:
    """A folder with copies of the files, each below the name of its own folder."""
    for path in files:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.parent.name / path.name)
    return folder


def tags_of(change: Change, request: PromotionRequest, verdict: Verdict) -> dict[str, str]:
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
    }
    return {TAG + name: value for name, value in tags.items()} | {WORKSPACE_TAG: place_of(change.history)}


def _download_candidate(change: Change, request: PromotionRequest, verdict: Verdict, into: Path) -> Path:
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
        folder = download(change.history.tracking_uri, address, into)
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
    require_own_mlmodel(folder, actual)
    return folder


def _require_same(judged: Path, copied: Path) -> None:
    ours, theirs = sha256_of_tree(judged), sha256_of_tree(copied)
    if ours != theirs:
        raise model_altered(theirs, ours, "the promoter's copy")
