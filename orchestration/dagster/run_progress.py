"""Watching a run: who is told how far a step is, and what it said when it was done.

Contract: assets ask for the resource ``watcher``; under the services it writes to the run's log, on the command line
it draws and remembers what the outcome has to tell.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from dagster import get_dagster_logger

from orchestration.pipeline.step_report import StepReport
from spine.types import Progress

OpenProgress = Callable[[str], AbstractContextManager[Progress]]
"""Called with a step's name; yields what the step calls with (done, total)."""

OnStep = Callable[[StepReport], None]
"""Called with the report of every step that has ended well."""


class StepWatcher(Protocol):
    """Somebody who wants to know how far a run is."""

    def watch(self, step: str) -> AbstractContextManager[Progress]:
        """Held while the step works; sees the exception it may raise."""

    def ended(self, report: StepReport) -> None:
        """The step is done, or was found up to date."""


class LogWatcher:
    """Writes to the run's log, at most ten lines of progress a step."""

    @contextmanager
    def watch(self, step: str) -> Iterator[Progress]:
        """See ``StepWatcher``."""
        said = 0

        def progress(done: int, total: int) -> None:
            nonlocal said
            tenth = 10 * done // max(total, 1)
            if tenth > said:
                said = tenth
                get_dagster_logger().info(f"{step}: {done} of {total}")

        yield progress

    def ended(self, report: StepReport) -> None:
        """See ``StepWatcher``."""
        how = "unchanged, nothing computed" if report.skipped else f"done in {report.seconds:.1f} s"
        get_dagster_logger().info(f"{report.step}: {how}")


class RecordingWatcher:
    """Hands on to callbacks, and keeps every report and the first error."""

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
