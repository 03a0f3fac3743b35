"""The database of Dagster's runs: SQLite files in the workspace, or the PostgreSQL database of a deployment.

Contract: only ``PLUMBLINE_DAGSTER_DB`` decides, so that services and command line share one history of runs. The
password stays in the variable: ``dagster.yaml`` refers to it. A workspace whose runs are in PostgreSQL is not opened
without the variable, because its runs would then be in two places. A database belongs to the workspace that used it
first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from orchestration.environment import DAGSTER_DB_VARIABLE
from spine.errors import ParametersRejected, PlumblineError
from validation.registry.database import POSTGRESQL

if TYPE_CHECKING:
    from dagster import DagsterInstance


_OWNER = "plumbline/workspace"
"""The key, among Dagster's cursors, of the id of the workspace to which a database belongs."""


class RunDatabaseUnavailable(PlumblineError):
    """The database of the runs cannot be read or written."""


def storage_config(dagster_yaml: Path) -> dict[str, Any]:
    """The part ``storage`` of ``dagster.yaml``; empty for SQLite files in the instance's folder.

    Args:
        dagster_yaml: the file that is to be written; a missing file is a new workspace.

    Raises:
        ParametersRejected: RUN_DATABASE_ADDRESS: the address is not of PostgreSQL with psycopg2.
            RUN_DATABASE_NOT_NAMED: the runs of this workspace are in PostgreSQL, and the variable is missing.
    """
    address = os.environ.get(DAGSTER_DB_VARIABLE, "")
    if not address:
        if dagster_yaml.exists() and "storage" in (yaml.safe_load(dagster_yaml.read_text()) or {}):
            raise ParametersRejected(
                "RUN_DATABASE_NOT_NAMED",
                found=f"a workspace whose runs are in PostgreSQL, and no {DAGSTER_DB_VARIABLE}",
                expected="one database for all runs of a workspace",
                remedy=f"set {DAGSTER_DB_VARIABLE} as for the services. To begin a new history of runs in the "
                f"workspace instead, stop the services and remove {dagster_yaml}",
            )
        return {}
    scheme = address.partition("://")[0]
    if scheme != POSTGRESQL:
        raise ParametersRejected(
            "RUN_DATABASE_ADDRESS",
            found=f"{DAGSTER_DB_VARIABLE} with the scheme {scheme[:40]!r}",
            expected=f"{POSTGRESQL}://USER:PASSWORD@HOST:PORT/DATABASE",
            remedy="correct the address; its database must exist and must be another one than MLflow's",
        )
    return {"storage": {"postgres": {"postgres_url": {"env": DAGSTER_DB_VARIABLE}}}}


def require_own_runs(instance: "DagsterInstance", identity: str) -> None:
    """Note in a PostgreSQL database of runs which workspace it belongs to, or refuse that of another workspace.

    Args:
        identity: the id of the workspace that opens the instance.

    Raises:
        ParametersRejected: RUN_DATABASE_OF_ANOTHER.
    """
    storage = instance.run_storage
    if _OWNER not in storage.get_cursor_values({_OWNER}):
        storage.set_cursor_values({_OWNER: identity})
    owner = storage.get_cursor_values({_OWNER})[_OWNER]  # another workspace may have been faster
    if owner != identity:
        raise ParametersRejected(
            "RUN_DATABASE_OF_ANOTHER",
            found=f"a database of runs that belongs to the workspace with the id {owner}",
            expected=f"a database of its own for the workspace with the id {identity}, or each would end the runs of "
            "the other",
            remedy=f"name another, empty database in {DAGSTER_DB_VARIABLE}. If this workspace replaces that one (e.g. "
            "restored from its backup), stop everything that uses the old one, and write the old id into "
            "state/workspace.id",
        )


@contextmanager
def database_errors() -> Iterator[None]:
    """Convert errors of the runs' PostgreSQL database in this block. An SQLite file's errors stay as they are.

    Raises:
        RunDatabaseUnavailable: RUN_DATABASE_UNAVAILABLE.
        ParametersRejected: RUN_DATABASE_PACKAGES: ``dagster-postgres`` is not installed.
    """
    if not os.environ.get(DAGSTER_DB_VARIABLE):
        yield
        return
    try:
        from dagster_postgres.utils import DagsterPostgresException
        from sqlalchemy.exc import DBAPIError
    except ImportError as error:
        raise ParametersRejected(
            "RUN_DATABASE_PACKAGES",
            found=f"{DAGSTER_DB_VARIABLE} without the package {error.name}",
            expected="the packages for PostgreSQL",
            remedy="pip install -c infra/constraints.txt -r infra/requirements-server.txt",
        ) from error
    try:
        yield
    except (DBAPIError, DagsterPostgresException) as error:
        cause = error.__cause__ if isinstance(error, DagsterPostgresException) else error
        text = str(getattr(cause, "orig", cause) or error)
        raise RunDatabaseUnavailable(
            "RUN_DATABASE_UNAVAILABLE",
            found=f"the database of the runs cannot be read or written: {' '.join(text.split())[:200]}",
            expected=f"the PostgreSQL database that {DAGSTER_DB_VARIABLE} names",
            remedy="start the database or correct the address, then run the command again: finished steps are kept",
        ) from error
