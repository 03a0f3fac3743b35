"""The subcommand ``params``: every parameter of params.yaml, and the values of a workspace."""

from pathlib import Path

import click

from orchestration.cli.terminal import print_table, print_text
from orchestration.pipeline.params import read_params
from orchestration.pipeline.params_table import ParameterRow, parameter_sections
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected


@click.command()
@click.argument("words", nargs=-1)
@click.option(
    "--workspace",
    "-w",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PLUMBLINE_WORKSPACE",
    help="List the values of this workspace also (or set PLUMBLINE_WORKSPACE).",
)
def params(words: tuple[str, ...], workspace: Path | None) -> None:
    """List every parameter that params.yaml and --set accept. WORDS choose those whose key contains one of them.

    With a workspace, its values are listed beside the defaults, and those that differ are marked with *.

    \b
    Example:  plumbline params
              plumbline params cohort learning_rate
              plumbline params -w workspace/demo
    """
    own = None if workspace is None else read_params(Workspace(workspace).params_file)
    found: list[ParameterRow] = []
    for section in parameter_sections(own):
        chosen = [r for r in section.rows if not words or any(word in r.key for word in words)]
        if chosen:
            _print_section(section.about, chosen, with_values=own is not None)
        found += chosen
    if not found:
        raise ParametersRejected(
            "PARAMETER_UNKNOWN",
            found=f"no parameter whose key contains {' or '.join(map(repr, words))}",
            expected="a part of a key, such as training or minutes",
            remedy="list all keys with `plumbline params`",
        )
    if own is not None:
        differ = sum(r.value != r.default for r in found)
        print_text(f"* {differ} of these values {'differs' if differ == 1 else 'differ'} from the default.")


def _print_section(about: str, rows: list[ParameterRow], *, with_values: bool) -> None:
    columns = {
        "key": [row.key for row in rows],
        "workspace": [f"{row.value}{' *' if row.value != row.default else ''}" for row in rows],
        "default": [row.default for row in rows],
        "accepts": [", ".join(filter(None, (row.kind, row.limits))) for row in rows],
        "meaning": [row.meaning for row in rows],
    }
    if not with_values:
        del columns["workspace"]
    print_table(about, tuple(columns), list(zip(*columns.values(), strict=True)))
