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


@contextmanager
def running() -> Iterator[str]:
    """The address of an empty database on a server that is stopped at the end of the block."""
    if named := os.environ.get(ADDRESS):
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="plumbline-pg-"))  # short: a socket's path has at most 107 characters
    try:
        account = _account() if os.geteuid() == 0 else None
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        who: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid} if account is not None else {}
        who |= {"extra_groups": []} if account is not None else {}
        initdb = [str(_binary("initdb")), "-D", str(folder / "data"), "-U", "plumbline", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=120, **who)
        with _served(folder, who):
            yield f"postgresql+psycopg2://plumbline@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _served(folder: Path, who: dict[str, Any]) -> Iterator[None]:
    command = [str(_binary("postgres")), "-D", str(folder / "data"), "-k", str(folder), "-c", "listen_addresses="]
    command += ["-c", "fsync=off", "-c", "max_connections=50"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **who)
    try:
        _wait(folder, server)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: SIGTERM waits for the connections that MLflow keeps open
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


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
