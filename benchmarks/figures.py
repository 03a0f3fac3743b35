"""One measured figure, and how figures are measured and printed."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestration.cli.terminal import output

Result = TypeVar("Result")


@dataclass(frozen=True)
class Figure:
    """A figure with its unit, its target (or ``""``) and how it was measured."""

    name: str
    value: float
    unit: str
    target: str = ""
    how: str = ""


def print_figures(group: str, figures: Sequence[Figure]) -> None:
    """Print the figures of one group, one on each line."""
    output.print(f"\n[bold]{group}[/bold]", markup=True)
    for f in figures:
        aside = "; ".join(part for part in (f"target {f.target}" if f.target else "", f.how) if part)
        output.print(f"  {f.name}: [bold]{f.value:.4g}[/bold] {f.unit}  [dim]({aside})[/dim]", markup=True)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for cells in (head, ["---"] * len(head), *rows):
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def new_chart(width: float, height: float) -> tuple[Any, Any]:
    """A Matplotlib figure without a screen, and its axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), dpi=110, constrained_layout=True)


def save_chart(figure: Any, path: Path) -> None:
    """Write a figure of ``new_chart`` as a PNG."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """The result of ``call``, and its wall time in seconds."""
    started = time.perf_counter()
    return call(), time.perf_counter() - started


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of ``call`` after one call that does not count."""
    call()
    return statistics.median(timed(call)[1] for _ in range(repeats))


def run_command(command: Sequence[str]) -> tuple[float, float]:
    """Wall time in seconds and peak memory in MiB of one process, without its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (_, status, usage), seconds = timed(lambda: os.wait4(process.pid, 0))
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss / 1024


def python(*arguments: str) -> list[str]:
    """The command that runs this Python interpreter with these arguments."""
    return [sys.executable, *arguments]
