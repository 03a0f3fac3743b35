"""The DVC remote of a workspace: what is refused, and the way of the data to a remote and into an empty clone."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.cli.pipeline import init
from orchestration.pipeline.remote import ENDPOINT_VARIABLES, checked_remote
from orchestration.pipeline.stages import STAGE_NAMES
from orchestration.pipeline.versioning import record_stage
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.storage import sha256_of_tree
from tests.throwaway_servers import BUCKET, KEY, SECRET, object_store, stored, why_not

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _keys(monkeypatch, tmp_path):
    for name in (*KEYS, *ENDPOINT_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[str]:
    """A store that checks keys."""
    if (reason := why_not("rclone")) is not None:
        pytest.skip(reason)
    with object_store(tmp_path_factory.mktemp("store"), "rclone") as address:
        yield address


def use_key(monkeypatch, key=KEY, secret=SECRET):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def plumbline_init(workspace: Path, *arguments: str) -> str:
    done = CliRunner().invoke(init, ["-w", str(workspace), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return (workspace / ".dvc" / "config").read_text(encoding="utf-8")


def dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def with_data(workspace: Workspace) -> Workspace:
    """Outputs for each stage, recorded without running one."""
    for name in ("drop", "studies", "landmarks", "dataset", "screening", "validation", "candidate", "evaluation"):
        (workspace.data / name / "below").mkdir(parents=True)
        (workspace.data / name / "below" / "file.bin").write_bytes(name.encode() * 100)
        (workspace.data / name / "same.txt").write_text("the same in each output")
    for stage in STAGE_NAMES:
        record_stage(workspace, stage)
    return workspace


def goes_round(tmp_path: Path) -> None:
    """What `dvc push` sent comes back, byte for byte, into a folder that has only the files of the pipeline."""
    workspace, clone = with_data(Workspace(tmp_path / "ws")), tmp_path / "clone"
    dvc(workspace.root, "push")
    (clone / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config"):
        shutil.copy(workspace.root / name, clone / name)
    dvc(clone, "pull")
    shutil.rmtree(workspace.inbox)
    assert sha256_of_tree(clone / "data") == sha256_of_tree(workspace.data)
    assert len(list((clone / "data").rglob("*.bin"))) == 8


def test_a_folder(tmp_path):
    folder = tmp_path / "Röntgen 100% it's"
    config = plumbline_init(tmp_path / "ws", "--remote", str(folder))
    assert list(folder.iterdir()) == [] and str(folder) in config
    assert plumbline_init(tmp_path / "ws", "--remote", str(folder)) == config
    assert plumbline_init(tmp_path / "ws") == config
    goes_round(tmp_path)
    elsewhere = plumbline_init(tmp_path / "ws", "--remote", str(tmp_path / "other"))
    assert str(tmp_path / "other") in elsewhere and str(folder) not in elsewhere
    assert elsewhere.count("[core]") == elsewhere.count("no_scm = True") == 1


def test_a_bucket(tmp_path, monkeypatch, store):
    use_key(monkeypatch)
    config = plumbline_init(tmp_path / "ws", "--remote", f"s3://{BUCKET}/ws", "--remote-endpoint", store)
    assert f"url = s3://{BUCKET}/ws" in config and f"endpointurl = {store}" in config
    assert SECRET not in config and KEY not in config
    assert stored(store) == {}, "the check leaves nothing"
    goes_round(tmp_path)


def test_the_endpoint_comes_from_the_environment(monkeypatch, store):
    use_key(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store)
    assert checked_remote(f"s3://{BUCKET}").endpoint == store


def refused(code: str, *arguments: str) -> None:
    with pytest.raises(ParametersRejected, match=code) as found:
        checked_remote(*arguments)
    assert SECRET not in str(found.value)


def test_wrong_keys_and_missing_buckets(monkeypatch, store):
    refused("REMOTE_KEY_MISSING.*AWS_ACCESS_KEY_ID", f"s3://{BUCKET}", store)
    use_key(monkeypatch, secret="wrong")
    refused("REMOTE_KEY_REFUSED", f"s3://{BUCKET}", store)
    use_key(monkeypatch, key="nobody")
    refused("REMOTE_KEY_REFUSED", f"s3://{BUCKET}", store)
    use_key(monkeypatch)
    refused("REMOTE_MISSING.*make the bucket", "s3://missing", store)


def test_a_bucket_that_refuses(tmp_path, monkeypatch):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    import boto3
    import requests

    use_key(monkeypatch)
    with object_store(tmp_path) as address:
        iam = boto3.client("iam", endpoint_url=address)
        iam.create_user(UserName="guest")
        key = iam.create_access_key(UserName="guest")["AccessKey"]
        use_key(monkeypatch, key["AccessKeyId"], key["SecretAccessKey"])
        assert checked_remote(f"s3://{BUCKET}/a", address).url == f"s3://{BUCKET}/a"
        requests.post(f"{address}/moto-api/reset-auth", data=b"0", timeout=10)
        refused("REMOTE_REFUSED.*PutObject", f"s3://{BUCKET}/a", address)


def test_nobody_answers(monkeypatch):
    use_key(monkeypatch)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        refused("REMOTE_UNREACHABLE.*start it", "s3://studies", f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [("s3:///prefix", ""), ("gs://bucket", ""), ("", ""), ("s3://key:secret@bucket", ""), ("s3://bucket", "host:9000")],
)
def test_addresses_that_are_none(url, endpoint):
    refused("REMOTE_INVALID", url, endpoint)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    refused("REMOTE_REFUSED.*choose another folder", str(tmp_path / "file" / "remote"))


def test_nothing_is_made_if_the_remote_is_refused(tmp_path):
    done = CliRunner().invoke(init, ["-w", str(tmp_path / "ws"), "--remote", "ftp://elsewhere"])
    assert isinstance(done.exception, ParametersRejected) and not (tmp_path / "ws").exists()
