"""Whose registry it is: a workspace with a database of its own must not write into another workspace's files.

Contract: MLflow keeps absolute paths in its database, so the database of a copied folder still names the folder it was
copied from; such a workspace is refused with what was found, a damaged database too. A registry that
``PLUMBLINE_TRACKING_URI`` names is nobody's own, and is not looked at.
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
    """Refuse a workspace whose own database is that of another folder, or no whole database.

    Raises:
        GateRefused: WORKSPACE_COPIED, REGISTRY_UNAVAILABLE.
    """

    if workspace.tracking_uri != workspace.own_tracking_uri or not database_exists(workspace.tracking_uri):
        return
    try:
        foreign = [place for place in _places(workspace) if not _inside(place, workspace)]
    except sqlite3.Error as error:  # locked by another program, or damaged in a way that only reading it shows
        raise registry_unavailable(str(error)) from error
    if foreign:
        raise GateRefused(
            "WORKSPACE_COPIED",
            found=f"{workspace.root.name}/, whose own database keeps its files in {foreign[0]}",
            expected=f"files below {workspace.root}: MLflow stores absolute paths, and a copy names its original's",
            remedy="make a new workspace with `plumbline init` and bring params.yaml and data/ along, not state/"
            + _link(foreign[0], workspace),
        )


def _link(place: Path, workspace: Workspace) -> str:
    """The second way out, of a workspace that was moved: its old folder is gone, so a link can stand there."""
    inner = workspace.artifact_root.relative_to(workspace.root).parts
    starts = [i for i in range(len(place.parts)) if place.parts[i : i + len(inner)] == inner]
    if not starts or (old := Path(*place.parts[: starts[-1]])).exists() or old.is_symlink():
        return ""
    link = f"ln -s {shlex.quote(str(workspace.root))} {shlex.quote(str(old))}"
    return f"; one that was moved goes on where its old place is a link to the new one: {link}"


def _places(workspace: Workspace) -> Iterator[Path]:
    """Where the database keeps the files of our experiments, else those of our models' versions."""

    experiments, models = (EXPERIMENT, promotions_experiment(PRODUCTION_MODEL)), (PRODUCTION_MODEL, CANDIDATES_MODEL)
    with closing(sqlite3.connect(f"{sqlite_file(workspace.tracking_uri).as_uri()}?mode=rw", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found: list[str | None] = []
        if "experiments" in tables:
            asked = "SELECT artifact_location FROM experiments WHERE name IN (?, ?)"
            found += [location for (location,) in connection.execute(asked, experiments)]
        if not found and "model_versions" in tables:
            asked = "SELECT source FROM model_versions WHERE name IN (?, ?)"
            found += [source for (source,) in connection.execute(asked, models)]
    for location in found:
        address = urlsplit(location or "")
        if address.scheme in ("", "file") and address.path.startswith("/"):
            yield Path(unquote(address.path))


def _inside(place: Path, workspace: Workspace) -> bool:
    """As it is written, or where it leads: the folder of the artefacts may be a link, and so may the old place."""
    homes = (workspace.root, workspace.artifact_root.resolve())
    return any(place.is_relative_to(home) for home in homes) or place.resolve().is_relative_to(workspace.root)
