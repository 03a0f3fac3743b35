"""The subcommand ``quarantine``, which lists the studies in quarantine.

Contract: names of folders and files in the source may identify patients. They are printed, and never written.
"""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.pipeline.intake import quarantined_studies
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.printable import printable_name


@click.command()
@workspace_option
def quarantine(workspace: Path) -> None:
    """List the studies in quarantine: the folder or file in the source, the reason and the remedy.

    Names in the source may identify patients, so quarantine does not store them. This command finds the names again
    with the workspace's pseudonym key. Treat its output as confidential.

    \b
    Example:  plumbline quarantine -w ws
    """
    chosen = Workspace(workspace)
    listed = quarantined_studies(chosen, read_params(chosen.params_file))
    for study in listed:
        for location, name in study.origins:
            click.secho(f"{printable_name(name)}  (in {printable_name(str(location))})", bold=True)
        if not study.origins:
            click.secho("no longer in the source under this name, or the source itself is gone", bold=True)
        click.echo(f"    {study.code}: found {study.found}; expected {study.expected}; {study.remedy}")
        click.echo(f"    {study.folder}")
    click.echo(f"{len(listed)} in quarantine")
