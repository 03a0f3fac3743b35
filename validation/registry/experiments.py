"""Finds or makes an experiment of MLflow, whose files must be where every machine can read them.

Contract: beside the workspace's own SQLite database the files are in the workspace. A tracking server stores the files
itself (``mlflow server --artifacts-destination s3://...``). An experiment of a server whose files would be in a folder
of one machine is refused before anything is logged, and so is a server that its object store refuses.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spine.errors import ParametersRejected
from validation.registry.database import is_sqlite
from validation.registry.errors import artifacts_unavailable
from validation.registry.local_artifacts import SCHEME, experiment_location

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_SERVER = ("http", "https")
_NOTHING = "plumbline-looks-whether-files-can-be-listed"


def experiment_of(client: "MlflowClient", name: str, tracking_uri: str) -> str:
    """The id of the experiment, which is made if it is missing.

    Raises:
        ParametersRejected: ARTIFACTS_ON_ONE_MACHINE: the server names a folder for the files; or the tracking URI is a
            database server without this experiment, and MLflow would store the files in the working directory.
            PLUG_IN_MISSING.
        GateRefused: ARTIFACTS_UNAVAILABLE: the server has no access to its object store.
    """
    known = client.get_experiment_by_name(name)
    if known is None:
        if urlsplit(tracking_uri).scheme not in _SERVER and not is_sqlite(tracking_uri):
            raise _on_one_machine(
                f"a database server as tracking URI, and no experiment {name!r} in it",
                "name the MLflow server of this database in PLUMBLINE_TRACKING_URI, e.g. http://mlflow:5000",
            )
        experiment = client.create_experiment(name, artifact_location=experiment_location(tracking_uri, name))
        known = client.get_experiment(experiment)
    if urlsplit(tracking_uri).scheme in _SERVER:
        _require_shared(name, known, tracking_uri)
    return str(known.experiment_id)


def _require_shared(name: str, known: "Experiment", tracking_uri: str) -> None:
    scheme = urlsplit(known.artifact_location).scheme
    if scheme in ("", "file"):
        raise _on_one_machine(
            f"the experiment {name!r} of the MLflow server, whose files are in {known.artifact_location}",
            "start the server with --artifacts-destination and without --default-artifact-root. An experiment keeps "
            f"its place: `MLFLOW_TRACKING_URI={tracking_uri} mlflow experiments rename --experiment-id "
            f"{known.experiment_id} --new-name {name}-old`, and the next run makes a new one",
        )
    if scheme == SCHEME:
        _require_access(tracking_uri)


def _require_access(tracking_uri: str) -> None:
    """List a folder that does not exist: the answer is empty, or says why the object store refuses the server."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from requests import HTTPError

    files: Any = get_artifact_repository(f"{SCHEME}:/", tracking_uri=tracking_uri)
    try:
        files.list_artifacts(_NOTHING)
    except HTTPError as error:
        raise artifacts_unavailable(str(error)) from error


def _on_one_machine(found: str, remedy: str) -> ParametersRejected:
    return ParametersRejected(
        "ARTIFACTS_ON_ONE_MACHINE",
        found=found,
        expected="files that the tracking server stores (mlflow-artifacts:/ or s3://), for every machine",
        remedy=remedy,
    )
