"""Subcommands of the reviewer: ``verdict``, ``explain``, ``promote``, ``champion``.

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
def promote(workspace: Path, promoter: str) -> None:
    """Promote the judged candidate. Every digest, figure and rule is checked again; a refusal says why (exit 3).

    \b
    Example:  plumbline promote -w workspace/demo --by "R. Viewer"
    """
    from orchestration.chain.decision import promote_champion
    from orchestration.chain.params import read_params

    chosen = Workspace(workspace)
    print_step(promote_champion(chosen, read_params(chosen.params_file), promoter))


@click.command()
@workspace_option
@click.option("--fetch", is_flag=True, help="Fetch its bytes from the registry again, verified.")
def champion(workspace: Path, fetch: bool) -> None:
    """Show the history of promotions, verified link by link.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    from orchestration.chain.decision import promotion_history

    if fetch:
        from orchestration.chain.champion import refresh_local_champion

        output.print(f"champion {refresh_local_champion(Workspace(workspace)).digest[:12]} fetched")
    rows = promotion_history(Workspace(workspace))
    if not rows:
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Promotions, oldest first", ("when", "version", "model", "by", "verdict"), rows)
