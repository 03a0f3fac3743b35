"""MLflow's registry: opens it without global state, reads versions, downloads and verifies their files."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import find_model_folder, model_digest
from validation.registry.database import database_exists, database_missing, require_reachable
from validation.registry.local_artifacts import require_own_storage
from validation.registry.new_database import make_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
TAG = "plumbline."
"""The beginning of all tags that Plumbline writes."""


def open_registry(tracking_uri: str, *, make: bool = False) -> "MlflowClient":
    """A client of the tracking store and registry at ``tracking_uri``. It sets no global state.

    Args:
        make: whether MLflow may create a missing database. Only the first writer sets this to True.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the database file is missing or damaged.
    """
    from mlflow import MlflowClient

    require_reachable(tracking_uri)
    if make:
        make_database(tracking_uri)
    elif not database_exists(tracking_uri):
        raise database_missing(tracking_uri)
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def version_of_alias(client: "MlflowClient", model: str, alias: str) -> Any | None:
    """The MLflow ``ModelVersion`` at an alias; None if the registered model or the alias does not exist."""
    return _found(lambda: client.get_model_version_by_alias(model, alias))


def aliases_of(client: "MlflowClient", model: str) -> dict[str, str]:
    """Alias -> version of a registered model; empty if the registered model does not exist."""
    registered = _found(lambda: client.get_registered_model(model))
    return {str(alias): str(version) for alias, version in registered.aliases.items()} if registered else {}


def version_gone(model: str, version: str) -> GateRefused:
    """The error for a version that was in service, and whose entry or files the registry has lost."""
    return GateRefused(
        "VERSION_GONE",
        found=f"version {version} of {model}, which was in service, is not in the registry, or has other files there",
        expected="the promoted version with its files",
        remedy="restore the registry from a backup. If it is the champion, `plumbline rollback` returns to an earlier "
        "version",
    )


def _found(read: Callable[[], Any]) -> Any | None:
    """The result of ``read``; None if MLflow reports that the object does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return read()
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def versions_of(client: "MlflowClient", model: str) -> list[Any]:
    """All versions of a registered model; empty if the registered model does not exist."""
    return list(client.search_model_versions(f"name = '{model}'"))


def run_of(client: "MlflowClient", candidate_uri: str) -> Any | None:
    """The MLflow run behind the address of a version or of a run's model; None if there is none."""
    from mlflow.exceptions import MlflowException

    kind, _, rest = candidate_uri.partition(":/")
    name, _, version = rest.strip("/").partition("/")
    try:
        run_id = client.get_model_version(name, version).run_id if kind == "models" and version else name
        return client.get_run(run_id) if run_id else None
    except MlflowException:
        return None


def author_of(run: Any | None) -> str | None:
    """The author of a run: the tag ``plumbline.author``, or else MLflow's user; None without both."""
    tags = run.data.tags if run is not None else {}
    return tags.get(TAG + "author") or tags.get("mlflow.user") or None


def download(tracking_uri: str, address: str, into: Path) -> Path:
    """Download the artefacts at a ``models:/`` or ``runs:/`` address to a folder below ``into``. Return the folder.

    Raises:
        GateRefused: ADDRESS_ELSEWHERE: the address leads to another host.
    """
    from mlflow.artifacts import download_artifacts

    client = open_registry(tracking_uri)
    stored = _stored_at(client, address)
    is_of_run = stored.startswith("runs:/")
    require_own_storage(client.get_run(stored.split("/")[1]).info.artifact_uri if is_of_run else stored)
    return Path(download_artifacts(artifact_uri=stored, dst_path=str(into), tracking_uri=tracking_uri))


def _stored_at(client: "MlflowClient", address: str) -> str:
    """The storage address behind a ``models:/`` address. MLflow 3.17 would look it up in the global registry."""
    if not address.startswith("models:/"):
        return address
    name, _, version = address.removeprefix("models:/").strip("/").partition("/")
    if version:
        return _stored_at(client, client.get_model_version_download_uri(name, version))
    if "@" in name:
        name, _, alias = name.partition("@")
        return _stored_at(client, f"models:/{name}/{client.get_model_version_by_alias(name, alias).version}")
    return str(client.get_logged_model(name).artifact_location)


def fetch_version(tracking_uri: str, model: str, version: str, digest: str, *, into: Path) -> None:
    """Download the files of a version to the folder ``into`` and verify them. Do nothing if they are there already.

    The caller has locked ``into``. What a killed download left beside it is removed.

    Raises:
        GateRefused: VERSION_GONE; MODEL_ALTERED: the files in the registry have another digest; ADDRESS_ELSEWHERE.
        EvidenceRejected: the registry has no complete model for this version.
    """
    from mlflow.exceptions import MlflowException

    into.parent.mkdir(parents=True, exist_ok=True)
    for left in into.parent.glob(f".{into.name}.*/"):
        shutil.rmtree(left)
    if _has(into, digest):
        return
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as scratch:
        try:
            folder = find_model_folder(download(tracking_uri, f"models:/{model}/{version}", Path(scratch)))
        except MlflowException as error:
            if error.error_code in _ABSENT:
                raise version_gone(model, version) from error
            raise
        actual = model_digest(folder)
        if actual != digest:
            raise model_altered(actual, digest, f"version {version} in the registry")
        old = Path(scratch) / "replaced"
        if into.exists():
            shutil.move(into, old)  # A plain rename fails if the old copy is on another layer of a container's disk.
        shutil.move(folder, into)


def model_altered(actual: str, judged: str, where: str) -> GateRefused:
    """The error for model files that are not the judged files."""
    return GateRefused(
        "MODEL_ALTERED",
        found=f"model digest {actual[:12] or 'none'} in {where}",
        expected=f"{judged[:12]}, the digest of the judged files",
        remedy="the files changed after they were judged: restore them from a backup, or evaluate and judge them again",
    )


def _has(folder: Path, digest: str) -> bool:
    try:
        return model_digest(folder) == digest
    except EvidenceRejected:
        return False
