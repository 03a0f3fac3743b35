"""MLflow's artefacts without a server: the folder ``artifacts`` beside the SQLite database.

Contract: the database contains only addresses below ``mlflow-artifacts:/``, which name no folder and no host. So a
workspace can be moved, copied or restored elsewhere. MLflow's server resolves such an address in the folder of its
option ``--artifacts-destination``. MLflow's client resolves it only through a server. For a client of an SQLite
database, ``artifact_repository`` resolves it. It is a plug-in of MLflow: pyproject.toml registers it for the scheme
(https://mlflow.org/docs/latest/ml/plugins/).
"""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from spine.errors import GateRefused, ParametersRejected
from validation.registry.database import is_sqlite, sqlite_file

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

SCHEME = "mlflow-artifacts"
_OTHER_HOSTS = frozenset({"http", "https", "ftp", "sftp"})


def experiment_location(tracking_uri: str, experiment: str) -> str | None:
    """Where a new experiment stores its artefacts; None if the tracking server decides.

    Raises:
        ParametersRejected: PLUG_IN_MISSING: this installation is older than pyproject.toml.
    """
    if not is_sqlite(tracking_uri):
        return None
    require_plug_in("mlflow.artifact_repository", SCHEME)
    return f"{SCHEME}:/{experiment}"


def require_own_storage(stored: str) -> None:
    """Refuse the address of model files on any host that it names, before anything is requested from that host.

    Whoever can write into the registry could otherwise let this machine request pages of its own network. Object stores
    (``s3`` ...) are permitted: their address names a bucket, and their host is in the configuration.

    Raises:
        GateRefused: ADDRESS_ELSEWHERE.
    """
    address = urlsplit(stored)
    if address.scheme in _OTHER_HOSTS or (address.scheme == SCHEME and address.netloc):
        raise GateRefused(
            "ADDRESS_ELSEWHERE",
            found=f"a model whose files are on the host {address.netloc!r}, by {address.scheme}",
            expected="files in the artefact storage of the registry",
            remedy="find out who registered this version; register the model again through the pipeline",
        )


def require_plug_in(group: str, name: str) -> None:
    """Refuse an installation that has not registered this plug-in of MLflow.

    Raises:
        ParametersRejected: PLUG_IN_MISSING: this installation is older than pyproject.toml.
    """
    if not entry_points(group=group, name=name):
        raise ParametersRejected(
            "PLUG_IN_MISSING",
            found=f"no plug-in {name} of the group {group} in this Python environment",
            expected="the plug-ins of MLflow that the installation of Plumbline registers",
            remedy="install again: `make setup`, or `pip install --editable .`",
        )


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> "ArtifactRepository":
    """The files behind an address of the scheme ``mlflow-artifacts``. MLflow calls this function.

    Raises:
        MlflowException: the address has a host, or leaves the folder of the artefacts.
    """
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
    from mlflow.tracking import get_tracking_uri

    tracking_uri = tracking_uri or get_tracking_uri()
    if not is_sqlite(tracking_uri):
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    folder = _folder(artifact_uri, sqlite_file(tracking_uri).parent / "artifacts")
    return LocalArtifactRepository(folder.as_uri(), tracking_uri, registry_uri)


def _folder(artifact_uri: str, root: Path) -> Path:
    from mlflow.exceptions import MlflowException

    address: Any = urlsplit(artifact_uri)
    parts = [part for part in unquote(address.path).split("/") if part]
    if address.netloc or ".." in parts:
        raise MlflowException.invalid_parameter_value(
            f"found {artifact_uri}; expected {SCHEME}:/PATH without a host, inside {root}; "
            "an address with a host needs the MLflow server of that host as tracking URI"
        )
    return root.joinpath(*parts)
