"""Progress and reports of a run's steps, for the run's log or for the command line.

Contract: assets use the resource ``watcher``. Under the services the watcher writes to the run's log. On the command
line it draws progress and keeps the reports.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from dagster import get_dagster_logger

from orchestration.pipeline.step_report import StepReport, progress_text
from spine.types import Progress

OpenProgress = Callable[[str], AbstractContextManager[Progress]]
"""Called with a step's name; yields a function that the step calls with (done, total)."""

OnStep = Callable[[StepReport], None]
"""Called with the report of each finished step."""


class StepWatcher(Protocol):
    """Receives the progress of a run."""

    def watch(self, step: str) -> AbstractContextManager[Progress]:
        """The context in which the step runs; the step's exceptions pass through this context."""

    def ended(self, report: StepReport) -> None:
        """Called when a step has run or was found up to date."""


class LogWatcher:
    """Writes to the run's log, with at most ten lines of progress for each step."""

    @contextmanager
    def watch(self, step: str) -> Iterator[Progress]:
        """See ``StepWatcher``."""
        reported, began = 0, time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal reported
            tenth = 10 * done // max(total, 1)
            if tenth > reported:
                reported = tenth
                get_dagster_logger().info(f"{step}: {progress_text(done, total, time.monotonic() - began)}")

        yield progress

    def ended(self, report: StepReport) -> None:
        """See ``StepWatcher``."""
        how = "unchanged, skipped" if report.skipped else f"done in {report.seconds:.1f} s"
        get_dagster_logger().info(f"{report.step}: {how}")


class RecordingWatcher:
    """Passes reports to callbacks, and keeps every report and the first error."""

    def __init__(self, on_step: OnStep, progress: OpenProgress) -> None:
        self._on_step = on_step
        self._progress = progress
        self.reports: dict[str, StepReport] = {}
        self.error: tuple[str, BaseException] | None = None

    @contextmanager
    def watch(self, step: str) -> Iterator[Progress]:
        """See ``StepWatcher``."""
        try:
            with self._progress(step) as progress:
                yield progress
        except BaseException as error:
            self.error = self.error or (step, error)
            raise

    def ended(self, report: StepReport) -> None:
        """See ``StepWatcher``."""
        self.reports[report.step] = report
        self._on_step(report)


@contextmanager
def no_progress(step: str) -> Iterator[Progress]:
    """An ``OpenProgress`` that shows nothing."""
    yield lambda done, total: None
