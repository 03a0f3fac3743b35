"""One measured figure, and how figures are measured and printed."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestration.cli.terminal import output


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
    output.print(f"\n[bold]{group}[/bold]")
    for f in figures:
        aside = "; ".join(part for part in (f"target {f.target}" if f.target else "", f.how) if part)
        output.print(f"  {f.name}: [bold]{f.value:.4g}[/bold] {f.unit}  [dim]({aside})[/dim]")


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of ``call`` after one call that does not count."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run_command(command: Sequence[str]) -> tuple[float, float]:
    """Wall time in seconds and peak memory in MiB of one process, without its children."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def python(*arguments: str) -> list[str]:
    """The command that runs this Python interpreter with these arguments."""
    return [sys.executable, *arguments]
