"""Shape checks for every test, one MLflow database for all of them, and the order in which they run."""

import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from filelock import FileLock

import spine.types
import tests.shape_check  # noqa: F401 - the hook finds the checker by its name

# Before any module imports them: from then on annotations hold the checked types.
spine.types.Bool, spine.types.Float, spine.types.Int = jaxtyping.Bool, jaxtyping.Float, jaxtyping.Int

jaxtyping.install_import_hook(["inference", "simulation", "training"], "tests.shape_check.check_shapes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first: with two workers, a long file at the end would leave one of them idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow SQLite database whose migrations have run; copy it, because they take seconds.

    The workers of pytest-xdist share one: their temporary folders lie side by side.
    """
    folder = tmp_path_factory.getbasetemp()
    path = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "mlflow.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            _migrated(path.with_suffix(".partial")).rename(path)
    return path


def _migrated(path: Path) -> Path:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        client = MlflowClient(tracking_uri=f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
        client.search_experiments()
        client.search_registered_models()
    return path


@pytest.fixture
def impatient_sqlite(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow and we wait a tenth of a second for a locked SQLite database, instead of five or twenty."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def connecting(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options.setdefault("timeout", 0.1)

    def executing(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 100"), parameters

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))
    listeners = (("do_connect", connecting, {}), ("before_cursor_execute", executing, {"retval": True}))
    for name, listener, options in listeners:
        event.listen(Engine, name, listener, **options)
    yield
    for name, listener, _ in listeners:
        event.remove(Engine, name, listener)
