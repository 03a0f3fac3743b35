"""Options that several subcommands share."""

from collections.abc import Callable
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

SOURCES = click.Choice(["virtual", "folder", "aasce", "ct-keypoints", "annotations"])

source_option = click.option("--source", type=SOURCES, help="Where studies come from.  [virtual in a new workspace]")

location_option = click.option(
    "--location", type=click.Path(path_type=Path), help="Folder of the source (the source virtual has none)."
)

setting_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a parameter: training.minutes=3. `plumbline params` lists them.",
)

_recipe_option = click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME",
    help="Parameters from a recipe: bundled, or a TOML file. May be repeated; --set overrides recipes.",
)


def parameter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a subcommand the options that change params.yaml, under the names of ``prepare_workspace``."""
    return source_option(location_option(_recipe_option(setting_option(command))))
