"""Refuses a copied workspace, whose MLflow database still points to the files of the original.

Contract: MLflow stores absolute paths in its database, so a copied workspace would write into its original. A damaged
database is refused too. A registry named by ``PLUMBLINE_TRACKING_URI`` belongs to no workspace and is not checked.
"""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestration.pipeline.names import CANDIDATES_MODEL, EXPERIMENT, PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from validation.promotion.database import database_exists, registry_unavailable, sqlite_file
from validation.promotion.served_copy import promotions_experiment


def require_own_registry(workspace: Workspace) -> None:
    """Refuse a workspace whose own database is damaged, or points to files of another folder.

    Raises:
        GateRefused: WORKSPACE_COPIED, REGISTRY_UNAVAILABLE.
    """
    if workspace.tracking_uri != workspace.own_tracking_uri or not database_exists(workspace.tracking_uri):
        return
    try:
        foreign = [place for place in _places(workspace) if not _inside(place, workspace)]
    except sqlite3.Error as error:  # locked by another program, or damage that `database_exists` did not notice
        raise registry_unavailable(str(error)) from error
    if foreign:
        raise GateRefused(
            "WORKSPACE_COPIED",
            found=f"{workspace.root.name}/, a copy: its MLflow database points to files in {foreign[0]}",
            expected=f"a database that points to files in {workspace.root} (MLflow stores absolute paths)",
            remedy="make a new workspace with `plumbline init`, and copy params.yaml and data/ but not state/"
            + _link(foreign[0], workspace),
        )


def _link(place: Path, workspace: Workspace) -> str:
    """The remedy for a moved workspace: a link from its old path to its new path, if the old path no longer exists."""
    inner = workspace.artifact_root.relative_to(workspace.root).parts
    starts = [i for i in range(len(place.parts)) if place.parts[i : i + len(inner)] == inner]
    if not starts or (old := Path(*place.parts[: starts[-1]])).exists() or old.is_symlink():
        return ""
    link = f"ln -s {shlex.quote(str(workspace.root))} {shlex.quote(str(old))}"
    return f". If the workspace was moved, link its old path to the new one: {link}"


def _places(workspace: Workspace) -> Iterator[Path]:
    """Folders that the database names for our experiments or, without such experiments, for our model versions."""
    experiments, models = (EXPERIMENT, promotions_experiment(PRODUCTION_MODEL)), (PRODUCTION_MODEL, CANDIDATES_MODEL)
    with closing(sqlite3.connect(f"{sqlite_file(workspace.tracking_uri).as_uri()}?mode=rw", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found: list[str | None] = []
        if "experiments" in tables:
            query = "SELECT artifact_location FROM experiments WHERE name IN (?, ?)"
            found += [location for (location,) in connection.execute(query, experiments)]
        if not found and "model_versions" in tables:
            query = "SELECT source FROM model_versions WHERE name IN (?, ?)"
            found += [source for (source,) in connection.execute(query, models)]
    for location in found:
        address = urlsplit(location or "")
        if address.scheme in ("", "file") and address.path.startswith("/"):
            yield Path(unquote(address.path))


def _inside(place: Path, workspace: Workspace) -> bool:
    """Whether a path lies in the workspace, as written or after resolving links in the path or the artefact folder."""
    homes = (workspace.root, workspace.artifact_root.resolve())
    return any(place.is_relative_to(home) for home in homes) or place.resolve().is_relative_to(workspace.root)
