"""Subcommands of the reviewer: ``verdict``, ``explain``, ``promote``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_step, print_table, print_words
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused

if TYPE_CHECKING:
    from validation.gates.verdict import Verdict


@click.command()
@workspace_option
def verdict(workspace: Path) -> None:
    """Print the latest verdict: a row for every parameter, and for every other rule that stands in the way.

    A parameter's row shows its error and ceiling, and the outcome of all its rules. Below stands what was done about
    the verdict. `plumbline explain` tells the rules in words.

    \b
    Example:  plumbline verdict -w workspace/demo
    """
    print_verdict(Workspace(workspace))


def print_verdict(workspace: Workspace) -> None:
    """The table of the latest verdict, with its decision as title."""
    from validation.gates.verdict import read_verdict
    from validation.gates.verdict_text import verdict_table

    judged = read_verdict(workspace.verdict_file)
    rows = [
        [row.parameter, *_figures(row.error, row.threshold, row.unit), _outcome(row.outcome, row.note)]
        for row in verdict_table(judged)
    ]
    note = "virtual patients: says nothing about real ones" if judged.simulated else "real radiographs"
    title = f"{judged.decision}  (verdict {judged.digest[:12]})"
    print_table(title, ("parameter", "error", "threshold", "verdict"), rows, note=note)
    _print_aftermath(workspace, judged)


def _print_aftermath(workspace: Workspace, judged: "Verdict") -> None:
    """What was done about a verdict, from the history of the workspace, and what is asked of a person now."""
    from orchestration.tracking.review_page import what_is_asked, what_was_done

    done = what_was_done(workspace, judged)
    print_words("\n".join(("Actions on this verdict:", *(f"- {line}" for line in done.lines))))
    asked = what_is_asked(workspace, judged, done)
    if asked:
        words, command = asked.split("\n")
        print_words(words)
        output.print(command, markup=False)  # in one piece, to be copied


def _outcome(outcome: str, note: str) -> str:
    """The outcome, and in words which figures it was for: ``REJECT (bias above ceiling)``."""
    plain = note.replace("truths TOO", "TOO").replace("patients TOO", "TOO")
    for figure in _SAID_BY_THEIR_CODE:
        plain = plain.replace(f"{figure} in a group ", "").replace(f"{figure} ", "")
    plain = plain.replace("standard_error_of_estimate ", "error ").replace("icc_a1", "ICC").replace("_", " ")
    told = ", ".join(dict.fromkeys(plain.lower().split(", ")))
    return f"{outcome} ({told})" if told else outcome


_SAID_BY_THEIR_CODE = ("upper bound of the paired difference", "mean absolute error in a group")
"""Figures of which the code says enough for a table: ``subgroup worse``, ``underpowered``; `explain` names them."""


def _figures(error: float | None, threshold: float | None, unit: str) -> tuple[str, str]:
    """Figure and limit with two decimals, or with as many as they need to differ."""
    decimals = 2
    if error is not None and threshold is not None and error != threshold:
        while decimals < _MOST_DECIMALS and f"{error:.{decimals}f}" == f"{threshold:.{decimals}f}":
            decimals += 1
    told = ["absent" if value is None else f"{value:.{decimals}f} {unit}".rstrip() for value in (error, threshold)]
    return told[0], told[1]


_MOST_DECIMALS = 9
"""Two figures that differ by less are called equal."""


@click.command()
@click.argument("verdict_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@workspace_option
def explain(verdict_file: Path | None, workspace: Path) -> None:
    """Tell a verdict in plain words (the workspace's latest, unless a file is named), and what was done about it.

    \b
    Example:  plumbline explain workspace/demo/state/verdicts/latest.json
    """
    from validation.gates.verdict import read_verdict
    from validation.gates.verdict_text import explain as explained

    chosen = Workspace(workspace)
    judged = read_verdict(verdict_file or chosen.verdict_file)
    print_words(explained(judged) + "\n")
    _print_aftermath(chosen, judged)


@click.command()
@workspace_option
@click.option("--by", "promoter", required=True, help="Who promotes; recorded in the history.")
@click.option("--approval", default="", help="Approval's file or digest; the latest of this verdict by default.")
@click.option(
    "--verdict", "named", default="", help="Beginning of the verdict's digest; refused where another is latest."
)
def promote(workspace: Path, promoter: str, approval: str, named: str) -> None:
    """Promote the judged candidate. Every digest, figure and rule is checked again; a refusal says why (exit 3).

    \b
    Example:  plumbline promote -w workspace/demo --by "R. Viewer"
    """
    from orchestration.lifecycle.promotion import promote_champion
    from orchestration.pipeline.lock import workspace_lock
    from orchestration.pipeline.params import read_params

    chosen = Workspace(workspace)
    with workspace_lock(chosen):
        _require_latest(chosen, named)
        print_step(promote_champion(chosen, read_params(chosen.params_file), promoter, approval))


def _require_latest(workspace: Workspace, named: str) -> None:
    """Refuse to promote by a verdict that is not the one somebody read; "" names the latest, whichever it is."""
    from validation.gates.verdict import read_verdict

    if named and not (latest := read_verdict(workspace.verdict_file).digest).startswith(named):
        raise GateRefused(
            "VERDICT_SUPERSEDED",
            found=f"verdict {latest[:12]} as the latest of this workspace",
            expected=f"verdict {named[:12]}, which was named",
            remedy=f"read the latest (`plumbline explain -w {workspace.root}`), or leave --verdict out",
        )
