"""Subcommand that writes the report on the candidate: ``review``."""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.review_page import write_report_page


@click.command()
@workspace_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write.  [state/report/report.html]"
)
def review(workspace: Path, out: Path | None) -> None:
    """Write the report from which a reviewer decides on the latest candidate: one HTML file that needs no network.

    \b
    Example:  plumbline review -w workspace/demo --out report.html
    """
    chosen = Workspace(workspace)
    page = write_report_page(chosen, read_params(chosen.params_file), out)
    output.print(f"{page}\n{page.stat().st_size / 1e6:.1f} MB; open it in a browser (no network needed)")
