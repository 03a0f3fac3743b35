"""MLflow's database is there and complete, or not there at all, whenever its making is killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spine.errors import GateRefused
from validation.registry.client import open_registry
from validation.registry.database import database_exists, sqlite_address
from validation.registry.new_database import make_database

COMMAND = (sys.executable, "-m", "validation.registry.new_database")
USE = """import sys
from mlflow import MlflowClient
from validation.registry.client import open_registry
client = open_registry(sys.argv[1], make=True)
client.create_experiment("training", artifact_location="mlflow-artifacts:/training")
client.create_registered_model("plumbline")
print(len(client.search_registered_models()))"""


def killed_after(address: str, seconds: float) -> int:
    process = subprocess.Popen([*COMMAND, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return -1


@pytest.mark.slow
def test_kills_at_random_moments_leave_a_database_that_can_be_used(tmp_path: Path) -> None:
    for name in ("first.db", "second.db"):  # the first start reads the libraries from the disk
        began = time.monotonic()
        assert killed_after(sqlite_address(tmp_path / name), 300) == 0
        whole_s = time.monotonic() - began
    chance = random.Random(7)
    for number in range(20):  # a database that was finished before the kill shows nothing
        address = sqlite_address(tmp_path / f"mlflow-{number}.db")
        killed = [killed_after(address, chance.uniform(0.2, 0.8) * whole_s) for _ in range(3)]
        if -1 in killed:
            break
    assert -1 in killed
    done = subprocess.run([sys.executable, "-c", USE, address], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1"
    assert not list(tmp_path.glob(f".mlflow-{number}.db.unfinished*"))


def test_a_kill_in_the_middle_leaves_nothing_and_the_next_call_begins_anew(
    tmp_path, monkeypatch, empty_mlflow_database
):
    address, unfinished = sqlite_address(tmp_path / "mlflow.db"), tmp_path / ".mlflow.db.unfinished"

    def dies(_: str) -> None:
        for name in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
            name.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.db.upgrade.callback", dies)
    with pytest.raises(KeyboardInterrupt):
        make_database(address)
    assert not database_exists(address)
    with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
        open_registry(address)

    def finishes(_: str) -> None:
        assert not list(tmp_path.glob(f"{unfinished.name}*"))
        unfinished.write_bytes(empty_mlflow_database.read_bytes())

    monkeypatch.setattr("mlflow.db.upgrade.callback", finishes)
    make_database(address)
    assert database_exists(address)
    monkeypatch.setattr("mlflow.db.upgrade.callback", lambda _: pytest.fail("made twice"))
    make_database(address)


def test_a_server_is_left_alone():
    make_database("http://127.0.0.1:9")
    make_database("postgresql://nobody@nowhere/x")
