"""Who serves: reading the registry's ``champion`` and fetching its bytes, verified.

Contract: the seat says who is champion, where the registry is a database; an alias that says something else is
refused, not followed. A champion has a digest, recorded as a tag when it was promoted; bytes that do not have it are
refused, never served. "There is no champion" is said only of a registry in which there never was one: a lost alias is
an error that names its remedy.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import GateRefused
from spine.model_digest import find_model_folder, model_digest
from validation.promotion.champion_record import ServingVersion, champion_record_or_none
from validation.promotion.database import exists, unavailable
from validation.promotion.history import last_champion, read_history

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION_ALIAS = "champion"
PREVIOUS_ALIAS = "previous_champion"
TAG = "plumbline."
SERVED_STATES = frozenset({"champion", "previous_champion", "retired", "denied"})
_REPAIR = "somebody else moved it: `plumbline history --repair` sets it back after verifying the bytes"


@dataclass(frozen=True)
class Champion:
    """The model that serves.

    Attributes:
        production_model, version, run_id: in the registry.
        model_digest: ``spine.model_digest.model_digest`` of its bytes.
        verdict: digest of the verdict that let it in.
        candidate: address it was copied from.
        promoter, promoted_at: who, and when (ISO 8601).
        simulated: whether it was judged on virtual patients.
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
    """The champion, or None where there never was one; reading makes no database where there is none.

    Args:
        ledger: a history that may know of a champion where the registry knows none.

    Raises:
        GateRefused: ``CHAMPION_LOST``: models have served, but the alias is gone, or the whole registry;
            ``CHAMPION_UNKNOWN``: the alias points at a version that was not written by a promotion;
            ``CHAMPION_MOVED``: it is not at the version that was promoted last; ``REGISTRY_UNAVAILABLE``.
        EvidenceRejected: ``HISTORY_BROKEN``.
    """
    champion = _champion_of_registry(tracking_uri, production_model) if exists(tracking_uri) else None
    last = last_champion(read_history(ledger), production_model) if champion is None and ledger is not None else None
    if last is not None:
        raise lost_registry(last.version, last.model_digest, production_model)
    return champion


def lost_registry(version: str, digest: str, production_model: str) -> GateRefused:
    """The refusal of a registry that knows no champion though the history knows one."""
    return GateRefused(
        "CHAMPION_LOST",
        found=f"no champion in the registry's database, {production_model} version {version} in the history",
        expected=f"the database that knows model {digest[:12]}",
        remedy="restore the database, or `plumbline history --repair` where the registry still holds that version; "
        "for a registry that is new on purpose move the history away first",
    )


def _champion_of_registry(tracking_uri: str, production_model: str) -> Champion | None:
    client = open_registry(tracking_uri)
    version, holder = _alias_and_seat(client, tracking_uri, production_model)
    if holder is None:
        if version is not None:
            return champion_from_version(version)
        served = [v for v in versions_of(client, production_model) if v.tags.get(TAG + "state") in SERVED_STATES]
        if served:
            raise _lost(f"{len(served)} version(s) of {production_model} that have served")
        return None
    if not holder.mirrored:  # a move under way or cut off: the seat has decided, the alias follows
        version = version_numbered(client, production_model, holder.version)
    if version is None:
        raise _lost(f"version {holder.version} of {production_model} as champion")
    champion = champion_from_version(version)
    if (champion.version, champion.model_digest) != (holder.version, holder.digest):
        raise GateRefused(
            "CHAMPION_MOVED",
            found=f"alias {CHAMPION_ALIAS} at version {champion.version} (model {champion.model_digest[:12]})",
            expected=f"version {holder.version} (model {holder.digest[:12]}), which was promoted last",
            remedy=_REPAIR,
        )
    return champion


def _alias_and_seat(
    client: "MlflowClient", tracking_uri: str, production_model: str
) -> tuple[Any | None, ServingVersion | None]:
    """What the alias and the seat say at one moment: read again where the seat changed between the two."""
    version = version_of_alias(client, production_model, CHAMPION_ALIAS)
    seat = champion_record_or_none(tracking_uri, production_model)
    if seat is None:
        return version, None
    while True:
        holder = seat.serving()
        version = version_of_alias(client, production_model, CHAMPION_ALIAS)
        if seat.serving() == holder:
            return version, holder


