"""The record of a run's cost: wall time, steps, peak memory of the process tree.

Contract: an error while the memory is measured does not stop the run.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import psutil

from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

_EVERY_SECONDS = 1.0


class PeakMemory:
    """The largest sum of resident memory over this process and its children that was measured, in MiB."""

    def __init__(self) -> None:
        self.mib = 0.0

    def sample(self) -> None:
        """Measure the memory once. Shared memory counts in every process that uses it, so the sum is an upper bound."""
        here = psutil.Process()
        total = 0
        for process in (here, *here.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # the process has ended
                continue
        self.mib = max(self.mib, total / 2**20)


@contextmanager
def sampled_memory() -> Iterator[PeakMemory]:
    """Measure the memory every second until the block ends."""
    peak, stop = PeakMemory(), threading.Event()

    def watch() -> None:
        while not stop.wait(_EVERY_SECONDS):
            peak.sample()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def write_run_record(workspace: Workspace, reports: Mapping[str, StepReport], started: float, peak: PeakMemory) -> None:
    """Write ``state/run.json``; ``started`` is ``time.perf_counter()`` at the start of the run."""
    record = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mib": round(peak.mib),
        "steps": [asdict(report) for report in reports.values()],
    }
    write_text_atomically(workspace.state / "run.json", json.dumps(record, indent=1))
