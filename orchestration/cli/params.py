"""The subcommand ``params``: every parameter of params.yaml with default, range and meaning."""

import click

from orchestration.cli.terminal import print_table
from orchestration.pipeline.params_table import parameter_sections
from spine.errors import ParametersRejected


@click.command()
@click.argument("words", nargs=-1)
def params(words: tuple[str, ...]) -> None:
    """List every parameter that params.yaml and --set accept. WORDS choose those whose key contains one of them.

    \b
    Example:  plumbline params
              plumbline params cohort learning_rate
    """
    found = False
    for section in parameter_sections():
        chosen = [r for r in section.rows if not words or any(word in r.key for word in words)]
        if chosen:
            found = True
            rows = [(r.key, r.default, ", ".join(filter(None, (r.kind, r.limits))), r.meaning) for r in chosen]
            print_table(section.about, ("key", "default", "accepts", "meaning"), rows)
    if not found:
        raise ParametersRejected(
            "PARAMETER_UNKNOWN",
            found=f"no parameter whose key contains {' or '.join(map(repr, words))}",
            expected="a part of a key, such as training or minutes",
            remedy="list all keys with `plumbline params`",
        )
