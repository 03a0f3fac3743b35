"""Terminal output: progress, step lines and tables.

Contract: progress goes to stderr, as a bar on a terminal and as occasional lines in a log. Results go to stdout.
Results are folded to the width of the window and never cut. Text is printed as it is: square brackets in the name of a
file or a person are no markup.
"""

import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from orchestration.pipeline.step_report import Figure, Row, StepReport, progress_text
from orchestration.printable import printable
from spine.types import Progress as ProgressCall

errors = Console(stderr=True, highlight=False, markup=False)
output = Console(highlight=False, markup=False, soft_wrap=True)

_LOG_EVERY_SECONDS = 15.0
_FIRST_LINE_SECONDS = 5.0


@contextmanager
def progress_bar(title: str, status: Callable[[], str] = str) -> Iterator[ProgressCall]:
    """A ``progress(done, total)`` function that draws a bar until the block ends.

    ``status`` returns a text that is shown behind the position, such as the present loss.
    """
    if not errors.is_terminal:
        lines = _LogLines(title, status)
        first = threading.Timer(_FIRST_LINE_SECONDS, lines.first)
        first.daemon = True
        first.start()
        try:
            yield lines
        finally:
            first.cancel()
        return
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    columns += [
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left {task.fields[now]}", markup=False),
    ]
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(title, total=None, now="")
        yield lambda done, total: bar.update(task, completed=done, total=total, now=status())


class _LogLines:
    """Progress in a log file: at most one line every fifteen seconds, and one for each step of five seconds or more."""

    def __init__(self, title: str, status: Callable[[], str]) -> None:
        self._title, self._status = title, status
        self._began = self._last = time.monotonic()
        self._silent = True

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LOG_EVERY_SECONDS:
            self._last = now
            self._print(progress_text(done, total, now - self._began))

    def first(self) -> None:
        """Print that the step is at work, if no line was printed yet."""
        if self._silent:
            self._print(f"at work, {time.monotonic() - self._began:.0f} s elapsed")

    def _print(self, text: str) -> None:
        self._silent = False
        line = ", ".join(filter(None, (f"{self._title}: {text}", self._status())))
        errors.print(f"  {line}", soft_wrap=True)


def print_step(report: StepReport) -> None:
    """Print the name, time and figures of a finished step."""
    if "not needed" in report.figures:
        return
    took = "unchanged" if report.skipped else f"{report.seconds:.1f} s"
    parts = [f"{name} {_plain(value)}" for name, value in report.figures.items()]
    parts += [f"{title}: {_counts(rows)}" for title, rows in report.tables.items() if len(rows[0]) == _COUNTS]
    figures = ", ".join(parts)
    name = report.step.replace("_", " ")
    parts_of_line = (("✓", "green"), " ", (f"{name:<20}", "bold"), " ", (f"{took:>9}", "dim"), f"  {figures}")
    errors.print(Text.assemble(*parts_of_line), soft_wrap=True)


_COUNTS = 2
"""The number of columns of a table that fits a line: names and counts."""


def _counts(rows: Sequence[Row]) -> str:
    return ", ".join(" ".join(map(str, row.values())) for row in rows)


def _plain(value: Figure) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> None:
    """Print a table; cells that start with an outcome, such as PASS, are coloured.

    Nothing is cut. Prose folds between words; figures and names are not broken. If the table is still too wide for the
    window, each row becomes a list item. In a file or pipe the width is unlimited, except if ``COLUMNS`` is set.
    """
    rows, available = [[printable(cell) for cell in row] for row in rows], _window_width()
    widths = _widths(columns, rows, available)
    if widths is None:
        _print_points(title, columns, rows, note)
        return
    table = Table(title=title, title_justify="left", header_style="bold", caption=note or None, caption_justify="left")
    for i, (column, width) in enumerate(zip(columns, widths, strict=True)):
        left = i in (0, len(columns) - 1) or max((len(row[i]) for row in rows), default=0) > _LONGEST_WHOLE
        table.add_column(column, justify="left" if left else "right", width=width)
    for row in rows:
        table.add_row(*(_coloured(cell) for cell in row))
    known = output.width
    output.width = available or max(known, sum(widths) + 3 * len(widths) + 1, len(title), len(note))
    output.print(table, soft_wrap=False)
    output.width = known


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], available: int | None) -> list[int] | None:
    """Column widths that keep words and figures whole; None if the window is too narrow for them."""
    cells = [(column, *(row[i] for row in rows)) for i, column in enumerate(columns)]
    whole = [max(map(len, column)) for column in cells]
    if available is None:
        return whole
    words = [max((len(word) for cell in column for word in cell.split()), default=0) for column in cells]
    widths = [w if w <= _LONGEST_WHOLE else max(least, _NARROWEST) for w, least in zip(whole, words, strict=True)]
    spare = available - sum(widths) - 3 * len(widths) - 1
    if spare < 0:
        return None
    for _ in range(spare):  # spare width goes to the column that folds most
        fullest = max(range(len(widths)), key=lambda i: whole[i] / max(widths[i], 1))
        widths[fullest] += widths[fullest] < whole[fullest]
    return widths


def _window_width() -> int | None:
    """Width of the window; None if the output goes to a file or a pipe."""
    return output.width if output.is_terminal or "COLUMNS" in os.environ else None


def _print_points(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> None:
    """Print each row as a list item, and each cell after its column's name."""
    output.print(title, style="italic")
    for row in rows:
        cells = [f"{name} {cell}".strip() for name, cell in zip(columns, row, strict=True) if cell]
        _print_folded("- " + " · ".join(cells), "  ", output.width)
    if note:
        _print_folded(note, "", output.width)


def human_size(count: float) -> str:
    """A number of bytes with a decimal unit: 950 B, 12 kB, 3.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def print_text(text: str) -> None:
    """Print lines of text, folded to the window; list items are indented under their dash."""
    available = _window_width()
    for line in text.splitlines():
        if available is None:
            output.print(line)
        else:
            _print_folded(line, "  " if line.startswith("- ") else "", available)


def _print_folded(line: str, others: str, width: int) -> None:
    folded = textwrap.wrap(line, width, subsequent_indent=others, break_long_words=False, break_on_hyphens=False)
    for part in folded or [""]:
        output.print(part)


_LONGEST_WHOLE = 20
"""Number of characters. A column with a longer cell is prose and may fold between words."""

_NARROWEST = 14
"""Number of characters. Prose in a narrower column is harder to read than a list."""

_COLOURS: Mapping[str, str] = {
    "pass": "green",
    "promote": "green",
    "fail": "red",
    "reject": "red",
    "hold": "yellow",
    "insufficient": "yellow",
}


def _coloured(cell: str) -> Text:
    return Text(cell, style=_COLOURS.get(cell.split(" ")[0].rstrip(":").lower(), ""))
