"""``plumbline watch`` as its own process, on a real PACS."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.watch.orthanc import Orthanc

PACE = "poll_s = 0.5\nsettle_s = 1\npair_wait_s = 600\nretry_s = 1\nsweep_s = 5\nlongest_pause_s = 2\n"


def write_settings(folder: Path, orthanc: Orthanc, pace: str = PACE) -> Path:
    """The settings of a loop with this PACS; the credentials are in a file of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pacs.authorization").write_text(orthanc.authorization)
    settings = folder / "watch.toml"
    settings.write_text(
        f'[pacs]\nurl = "{orthanc.url}"\nauthorization_file = "pacs.authorization"\n'
        f'[studies]\nsince = "all"\n[pace]\n{pace}[limits]\nfree_mib = 1\n'
    )
    return settings


def words(settings: Path, *more: str) -> list[str]:
    """The words of the command."""
    program = [sys.executable, "-m", "orchestration.cli.main", "watch", "-w", str(settings.parent / "ws")]
    return [*program, "--model", "bundled", "--settings", str(settings), *more]


@contextmanager
def started(settings: Path) -> Iterator[subprocess.Popen]:
    """The running loop, which is killed at the end; its log is appended to a file beside the settings."""
    with (settings.parent / "watch.log").open("ab") as log:
        loop = subprocess.Popen(words(settings), stdout=log, stderr=log)
    try:
        yield loop
    finally:
        loop.kill()
        loop.wait()
