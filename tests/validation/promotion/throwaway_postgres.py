"""A temporary PostgreSQL server for the tests, with its own folder, without network and without durability.

If ``PLUMBLINE_TEST_POSTGRES`` names a database, the tests use that one instead. PostgreSQL refuses to run as root, so
root starts it with the account ``postgres`` or ``nobody``.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.validation.promotion.registry import SERVED
from validation.promotion.sync import promotions_experiment

ADDRESS = "PLUMBLINE_TEST_POSTGRES"


def why_not() -> str | None:
    """The reason why PostgreSQL cannot be started here; None if it can."""
    if find_spec("psycopg2") is None:
        return "psycopg2 is not installed (extra `dev`)"
    if os.environ.get(ADDRESS):
        return None
    if _binary("initdb") is None or _binary("postgres") is None:
        return f"initdb and postgres are not installed, and {ADDRESS} names no database"
    if os.geteuid() == 0 and _account() is None:
        return "PostgreSQL does not run as root, and there is no account `postgres` or `nobody`"
    return None


def registry_on(address: str, artefacts: Path) -> None:
    """Make MLflow's tables in the database, and the promoter's experiment, whose artefacts are in this folder."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address, registry_uri=address)
    client.search_experiments()  # makes the tables
    name = promotions_experiment(SERVED)
    if client.get_experiment_by_name(name) is None:
        client.create_experiment(name, artifact_location=(artefacts / name).as_uri())


class Server:
    """A PostgreSQL server in a folder of its own, which a test can stop and start again.

    With ``networks``, it also answers any host in this network, without a password.
    """

    def __init__(self, folder: Path, networks: str = "") -> None:
        self.folder, self._networks = folder, networks
        self.address = f"postgresql+psycopg2://plumbline@/postgres?host={folder}"
        account = _account() if os.geteuid() == 0 else None
        self._who: dict[str, Any] = {}
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        initdb = [str(_binary("initdb")), "-D", str(folder / "data"), "-U", "plumbline", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=120, **self._who)
        if networks:
            with (folder / "data" / "pg_hba.conf").open("a") as permitted:
                permitted.write(f"host all all {networks} trust\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(_binary("postgres")), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        command += [
            "-c",
            f"listen_addresses={'*' if self._networks else ''}",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=400",
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._who)
        try:
            _wait(self.folder, self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        server, self._process = self._process, None
        if server is None:
            return
        server.send_signal(signal.SIGINT)  # a fast shutdown: SIGTERM waits for the connections that MLflow keeps open
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def serving() -> Iterator[Server]:
    """A server of its own, which is stopped and deleted at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-pg-"))  # short: a socket's path has at most 107 characters
    server = None
    try:
        server = Server(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running() -> Iterator[str]:
    """The address of an empty database on a server that is stopped at the end of the block."""
    if named := os.environ.get(ADDRESS):
        yield named
        return
    with serving() as server:
        yield server.address


def _wait(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    import time

    import psycopg2

    for _ in range(600):
        try:
            psycopg2.connect(host=str(folder), user="plumbline", dbname="postgres").close()
        except psycopg2.OperationalError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not come up: {(folder / 'log').read_text()[-2000:]}")


def _binary(name: str) -> str | None:
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(packaged[-1]) if packaged else None)


def _account() -> pwd.struct_passwd | None:
    return next((a for a in pwd.getpwall() if a.pw_name == "postgres"), None) or next(
        (a for a in pwd.getpwall() if a.pw_name == "nobody"), None
    )
