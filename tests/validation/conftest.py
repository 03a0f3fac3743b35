"""Virtual evaluations of known quality, and an MLflow database that is made once."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.validation.gates.records import build_record
from tests.validation.promotion.registry import Registry
from tests.validation.promotion.throwaway_postgres import running, why_not
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import DEFAULT_POLICY, Policy, read_policy


def pytest_itemcollected(item: pytest.Item) -> None:
    """MLflow itself uses what SQLAlchemy 2.1 deprecates."""
    item.add_marker(pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"))


@pytest.fixture(autouse=True, scope="module")
def _quiet_mlflow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def policy() -> Policy:
    return read_policy(DEFAULT_POLICY)


@pytest.fixture(scope="session")
def scored() -> Callable[..., EvaluationRecord]:
    """A function that builds a record, with errors of ``noise`` degrees times ``scale``.

    The first ``abstain`` studies have no prediction.
    """
    return cache(build_record)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty database on a temporary PostgreSQL; the test is skipped if it cannot be started."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with running() as address:
        yield address


@pytest.fixture
def tracking_uri(empty_mlflow_database: Path, tmp_path: Path) -> str:
    shutil.copy(empty_mlflow_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def registry(tracking_uri: str, tmp_path: Path, scored: Callable[..., EvaluationRecord]) -> Registry:
    (tmp_path / "evidence").mkdir()
    return Registry(tracking_uri, tmp_path, scored)


@pytest.fixture(scope="session")
def serving_once(empty_mlflow_database: Path, scored: Callable[..., EvaluationRecord], made_once: Any) -> Registry:
    """A registry with a champion, and a better model that was judged against it. Tests use copies of it."""

    def registry_in(folder: Path) -> Registry:
        return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder, scored)

    def make(folder: Path) -> None:
        shutil.copy(empty_mlflow_database, folder / "mlflow.db")
        registry = registry_in(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
            registry.promote(registry.candidate("first", noise=2.0, seed=2))
            registry.candidate("second", champion="first", noise=0.5, seed=3)

    return registry_in(made_once("serving", make))


@pytest.fixture
def serving(serving_once: Registry, tmp_path: Path) -> Registry:
    """A registry with a champion, and a better model that was judged against it."""
    return serving_once.copy_to(tmp_path)
