"""Options that several subcommands share."""

from pathlib import Path

import click

workspace_option = click.option(
    "--workspace",
    "-w",
    type=click.Path(file_okay=False, path_type=Path),
    default="workspace/demo",
    show_default=True,
    envvar="PLUMBLINE_WORKSPACE",
    help="The workspace folder (or set PLUMBLINE_WORKSPACE).",
)

recipe_option = click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME",
    help="Parameters from a recipe: bundled, or a TOML file. May be repeated; --set overrides recipes.",
)
