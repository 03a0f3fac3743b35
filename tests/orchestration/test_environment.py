"""The environment of every process."""

import getpass
import os

import pytest

from orchestration.environment import apply_quiet_environment, quiet_environment


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_an_account_without_a_name_gets_one(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        os.environ.pop(name, None)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    apply_quiet_environment()
    assert getpass.getuser() == f"uid-{os.getuid()}"


def test_an_account_with_a_name_keeps_it():
    before = getpass.getuser()
    apply_quiet_environment()
    assert getpass.getuser() == before


def test_the_limits_of_requests_can_be_changed():
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "600"
    assert quiet_environment()["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "600"
