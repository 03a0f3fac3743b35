"""What a person sees in the terminal: progress, step lines, tables.

What belongs here: drawing. What does not: computing what is drawn. Contract: progress goes to stderr and is
drawn for anything longer than two seconds, as a bar on a terminal and as sparse lines in a log; results
go to stdout.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from orchestration.chain.report import Figure, StepReport
from orchestration.chain.report import Progress as ProgressCall

errors = Console(stderr=True, highlight=False)
output = Console(highlight=False, soft_wrap=True)

_LOG_EVERY_SECONDS = 15.0


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressCall]:
    """A ``progress(done, total)`` callable that draws itself until the block ends."""
    if errors.is_terminal:
        with _bar() as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _LogLines(title)


def _bar() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=errors, transient=True)


class _LogLines:
    """Progress for a log file: a line at most every fifteen seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LOG_EVERY_SECONDS:
            self._last = now
            how_far = f"{done / 10:.0f} %" if total == 1000 else f"{done} of {total}"  # budgets count in thousandths
            errors.print(f"  {self._title}: {how_far}")


def print_step(report: StepReport) -> None:
    """One finished step: its name, time and figures."""
    if "not needed" in report.figures:
        return
    took = "unchanged" if report.skipped else f"{report.seconds:.1f} s"
    told = {name: value for name, value in report.figures.items() if not name.startswith("reason")}
    figures = ", ".join(f"{name} {_plain(value)}" for name, value in told.items())
    name = report.step.replace("_", " ")
    errors.print(f"[green]✓[/green] [bold]{name:<20}[/bold] [dim]{took:>9}[/dim]  {figures}", soft_wrap=True)


def _plain(value: Figure) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> None:
    """A table on stdout; cells that start with a verdict word are coloured."""
    table = Table(title=title, title_justify="left", header_style="bold", caption=note or None, caption_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i in (0, len(columns) - 1) else "right", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(_coloured(cell) for cell in row))
    output.print(table)


_COLOURS: Mapping[str, str] = {"pass": "green", "promote": "green", "fail": "red", "reject": "red", "hold": "yellow"}


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.split(" ")[0].rstrip(":").lower())
    return f"[{colour}]{cell}[/{colour}]" if colour else cell
