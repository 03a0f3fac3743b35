"""Shape checks for every test, what the workers make once for all of them, and the order in which they run."""

import gc
import os
import sqlite3
from collections.abc import Callable, Iterator
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


os.environ.setdefault("PLUMBLINE_WORKERS", "1")  # pytest-xdist uses the cores already


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first: with two workers, a long file at the end would leave one of them idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Collect garbage rarely: beside all those libraries a full collection takes a quarter of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, make)``: a folder that ``make`` fills for all workers of pytest-xdist; to be read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        made, complete = shared / name, shared / f"{name}.complete"
        with FileLock(shared / f"{name}.lock"):
            if not complete.exists():
                made.mkdir()
                make(made)
                complete.touch()
        return made

    return folder


@pytest.fixture(scope="session")
def empty_mlflow_database(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """An MLflow SQLite database whose migrations have run; copy it, because they take seconds."""
    return made_once("empty-mlflow", _migrate) / "mlflow.db"


def _migrate(folder: Path) -> None:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        address = f"sqlite:///{folder / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        client.search_experiments()
        client.search_registered_models()


@pytest.fixture
def impatient_sqlite(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow and we wait a tenth of a second for a locked SQLite database, instead of five or twenty."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def connecting(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options["timeout"] = 0.1

    def executing(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 100"), parameters

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))
    event.listen(Engine, "do_connect", connecting)
    event.listen(Engine, "before_cursor_execute", executing, retval=True)
    yield
    event.remove(Engine, "do_connect", connecting)
    event.remove(Engine, "before_cursor_execute", executing)
