"""The facts of a model's training run in MLflow: code, environment, cost, data and links.

Contract: a fact that is not recorded is None, never guessed. Patients are named by pseudonym only.
"""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.pipeline.names import CANDIDATES_MODEL
from spine.dataset import SPLITS, Manifest
from spine.storage import write_text_atomically
from validation.registry.client import versions_of
from validation.review.changes import PatientFact, RunFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient


PATIENTS_ARTIFACT = "data/patients.json"
IMAGES_TAG, EPOCHS_TAG = "plumbline.training_images", "plumbline.epochs"
DIGEST_TAG = "plumbline.model_digest"
_VERSION_TAG = "plumbline.version."


def candidate_of(client: "MlflowClient", model_digest: str) -> Any | None:
    """The newest registered candidate (an MLflow ``ModelVersion``) with this model digest, or None."""
    found = [v for v in versions_of(client, CANDIDATES_MODEL) if v.tags.get(DIGEST_TAG) == model_digest]
    return max(found, key=lambda v: int(v.version), default=None)


def read_run_facts(client: "MlflowClient", model_digest: str) -> RunFacts:
    """The facts of the run that trained the model with this digest; all unknown if no such candidate is registered."""
    version = candidate_of(client, model_digest)
    if version is None or not version.run_id:
        return RunFacts()
    run = client.get_run(version.run_id)
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    return RunFacts(
        run_id=version.run_id,
        version=str(version.version),
        dagster_run=tags.get("dagster.run_id"),
        commit=_known(tags.get("git.commit")),
        dirty={"true": True, "false": False}.get(tags.get("git.dirty", "")),
        versions={k.removeprefix(_VERSION_TAG): v for k, v in sorted(tags.items()) if k.startswith(_VERSION_TAG)},
        preset=tags.get("plumbline.preset"),
        seed=tags.get("plumbline.seed"),
        device=tags.get("plumbline.device"),
        devices=int(params["devices"]) if params.get("devices", "").isdigit() else None,
        seconds=metrics.get("cost/seconds"),
        epochs=_number(tags.get(EPOCHS_TAG)),
        images=_whole(_number(tags.get(IMAGES_TAG))),
        settings=dict(sorted(params.items())),
        energy=_known(tags.get("plumbline.energy")),
        dataset=tags.get("plumbline.dataset"),
        dvc_version=_known(tags.get("plumbline.dvc_version")),
        patients=_read_patients(client, version.run_id),
    )


def log_data(client: "MlflowClient", run_id: str, manifest: Manifest) -> None:
    """Log the amount of data, and the pseudonym, split and condition of each patient, if the run lacks them."""
    if PATIENTS_ARTIFACT in _listed(client, run_id):
        return
    entries = list(manifest.index())
    for split in SPLITS:
        patients = {e.patient for e in entries if e.split == split}
        client.set_tag(run_id, f"plumbline.{split}_patients", str(len(patients)))
    client.set_tag(run_id, IMAGES_TAG, str(sum(len(e.views) for e in entries if e.split == "train")))
    rows = sorted({(e.patient, e.split, e.condition or "not known") for e in entries})
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / Path(PATIENTS_ARTIFACT).name
        write_text_atomically(file, json.dumps(rows))
        client.log_artifact(run_id, str(file), str(Path(PATIENTS_ARTIFACT).parent))


def _read_patients(client: "MlflowClient", run_id: str) -> tuple[PatientFact, ...]:
    if PATIENTS_ARTIFACT not in _listed(client, run_id):
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(client.download_artifacts(run_id, PATIENTS_ARTIFACT, scratch))
        return tuple(PatientFact(*row) for row in json.loads(file.read_text()))


def _listed(client: "MlflowClient", run_id: str) -> set[str]:
    return {a.path for a in client.list_artifacts(run_id, str(Path(PATIENTS_ARTIFACT).parent))}


def _known(text: str | None) -> str | None:
    return None if text in ("unknown", "none", "not measured") else text


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
