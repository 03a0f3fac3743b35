"""The champion: the registered version in service, and its verified files.

Contract: if the database is known, the champion record decides which version is in service, and an alias at another
version is refused. The promotion tags a version with the digest of its files, and files with another digest are
refused. A missing alias is an error, except in a registry in which no model was ever in service.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import find_model_folder, model_digest
from validation.promotion.champion_record import ServingVersion, champion_record_or_none
from validation.promotion.database import database_exists, registry_unavailable, require_reachable
from validation.promotion.history import last_champion, read_history
from validation.promotion.local_artifacts import require_own_storage
from validation.promotion.new_database import make_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION_ALIAS = "champion"
PREVIOUS_ALIAS = "previous_champion"
TAG = "plumbline."
SERVED_STATES = frozenset({"champion", "previous_champion", "retired", "denied"})
_REPAIR = "run `plumbline history --repair`: it verifies the files and sets the alias, which another program changed"


@dataclass(frozen=True)
class Champion:
    """The model in service.

    Attributes:
        production_model, version, run_id: registered model, version and run in the registry.
        model_digest: ``spine.model_digest.model_digest`` of the model's files.
        verdict: digest of the verdict that permitted the promotion.
        candidate: address of the candidate whose files were copied.
        promoter: the person or program that promoted the model.
        promoted_at: time of the promotion (ISO 8601).
        simulated: whether the model was judged on virtual patients.
    """

    production_model: str
    version: str
    run_id: str
    model_digest: str
    verdict: str
    candidate: str
    promoter: str
    promoted_at: str
    simulated: bool


def current_champion(tracking_uri: str, production_model: str, ledger: Path | None = None) -> Champion | None:
    """The champion; None if no model was ever in service. Reading never creates a database.

    Args:
        ledger: a history. If the history lists a champion, a registry without a champion is an error.

    Raises:
        GateRefused: ``CHAMPION_LOST``: models were in service, but the alias or the whole registry is missing.
            ``CHAMPION_UNKNOWN``: no promotion wrote the version at the alias. ``CHAMPION_MOVED``: the alias is not at
            the version in the champion record. ``REGISTRY_UNAVAILABLE``.
        EvidenceRejected: ``HISTORY_BROKEN``.
    """
    champion = _champion_of_registry(tracking_uri, production_model) if database_exists(tracking_uri) else None
    if champion is None and ledger is not None:
        require_none_lost(ledger, production_model)
    return champion


def require_none_lost(ledger: Path, production_model: str) -> None:
    """Refuse a registry that has no champion although the history lists one.

    Raises:
        GateRefused: ``CHAMPION_LOST``.
        EvidenceRejected: ``HISTORY_BROKEN``.
    """
    last = last_champion(read_history(ledger), production_model)
    if last is None:
        return
    raise GateRefused(
        "CHAMPION_LOST",
        found=f"no champion in the registry's database; the history lists {production_model} version {last.version}",
        expected=f"a database with model {last.model_digest[:12]} as champion",
        remedy="restore the database. If the registry still has this version, run `plumbline history --repair` "
        "instead. To start with a new registry, move the history file away",
    )


def _champion_of_registry(tracking_uri: str, production_model: str) -> Champion | None:
    client = open_registry(tracking_uri)
    version, serving = _alias_and_record(client, tracking_uri, production_model)
    if serving is None:
        if version is not None:
            return champion_from_version(version)
        served = [v for v in versions_of(client, production_model) if v.tags.get(TAG + "state") in SERVED_STATES]
        if served:
            raise _lost(f"{len(served)} version(s) of {production_model} were in service")
        return None
    if not serving.synced:  # A change is in progress or was interrupted. The alias is set after the record.
        version = version_numbered(client, production_model, serving.version)
    if version is None:
        raise _lost(f"version {serving.version} of {production_model} is champion")
    champion = champion_from_version(version)
    if (champion.version, champion.model_digest) != (serving.version, serving.digest):
        raise GateRefused(
            "CHAMPION_MOVED",
            found=f"alias {CHAMPION_ALIAS} at version {champion.version} (model {champion.model_digest[:12]})",
            expected=f"the alias at version {serving.version} (model {serving.digest[:12]}), as in the champion record",
            remedy=_REPAIR,
        )
    return champion


def _alias_and_record(
    client: "MlflowClient", tracking_uri: str, production_model: str
) -> tuple[Any | None, ServingVersion | None]:
    """The version at the alias, and the champion record, as they were at one moment.

    If the record changes while the alias is read, both are read again.
    """
    record = champion_record_or_none(tracking_uri, production_model)
    if record is None:
        return version_of_alias(client, production_model, CHAMPION_ALIAS), None
    while True:
        serving = record.serving()
        version = version_of_alias(client, production_model, CHAMPION_ALIAS)
        if record.serving() == serving:
            return version, serving


def _lost(found: str) -> GateRefused:
    return GateRefused(
        "CHAMPION_LOST",
        found=f"{found}, but the registry lacks the alias `{CHAMPION_ALIAS}` or the version",
        expected="the alias and the version, or a registry in which no model was ever in service",
        remedy=_REPAIR,
    )


def fetch_champion(tracking_uri: str, production_model: str, *, into: Path) -> Champion:
    """Download the champion's model folder to ``into`` and verify it. If ``into`` already has the files, do nothing.

    Raises:
        GateRefused: ``NO_CHAMPION``, ``CHAMPION_LOST``, ``CHAMPION_UNKNOWN``, ``MODEL_ALTERED`` (the files in the
            registry are not the promoted files).
        EvidenceRejected: the registry has no complete model for the champion.
    """
    champion = current_champion(tracking_uri, production_model)
    if champion is None:
        raise GateRefused(
            "NO_CHAMPION",
            found=f"no champion of {production_model}",
            expected="a promoted model",
            remedy="run the pipeline until the gate promotes a model",
        )
    if not _holds(into, champion.model_digest):
        _download_into(tracking_uri, champion, into)
    return champion


def champion_from_version(version: Any) -> Champion:
    """The champion that an MLflow ``ModelVersion`` describes in its tags.

    Raises:
        GateRefused: ``CHAMPION_UNKNOWN``: the version lacks the tags that a promotion writes.
    """
    tags = version.tags
    names = ("model_digest", "verdict", "candidate", "promoter", "promoted_at", "simulated")
    missing = [name for name in names if TAG + name not in tags]
    if missing:
        raise GateRefused(
            "CHAMPION_UNKNOWN",
            found=f"version {version.version} of {version.name} lacks the tags {', '.join(missing)}",
            expected="a version that was written by a promotion",
            remedy=_REPAIR,
        )
    values = {name: tags[TAG + name] for name in names[:-1]}
    return Champion(
        version.name, str(version.version), version.run_id or "", simulated=tags[TAG + "simulated"] == "true", **values
    )


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
        raise registry_unavailable("the database file is missing or empty")
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def version_of_alias(client: "MlflowClient", production_model: str, alias: str) -> Any | None:
    """The MLflow ``ModelVersion`` at an alias; None if the registered model or the alias does not exist."""
    return _found(lambda: client.get_model_version_by_alias(production_model, alias))


def version_numbered(client: "MlflowClient", production_model: str, number: str) -> Any | None:
    """The MLflow ``ModelVersion`` with this number; None if it does not exist."""
    return _found(lambda: client.get_model_version(production_model, number))


def _found(read: Callable[[], Any]) -> Any | None:
    """The result of ``read``; None if MLflow reports that the object does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return read()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def versions_of(client: "MlflowClient", production_model: str) -> list[Any]:
    """All versions of a registered model; empty if the registered model does not exist."""
    return list(client.search_model_versions(f"name = '{production_model}'"))


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


def _download_into(tracking_uri: str, champion: Champion, into: Path) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as scratch:
        address = f"models:/{champion.production_model}/{champion.version}"
        model = find_model_folder(download(tracking_uri, address, Path(scratch)))
        actual = model_digest(model)
        if actual != champion.model_digest:
            raise model_altered(actual, champion.model_digest, f"version {champion.version} in the registry")
        old = Path(scratch) / "replaced"
        if into.exists():
            shutil.move(into, old)  # A plain rename fails if the old copy is on another layer of a container's disk.
        shutil.move(model, into)


def model_altered(actual: str, judged: str, where: str) -> GateRefused:
    """The error for model files that are not the judged files."""
    return GateRefused(
        "MODEL_ALTERED",
        found=f"model digest {actual[:12]} in {where}",
        expected=f"{judged[:12]}, the digest of the judged files",
        remedy="the files changed after they were judged: evaluate and judge them again",
    )


def _holds(folder: Path, digest: str) -> bool:
    try:
        return model_digest(folder) == digest
    except EvidenceRejected:
        return False
