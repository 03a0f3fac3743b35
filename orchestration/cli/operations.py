"""The subcommands of the operator: ``backup``, ``restore`` and ``clean``."""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.registry import verify_history
from orchestration.cli.terminal import human_size, output, print_table
from orchestration.lifecycle.backup import restore_backup, write_backup
from orchestration.pipeline.params import existing_workspace
from orchestration.pipeline.workspace import Workspace
from validation.registry.database import database_exists


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
    output.print(
        f"{archive}: {done.files} files, {human_size(done.content_bytes)}; archive {human_size(archive.stat().st_size)}"
    )
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
    output.print(f"{chosen.root}: {done.files} files, {human_size(done.content_bytes)}, each as it was saved")
    _note_other_registry(chosen)
    _verify(existing_workspace(workspace))


@click.command()
@workspace_option
@click.option("--dry-run", is_flag=True, help="Only list what would be removed, with sizes.")
@click.option(
    "--older-than", "days", type=click.FloatRange(0), default=30.0, show_default=True, help="Days; for runs and fits."
)
def clean(workspace: Path, dry_run: bool, days: float) -> None:
    """Remove cached data of old versions, old Dagster runs with their images, and old failed fits.

    What the champion, the previous champion, the last approved model, an evaluation record or the current data needs
    stays, and so does the history, which is verified afterwards. Stop the services first; a dry run does not need this.

    \b
    Example:  plumbline clean --dry-run -w ws
              plumbline clean --older-than 90 -w ws
    """
    from orchestration.services.cleaning import clean as clean_workspace  # imports Dagster, which takes 0.6 s

    chosen = existing_workspace(workspace)
    found = clean_workspace(chosen, days, dry_run=dry_run)
    if not found:
        output.print("nothing to remove")
        return
    kinds = dict.fromkeys(leftover.kind for leftover in found)
    rows = [(kind, [item.size_bytes for item in found if item.kind == kind]) for kind in kinds]
    cells = [(kind, str(len(sizes)), human_size(sum(sizes))) for kind, sizes in rows]
    total = ("together", str(len(found)), human_size(sum(item.size_bytes for item in found)))
    print_table("Would be removed" if dry_run else "Removed", ("what", "number", "size"), [*cells, total])
    if not dry_run:
        _verify(chosen)


def _verify(workspace: Workspace) -> None:
    if not database_exists(workspace.tracking_uri) and not workspace.history_copy.exists():
        output.print("no model was registered yet, so there is no history to verify")
        return
    verify_history(workspace)


def _note_other_registry(workspace: Workspace) -> None:
    if workspace.tracking_uri != workspace.own_tracking_uri:
        output.print("MLflow is elsewhere (PLUMBLINE_TRACKING_URI), so its runs and models are not in the archive")
