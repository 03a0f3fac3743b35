"""The subcommand ``quarantine``, which lists the studies in quarantine.

Contract: names of folders and files in the source may identify patients. They are printed, and never written.
"""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.pipeline.intake import (
    FILE_COUNTS,
    PASSED_OVER_TABLE,
    STUDY_COUNTS,
    WAITING_TABLE,
    quarantined_studies,
)
from orchestration.pipeline.params import read_params
from orchestration.pipeline.step_report import read_step_report
from orchestration.pipeline.workspace import Workspace


@click.command()
@workspace_option
def quarantine(workspace: Path) -> None:
    """List the studies in quarantine, with reason and remedy, and what became of every file of the last intake.

    Names in the source may identify patients, so quarantine does not store them. This command finds the names again
    with the workspace's pseudonym key. Treat its output as confidential.

    \b
    Example:  plumbline quarantine -w ws
    """
    chosen = Workspace(workspace)
    listed = quarantined_studies(chosen, read_params(chosen.params_file))
    for study in listed:
        for location, name in study.origins:
            click.secho(f"{name}  (in {location})", bold=True)
        if not study.origins:
            click.secho("no longer in the source under this name, or the source itself is gone", bold=True)
        click.echo(f"    {study.code}: found {study.found}; expected {study.expected}; {study.remedy}")
        click.echo(f"    {study.folder}")
    click.echo(f"{len(listed)} in quarantine")
    _print_counts(chosen)


def _print_counts(workspace: Workspace) -> None:
    """What became of every study and file in the last intake."""
    report = read_step_report("studies", workspace)
    if report is None:
        return
    for what, names in (("studies", STUDY_COUNTS), ("files", FILE_COUNTS)):
        counts = ", ".join(f"{report.figures.get(name, 0)} {name.removeprefix('files ')}" for name in names)
        click.echo(f"the last intake, {what}: {counts}")
    for title in (WAITING_TABLE, PASSED_OVER_TABLE):
        for row in report.tables.get(title, ()):
            click.echo("    " + " ".join(str(value) for value in reversed(row.values())) + f"  ({title})")
