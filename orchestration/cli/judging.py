"""Subcommands of the reviewer: ``verdict``, ``explain``, ``promote``.

What belongs here: options and printing. What does not: judging and promoting (``validation.gates``).
"""

from pathlib import Path

import click

from orchestration.chain.workspace import Workspace
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_step, print_table


@click.command()
@workspace_option
def verdict(workspace: Path) -> None:
    """Print the latest verdict as a table: rule, figure, threshold, outcome.

    \b
    Example:  plumbline verdict -w workspace/demo
    """
    print_verdict(Workspace(workspace))


def print_verdict(workspace: Workspace) -> None:
    """The table of the latest verdict, with its decision as title."""
    from validation.gates.verdict import read_verdict, verdict_table

    judged = read_verdict(workspace.verdict_file)
    rows = [
        [row.parameter, _figure(row.error, row.unit), _figure(row.threshold, row.unit), _outcome(row.outcome, row.note)]
        for row in verdict_table(judged)
    ]
    note = "virtual patients: says nothing about real ones" if judged.simulated else "real films"
    title = f"{judged.decision}  (verdict {judged.digest[:12]})"
    print_table(title, ("parameter", "error", "threshold", "verdict"), rows, note=note)


def _outcome(outcome: str, note: str) -> str:
    """The outcome, and in words which figures it was for: ``REJECT (bias above ceiling)``."""
    plain = note.replace("truths TOO", "TOO").replace("patients TOO", "TOO")
    plain = plain.replace("standard_error_of_estimate ", "error ").replace("icc_a1", "ICC").replace("_", " ")
    return f"{outcome} ({plain.lower()})" if plain else outcome


def _figure(value: float | None, unit: str) -> str:
    return "absent" if value is None else f"{value:.2f} {unit}".rstrip()


@click.command()
@click.argument("verdict_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@workspace_option
def explain(verdict_file: Path | None, workspace: Path) -> None:
    """Tell a verdict in plain words (the workspace's latest, unless a file is named).

    \b
    Example:  plumbline explain workspace/demo/state/verdicts/latest.json
    """
    from validation.gates.verdict import explain as explained
    from validation.gates.verdict import read_verdict

    output.print(explained(read_verdict(verdict_file or Workspace(workspace).verdict_file)))


@click.command()
@workspace_option
@click.option("--by", "promoter", required=True, help="Who promotes; recorded in the history.")
@click.option("--approval", default="", help="Approval's file or digest; the latest of this verdict by default.")
def promote(workspace: Path, promoter: str, approval: str) -> None:
    """Promote the judged candidate. Every digest, figure and rule is checked again; a refusal says why (exit 3).

    \b
    Example:  plumbline promote -w workspace/demo --by "R. Viewer"
    """
    from orchestration.chain.decision import promote_champion
    from orchestration.chain.lock import chain_lock
    from orchestration.chain.params import read_params

    chosen = Workspace(workspace)
    with chain_lock(chosen):
        print_step(promote_champion(chosen, read_params(chosen.params_file), promoter, approval))