def _lost(found: str) -> GateRefused:
    return GateRefused(
        "CHAMPION_LOST",
        found=f"{found}, and no alias {CHAMPION_ALIAS}",
        expected="an alias, or a registry in which no model ever served",
        remedy=_REPAIR,
    )


def fetch_champion(tracking_uri: str, production_model: str, *, into: Path) -> Champion:
    """Put the champion's model folder at ``into``, verified; a folder that already holds it is left as it is.

    Raises:
        GateRefused: ``NO_CHAMPION``, ``CHAMPION_LOST``, ``CHAMPION_UNKNOWN``, ``MODEL_ALTERED`` (the bytes in the
            registry are not those that were promoted).
        EvidenceRejected: the registry holds no complete model for it.
    """
    champion = current_champion(tracking_uri, production_model)
    if champion is None:
        raise GateRefused(
            "NO_CHAMPION",
            found=f"no champion of {production_model}",
            expected="a promoted model",
            remedy="run the chain until the gate promotes a model",
        )
    if not _holds(into, champion.model_digest):
        _download_into(tracking_uri, champion, into)
    return champion


def champion_from_version(version: Any) -> Champion:
    """The record of an MLflow ``ModelVersion`` that a promotion wrote.

    Raises:
        GateRefused: ``CHAMPION_UNKNOWN``: it lacks the tags a promotion writes.
    """
    tags = version.tags
    names = ("model_digest", "verdict", "candidate", "promoter", "promoted_at", "simulated")
    missing = [name for name in names if TAG + name not in tags]
    if missing:
        raise GateRefused(
            "CHAMPION_UNKNOWN",
            found=f"version {version.version} of {version.name} without {', '.join(missing)}",
            expected="a version written by a promotion",
            remedy=_REPAIR,
        )
    values = {name: tags[TAG + name] for name in names[:-1]}
    return Champion(
        version.name, str(version.version), version.run_id or "", simulated=tags[TAG + "simulated"] == "true", **values
    )


def open_registry(tracking_uri: str, *, make: bool = False) -> "MlflowClient":
    """A client of the tracking store and registry at ``tracking_uri``; sets no global state.

    Args:
        make: for a writer that may be the first one: where there is no database, MLflow makes one.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the database's file is not there, or damaged.
    """
    from mlflow import MlflowClient

    if not exists(tracking_uri) and not make:
        raise unavailable("there is no database yet, or its file is gone or empty")
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def version_of_alias(client: "MlflowClient", production_model: str, alias: str) -> Any | None:
    """The MLflow ``ModelVersion`` an alias points at, or None where model or alias do not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(production_model, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def version_numbered(client: "MlflowClient", production_model: str, number: str) -> Any | None:
    """The MLflow ``ModelVersion`` of this number, or None where it does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(production_model, number)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def versions_of(client: "MlflowClient", production_model: str) -> list[Any]:
    """All versions of a registered model; empty where it does not exist."""
    return list(client.search_model_versions(f"name = '{production_model}'"))


def download(tracking_uri: str, address: str, into: Path) -> Path:
    """Download the artefacts of ``models:/`` or ``runs:/`` below ``into``; the folder they lie in."""
    from mlflow.artifacts import download_artifacts

    stored = _stored_at(open_registry(tracking_uri), address)
    return Path(download_artifacts(artifact_uri=stored, dst_path=str(into), tracking_uri=tracking_uri))


def _stored_at(client: "MlflowClient", address: str) -> str:
    """Where a ``models:/`` address lies; MLflow 3.17 would look it up in the process's global registry instead."""
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
            raise altered(actual, champion.model_digest, f"version {champion.version} in the registry")
        old = Path(scratch) / "replaced"
        if into.exists():
            shutil.move(into, old)  # and not a rename: the old copy may lie on another layer of a container's disk
        shutil.move(model, into)


def altered(actual: str, judged: str, where: str) -> GateRefused:
    """The refusal of bytes that are not those that were judged."""
    return GateRefused(
        "MODEL_ALTERED",
        found=f"model digest {actual[:12]} of {where}",
        expected=f"{judged[:12]} as judged",
        remedy="the model's files changed after they were judged: evaluate and judge them again",
    )


def _holds(folder: Path, digest: str) -> bool:
    from spine.errors import EvidenceRejected

    try:
        return model_digest(folder) == digest
    except EvidenceRejected:
        return False
