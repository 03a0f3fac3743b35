"""Subcommands about what was taken in: ``quarantine``.

Contract: names of folders and radiographs go to the terminal of whoever asks, who has them and the key already;
    nothing is written.
"""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.pipeline.intake import quarantined_studies
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace


@click.command()
@workspace_option
def quarantine(workspace: Path) -> None:
    """List the studies in quarantine: which folder or radiograph of the source each is, why, and what to do.

    Quarantine itself names no folder and no file, for their names may be those of patients; this is where they are
    put together again, from the workspace's key and the source. Take care whom you show it.

    \b
    Example:  plumbline quarantine -w ws
    """

    chosen = Workspace(workspace)
    refused = quarantined_studies(chosen, read_params(chosen.params_file))
    for study in refused:
        for location, name in study.origins:
            click.secho(f"{name}  (in {location})", bold=True)
        if not study.origins:
            click.secho("no longer in its source under this name", bold=True)
        click.echo(f"    {study.code}: found {study.found}; expected {study.expected}; {study.remedy}")
        click.echo(f"    {study.folder}")
    click.echo(f"{len(refused)} in quarantine")
