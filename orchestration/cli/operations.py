"""The subcommands of the operator: ``status``, ``backup``, ``restore`` and ``clean``."""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.registry import verify_history
from orchestration.cli.terminal import output
from orchestration.lifecycle.backup import restore_backup, write_backup
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace
from validation.promotion.database import database_exists
from validation.promotion.history import read_history


@click.command()
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
@workspace_option
def backup(archive: Path, workspace: Path) -> None:
    """Write the workspace into ARCHIVE, a new file such as plumbline-2026-11-30.tar.gz.

    The services may keep running. While a run writes, nothing is saved, and the exit code is 4. Afterwards the history
    is verified; if it has faults, the exit code is 3. The archive is as confidential as the workspace: it contains the
    pseudonym key and the quarantined studies.

    \b
    Example:  plumbline backup /backup/ws-$(date +%F).tar.gz -w ws
    """
    chosen = existing_workspace(workspace)
    done = write_backup(chosen, archive)
    output.print(f"{archive}: {done.files} files, {_size(done.content_bytes)}; archive {_size(archive.stat().st_size)}")
    _note_other_registry(chosen)
    _verify(chosen)


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@workspace_option
def restore(archive: Path, workspace: Path) -> None:
    """Restore the workspace in ARCHIVE into a new folder (-w), and verify every file and the history.

    \b
    Example:  plumbline restore /backup/ws-2026-11-30.tar.gz -w ws
    """
    chosen = Workspace(workspace)
    done = restore_backup(archive, chosen)
    output.print(f"{chosen.root}: {done.files} files, {_size(done.content_bytes)}, each as it was saved")
    _note_other_registry(chosen)
    _verify(existing_workspace(workspace))


def _verify(workspace: Workspace) -> None:
    entries = read_history(workspace.promotion_ledger)
    if not entries and not database_exists(workspace.tracking_uri):
        output.print("no model was registered yet, so there is no history to verify")
        return
    verify_history(workspace)
    output.print(f"history verified: {len(entries)} entries; registry, champion record, alias and local copy agree")


def _note_other_registry(workspace: Workspace) -> None:
    if workspace.tracking_uri != workspace.own_tracking_uri:
        output.print("MLflow is elsewhere (PLUMBLINE_TRACKING_URI), so its runs and models are not in the archive")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
