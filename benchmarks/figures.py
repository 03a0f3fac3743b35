"""One measured figure, and how figures are printed."""

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
    """A figure with its unit, its target (if any) and how it was measured."""

    name: str
    value: float
    unit: str
    target: str = ""
    how: str = ""


def print_figures(group: str, figures: Sequence[Figure]) -> None:
    """Print one group, one line for each figure, because tables break long names on narrow terminals."""
    output.print(f"\n[bold]{group}[/bold]")
    for f in figures:
        aside = "; ".join(part for part in (f"target {f.target}" if f.target else "", f.how) if part)
        output.print(f"  {f.name}: [bold]{f.value:.4g}[/bold] {f.unit}  [dim]({aside})[/dim]")


def median_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of ``call`` after one warm-up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run_command(command: Sequence[str]) -> tuple[float, float]:
    """(wall seconds, peak MiB) of this process only."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def python(*arguments: str) -> list[str]:
    """A command that runs this interpreter."""
    return [sys.executable, *arguments]
