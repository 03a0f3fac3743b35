"""The subcommand ``watch``: measures the studies of a PACS with the champion, and stores the results beside them."""

import signal
import threading
from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.serving import require_serving, served_champion
from orchestration.cli.terminal import errors
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from serving.watch.study_row import StudyRow


@click.command()
@workspace_option
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with the PACS, the studies and the times (docs/pacs-loop.md).",
)
@click.option("--once", is_flag=True, help="One full search, every study that can be taken now, then end.")
@click.option("--status", is_flag=True, help="Print the states, and every refused and failed study; change nothing.")
@click.option("--retry-failed", is_flag=True, help="First take up the studies that were given up.")
@click.option("--model", type=click.Choice(["bundled"]), help="Use the bundled model instead of the champion.")
def watch(
    workspace: Path, settings_file: Path | None, once: bool, status: bool, retry_failed: bool, model: str | None
) -> None:
    """Measure the studies of a PACS over DICOMweb with the champion, and store the results in the PACS.

    Each study has a state on disk, so the loop goes on after any interruption without double results. SIGTERM ends it
    after the current study. The log has one JSON object on a line and identifies no patient. The credentials are in a
    file that the settings name, or in PLUMBLINE_PACS_AUTHORIZATION. Not for diagnosis.

    \b
    Example:  plumbline watch --settings watch.toml -w ws
              plumbline watch -w ws --status
    """
    place = Workspace(workspace) if model else existing_workspace(workspace)
    if status:
        _print_status(place)
    elif settings_file is None:
        raise click.UsageError("give --settings FILE, or --status")
    elif not _watched(place, settings_file, once=once, retry_failed=retry_failed, bundled=model is not None):
        raise click.exceptions.Exit(1)


def _watched(place: Workspace, settings_file: Path, *, once: bool, retry_failed: bool, bundled: bool) -> bool:
    """Run the loop until it is told to end. Returns False if a single run could not do all its work."""
    require_serving()
    from serving.results.objects import require_installed
    from serving.service.logs import log_as_json_lines
    from serving.watch.loop import PacsLoop, free_bytes
    from serving.watch.settings_file import read_watch_settings
    from serving.watch.state_table import open_table

    require_installed()
    settings = read_watch_settings(settings_file)
    champion = served_champion(place, bundled=bundled)
    with open_table(place.watch) as table:
        log_as_json_lines()
        stopped = _stopped_by_signals()
        loop = PacsLoop(settings, table, champion, partial(free_bytes, place.watch))
        if retry_failed:
            errors.print(f"taken up again: {loop.retry_failed()} studies", highlight=False)
        if once:
            return loop.once(stopped)
        loop.run(stopped)
        return True


def _stopped_by_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that the current study is finished."""
    stopped = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda number, frame: stopped.set())
    return stopped


def _print_status(place: Workspace) -> None:
    from serving.watch.state_table import reading_table
    from serving.watch.study_row import State

    with reading_table(place.watch) as table:
        rows = [] if table is None else table.rows()
    counts = Counter(row.state for row in rows)
    for state in State:
        click.echo(f"{state.value:<17} {counts[state]:>7}")
    for row in rows:
        if row.state in (State.REFUSED, State.FAILED):
            click.echo(f"\n{_headline(row)}\n  {row.sentence}")


def _headline(row: "StudyRow") -> str:
    from serving.watch.study_step import study_digest

    words = [row.state.value, row.code, row.study_uid, f"(in the log: {study_digest(row.study_uid)})"]
    if row.attempts:
        words.append(f"{row.attempts} attempts")
    if row.due is not None:
        words.append(f"next attempt {datetime.fromtimestamp(row.due).astimezone():%Y-%m-%d %H:%M:%S}")
    return " ".join(words)
