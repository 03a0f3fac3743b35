"""The subcommand ``status``: the state of a workspace on one screen."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import human_size, output
from orchestration.pipeline.params import existing_workspace
from orchestration.printable import printable_name

if TYPE_CHECKING:
    from orchestration.dagster.overview import RunLine
    from orchestration.services.status import Status

_WIDTH = 11
_ALERTS = 5


@click.command()
@workspace_option
def status(workspace: Path) -> None:
    """Show services, runs, champion, incoming studies, disk use and the next scheduled run on one screen.

    \b
    Example:  plumbline status -w ws
    """
    from orchestration.services.status import status_of  # imports Dagster, which takes 0.6 s

    chosen = existing_workspace(workspace)
    found = status_of(chosen)
    output.print(f"{'workspace':<{_WIDTH}}{chosen.root}")
    for name, lines in _paragraphs(found).items():
        for i, line in enumerate(lines):
            output.print(f"{'' if i else name:<{_WIDTH}}{line}")


def _paragraphs(found: "Status") -> dict[str, list[str]]:
    waiting = (
        f"{len(found.waiting)} batch(es) wait: {', '.join(map(printable_name, found.waiting))}"
        if found.waiting
        else "no batch waits"
    )
    if found.unfinished:
        waiting += f"; without the file COMPLETE: {', '.join(map(printable_name, found.unfinished))}"
    sizes = [f"{name} {human_size(size)}" for name, size in found.disk.items()]
    return {
        "services": [f"{name:<8}{at}" for name, at in found.services.items()] or ["starting"]
        if found.services is not None
        else ["not running; `make up` starts them"],
        "runs": [
            "a run is writing now" if found.writing else "no run is writing",
            *(_run_line(run) for run in found.runs),
        ],
        "next run": [f"{name}: {_next(at, found.services is not None)}" for name, at in found.schedules],
        "models": [f"{role:<27}{version:<25}{model}".rstrip() for role, version, model in found.models],
        "verdict": [found.verdict],
        "inbox": [f"{waiting}; {found.quarantined} studies in quarantine"],
        "alerts": [f"{a.at[:16].replace('T', ' ')} UTC  {a.kind}: {a.text}" for a in found.alerts[-_ALERTS:]]
        or ["none in the last days"],
        "disk": [
            ", ".join(sizes),
            f"together {human_size(sum(found.disk.values()))}; free on this disk {human_size(found.free_bytes)}",
        ],
    }


def _run_line(run: "RunLine") -> str:
    started = f"{run.started:%Y-%m-%d %H:%M} UTC" if run.started is not None else "waits"
    took = f"{(run.ended - run.started).total_seconds() / 60:.1f} min" if run.started and run.ended else ""
    return f"{started:<22}{run.job:<14}{run.status.lower():<12}{took:>10}  run {run.run_id[:8]}"


def _next(at: datetime | None, running: bool) -> str:
    if at is None:
        return "switched off"
    return f"{at:%A %Y-%m-%d %H:%M} UTC" + ("" if running else ", if the services run then")
