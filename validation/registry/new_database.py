"""Makes MLflow's SQLite database under another name, and renames it when it is complete.

Contract: MLflow's migrations are not one transaction, and a database whose migration was killed cannot be used again.
Here a kill leaves nothing under the database's own name, and the next call begins anew. One process makes it at a time.

``python -m validation.registry.new_database ADDRESS`` does the same in a process of its own.
"""

import sys
from pathlib import Path

from spine.storage import locked
from validation.registry.database import database_exists, is_sqlite, sqlite_address, sqlite_file


def make_database(tracking_uri: str) -> None:
    """Make the database if it is an SQLite file that does not exist or is empty.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the file exists and is not an intact SQLite database.
    """
    if not is_sqlite(tracking_uri) or database_exists(tracking_uri):
        return
    final = sqlite_file(tracking_uri)
    final.parent.mkdir(parents=True, exist_ok=True)
    with locked(final.with_name(f".{final.name}.lock")):
        if not database_exists(tracking_uri):
            _make(final)


def _make(final: Path) -> None:
    from mlflow.db import upgrade

    unfinished = final.with_name(f".{final.name}.unfinished")
    for remains in final.parent.glob(f"{unfinished.name}*"):  # with the journal that SQLite keeps beside it
        remains.unlink()
    assert upgrade.callback is not None
    upgrade.callback(sqlite_address(unfinished))  # the command `mlflow db upgrade`, which fills an empty database
    unfinished.replace(final)


if __name__ == "__main__":
    make_database(sys.argv[1])
