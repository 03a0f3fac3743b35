"""The pipeline on PostgreSQL, an object store and MLflow's server, and what the object store refuses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.server_set import checked, settings
from spine.errors import GateRefused
from tests.throwaway_servers import BUCKET, Servers, mlflow_server, servers, stored, why_not
from validation.registry.client import open_registry
from validation.registry.errors import errors_as_refusals
from validation.registry.experiments import experiment_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers, with an object store that checks keys."""
    if (reason := why_not("rclone")) is not None:
        pytest.skip(reason)
    with servers(tmp_path_factory.mktemp("servers"), "rclone") as known:
        yield known


def test_a_run_on_the_servers_promotes_and_leaves_nothing_on_this_machine_alone(running: Servers, tmp_path: Path):
    figures = checked(tmp_path / "ws", running, settings(studies=30, epochs=12))
    wrong = {f.name: (f.value, f.target, f.how) for f in figures if f.target and f"{f.value:g}" != f.target}
    assert not wrong
    assert len(figures) > 10


@pytest.mark.parametrize(
    ("secret", "bucket", "said"), [("wrong", BUCKET, "signature"), (None, "absent", "bucket does not exist")]
)
def test_a_wrong_key_or_bucket_is_refused_before_anything_is_logged(running: Servers, tmp_path, secret, bucket, said):
    before = stored(running.objects)
    key = {} if secret is None else {"secret": secret}
    with mlflow_server(tmp_path, running, bucket=bucket, **key) as address:
        known = replace(running, tracking=address)
        client = open_registry(known.tracking)
        with pytest.raises(GateRefused, match=f"ARTIFACTS_UNAVAILABLE.*{said}"), errors_as_refusals():
            experiment_of(client, f"of {said}", known.tracking)
        experiment = client.get_experiment_by_name(f"of {said}").experiment_id
        assert client.search_runs([experiment]) == []
    assert stored(running.objects) == before
