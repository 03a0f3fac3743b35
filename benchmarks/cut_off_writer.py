"""A writer on a machine that is cut off: when the database frees its lock, and when it stops.

    sudo .venv/bin/python -m benchmarks.cut_off_writer    takes two minutes

A network namespace is the other machine. The writer there asks for its lock again and again, as between two pieces of
work. Then the link between the two is cut. The writer must hear nothing good from then on, so nothing is written twice:
the last answer that it got must be older than the moment when the lock is free. Needs root and PostgreSQL.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, print_figures
from orchestration.pipeline.lock import WorkspaceBusy, free, require_lock, workspace_lock
from orchestration.pipeline.workspace import Workspace
from validation.promotion.history import DATABASE_VARIABLE

HERE, THERE, NETWORK = "10.213.7.1", "10.213.7.2", "10.213.7.0/24"
NAMESPACE, LINK = "plumbline-cut", "plumbline0"


@contextmanager
def two_machines() -> Iterator[None]:
    """A network namespace that reaches this machine over ``LINK``."""
    commands = (
        f"netns add {NAMESPACE}",
        f"link add {LINK} type veth peer name there netns {NAMESPACE}",
        f"addr add {HERE}/24 dev {LINK}",
        f"link set {LINK} up",
        f"-n {NAMESPACE} addr add {THERE}/24 dev there",
        f"-n {NAMESPACE} link set there up",
    )
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)


def write_until_stopped(root: Path) -> None:
    """Lock the workspace, and print the time of the last good answer and the time and reason of the end."""
    workspace, good = Workspace(root), 0.0
    with workspace_lock(workspace):
        print("locked", flush=True)
        try:
            while True:
                require_lock(workspace)
                good = time.monotonic()
                time.sleep(0.1)
        except WorkspaceBusy as stopped:
            print(good, time.monotonic(), stopped.code, flush=True)


def measured(address: str, workspace: Workspace) -> list[Figure]:
    """Cut the link of a writer, and wait until the lock is free and the writer has stopped."""
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-m", "benchmarks.cut_off_writer", str(workspace.root)]
    environment = {**os.environ, DATABASE_VARIABLE: address.format(host=HERE)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        time.sleep(3)
        subprocess.run(["ip", "link", "set", LINK, "down"], check=True)
        cut = time.monotonic()
        os.environ[DATABASE_VARIABLE] = address.format(host="127.0.0.1")
        while not _is_free(workspace):
            time.sleep(0.5)
        freed = time.monotonic() - cut
        good, stopped, code = writer.stdout.readline().split()
    last = float(good) - cut
    return [
        Figure("last time that the writer was told it has the lock", last, "s", f"below {freed:.0f}", "after the cut"),
        Figure("the lock is free for others", freed, "s", "below 60", "after the cut"),
        Figure("the writer stops", float(stopped) - cut, "s", "below 120", f"after the cut, with {code}"),
    ]


def _is_free(workspace: Workspace) -> bool:
    with free(workspace) as nobody:
        return nobody


def main() -> None:
    """Start the server and the other machine, and print the figures."""
    from tests.validation.promotion.throwaway_postgres import Server

    with two_machines(), tempfile.TemporaryDirectory(prefix="plumbline-pg-", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder), NETWORK)
        server.start()
        try:
            with tempfile.TemporaryDirectory(prefix="plumbline-ws-") as root:
                figures = measured("postgresql+psycopg2://plumbline@{host}/postgres", Workspace(Path(root)))
        finally:
            server.stop()
    print_figures("A writer that is cut off", figures)


if __name__ == "__main__":
    write_until_stopped(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
