"""The page of the command line."""

import contextlib
import inspect
import io
import re

import click

from docs.generate.markdown import code, plain, table
from orchestration.cli.main import plumbline

_INTRODUCTION = """# Command line

This page is made from the commands' own help (`plumbline --help`, `plumbline COMMAND --help`).
[Exit codes](errors.md) are the same for all commands.

"""


def command_line_page() -> str:
    """Every subcommand of ``plumbline`` in the order of its help, then ``python -m training``."""
    with click.Context(plumbline, info_name="plumbline") as context:
        names = plumbline.list_commands(context)
        commands = [(name, command) for name in names if (command := plumbline.get_command(context, name))]
        summary = table(("Command", "What it does"), (_summary(name, command) for name, command in commands))
        sections = [_section(name, command, context) for name, command in commands]
    return "\n".join((_INTRODUCTION + summary, *sections, _training()))


def _summary(name: str, command: click.Command) -> tuple[str, str]:
    return f"[`{name}`](#plumbline-{name})", plain(command.get_short_help_str(limit=200))


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    with click.Context(command, info_name=name, parent=parent) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        records = [record for p in command.params if (record := p.get_help_record(context)) and record[1]]
    options = table(("Option", "Meaning"), ((code(left), plain(right)) for left, right in records))
    return f"## plumbline {name}\n\n{_description(command.help or '')}\n\n```text\n{usage}\n```\n\n{options}"


def _description(text: str) -> str:
    """Help of a command as Markdown. A paragraph that click does not wrap (``\\b``) may be an example."""
    paragraphs = (paragraph.strip("\n") for paragraph in inspect.cleandoc(text).split("\n\n"))
    return "\n\n".join(map(_paragraph, paragraphs))


def _paragraph(text: str) -> str:
    unwrapped = text.removeprefix("\b\n")
    if not unwrapped.startswith("Example:"):
        return re.sub(r"\s+", " ", unwrapped)
    lines = inspect.cleandoc(unwrapped.replace("Example:", " " * len("Example:"), 1))
    return f"```sh\n{lines}\n```"


def _training() -> str:
    """The help of ``python -m training``, as the command prints it."""
    from training.__main__ import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(["--help"])
    return f"## python -m training\n\n```text\n{printed.getvalue()}```\n"
