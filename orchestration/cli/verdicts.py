"""The subcommands of the reviewer: ``verdict``, ``explain``, ``review``, ``promote``."""

from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_step, print_table, print_text
from orchestration.lifecycle.promotion import promote_champion
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import existing_workspace, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.review_page import required_action, status_of_actions, write_report_page
from spine.errors import GateRefused
from validation.gates.verdict import Verdict, read_verdict
from validation.gates.verdict_text import VerdictRow, decision_sentence, explain_briefly, other_rows, parameter_rows
from validation.gates.verdict_text import explain as explanation


@click.command()
@workspace_option
def verdict(workspace: Path) -> None:
    """Print the latest verdict: a row for every parameter, and for every other rule that does not pass.

    A parameter's row shows the standard error of the estimate, its limit, and the outcome of all rules about the
    parameter. The report shows the mean absolute errors of the same parameters. Approvals, promotions and other
    actions are listed below the table. `plumbline explain` gives the reasons.

    \b
    Example:  plumbline verdict -w workspace/demo
    """
    print_verdict(existing_workspace(workspace))


def print_verdict(workspace: Workspace) -> None:
    """Print the table of the latest verdict, with its decision as title."""
    judged = read_verdict(workspace.verdict_file)
    parameters, others = _cells(parameter_rows(judged)), _cells(other_rows(judged))
    note = "virtual patients: not evidence for real patients" if judged.simulated else "real radiographs"
    title = f"{judged.decision}  (verdict {judged.digest[:12]})"
    print_table(title, ("parameter", "standard error", "at most", "verdict"), parameters, note=note)
    if others:
        print_table("Other rules that did not pass", ("rule", "figure", "limit", "verdict"), others)
    print_text(decision_sentence(judged))
    _print_status(workspace, judged)


def _cells(rows: Sequence[VerdictRow]) -> list[list[str]]:
    return [[r.about, *_figures(r.figure, r.threshold, r.unit), _outcome(r.outcome, r.note)] for r in rows]


def _print_status(workspace: Workspace, judged: Verdict) -> None:
    """Print the actions that were taken on a verdict, and the action that a person must take."""
    done = status_of_actions(workspace, judged)
    print_text("\n".join(("Actions on this verdict:", *(f"- {line}" for line in done.lines))))
    asked = required_action(workspace, judged, done)
    if asked:
        text, command = asked.split("\n")
        print_text(text)
        output.print(command)  # not folded, so that a person can copy the command


def _outcome(outcome: str, note: str) -> str:
    """The outcome with the figures that caused it, e.g. ``REJECT (bias above ceiling)``."""
    plain = note.replace("truths TOO", "TOO").replace("patients TOO", "TOO")
    for figure in _CLEAR_FROM_CODE:
        plain = plain.replace(f"{figure} in a group ", "").replace(f"{figure} ", "")
    plain = plain.replace("standard error of the estimate ", "error ").replace("FIGURE_MISSING", "missing")
    plain = plain.replace("TOO_FEW_FOR_MARGIN", "too few patients for the margin")
    plain = plain.replace("_", " ")
    causes = [cause for cause in dict.fromkeys(plain.lower().replace("icc(a,1)", "ICC").split(", ")) if cause]
    more = [f"and {len(causes) - _CAUSES_SHOWN} more"] if len(causes) > _CAUSES_SHOWN else []
    return f"{outcome} ({', '.join(causes[:_CAUSES_SHOWN] + more)})" if causes else outcome


_CAUSES_SHOWN = 3
"""The number of causes in a cell; `plumbline explain --all` prints every rule."""


_CLEAR_FROM_CODE = (
    "upper bound of the paired difference",
    "mean absolute error in a group",
    "probability that an equal model passes the comparison",
)
"""Figures left out of the table, because the code is clear without them: ``subgroup worse``, ``underpowered``, ``too
few patients for the margin``."""


def _figures(error: float | None, threshold: float | None, unit: str) -> tuple[str, str]:
    """Error and limit with two decimals, or with more if they would look equal otherwise."""
    decimals = 2
    if error is not None and threshold is not None and error != threshold:
        while decimals < _MOST_DECIMALS and f"{error:.{decimals}f}" == f"{threshold:.{decimals}f}":
            decimals += 1
    first, second = (
        "absent" if value is None else f"{value:.{decimals}f} {unit}".rstrip() for value in (error, threshold)
    )
    return first, second


_MOST_DECIMALS = 9
"""Two figures that differ by less than this are printed as equal."""


@click.command()
@click.argument("verdict_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--all", "every", is_flag=True, help="Print every rule with its figure, limit, reason and code.")
@workspace_option
def explain(verdict_file: Path | None, workspace: Path, every: bool) -> None:
    """Explain the latest verdict, or the verdict in a file, in five sentences, and list the actions taken on it.

    \b
    Example:  plumbline explain -w workspace/demo --all
    """
    chosen = existing_workspace(workspace)
    judged = read_verdict(verdict_file or chosen.verdict_file)
    print_text((explanation(judged, every_rule=True) if every else explain_briefly(judged)) + "\n")
    _print_status(chosen, judged)
    if not every:
        of = verdict_file or f"-w {workspace}"
        output.print(f"\n`plumbline explain {of} --all` prints every rule.")


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
    chosen = existing_workspace(workspace)
    page = write_report_page(chosen, read_params(chosen.params_file), out)
    output.print(f"{page}\n{page.stat().st_size / 1e6:.1f} MB; open it in a browser (no network needed)")


@click.command()
@workspace_option
@click.option("--by", "promoter", required=True, help="Who promotes; recorded in the history.")
@click.option("--approval", default="", help="File or digest of the approval; by default the latest usable one.")
@click.option(
    "--verdict",
    "named",
    default="",
    help="Beginning of the verdict's digest; promotion is refused if another verdict is the latest.",
)
def promote(workspace: Path, promoter: str, approval: str, named: str) -> None:
    """Promote the judged candidate. Every digest, figure and rule is checked again. The exit code is 3 after a refusal.

    \b
    Example:  plumbline promote -w workspace/demo --by "R. Viewer"
    """
    chosen = existing_workspace(workspace)
    with workspace_lock(chosen):
        _require_latest(chosen, named)
        print_step(promote_champion(chosen, read_params(chosen.params_file), promoter, approval))


def _require_latest(workspace: Workspace, named: str) -> None:
    """Refuse if the latest verdict is not the verdict ``named``; "" accepts any verdict."""
    if named and not (latest := read_verdict(workspace.verdict_file).digest).startswith(named):
        raise GateRefused(
            "VERDICT_SUPERSEDED",
            found=f"{latest[:12]} as the latest verdict of this workspace",
            expected=f"{named[:12]}, the verdict that --verdict names",
            remedy=f"read the latest verdict (`plumbline explain -w {workspace.root}`), then name it or omit --verdict",
        )
