"""Subcommands about what serves: ``champion``, ``history``, ``rollback``, and the human's ``approve`` and ``reject``.

What belongs here: options and printing. What does not: moving anything (``validation.gates``).
"""

import getpass
from pathlib import Path

import click

from orchestration.chain.workspace import Workspace
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table
from spine.errors import GateRefused

_by = click.option("--by", "person", default=None, help="Who asks; the account's name by default.")


@click.command()
@workspace_option
@click.option("--fetch", is_flag=True, help="Fetch its bytes from the registry again, verified.")
def champion(workspace: Path, fetch: bool) -> None:
    """Show challenger, champion and previous champion.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    from orchestration.chain.standing import promotion_history, three_models

    if fetch:
        from orchestration.chain.champion import refresh_local_champion

        output.print(f"champion {refresh_local_champion(Workspace(workspace)).digest[:12]} fetched")
    if not promotion_history(Workspace(workspace)):
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Models of the gate", ("role", "version", "model"), three_models(Workspace(workspace)))


@click.command()
@workspace_option
@click.option("--verify", is_flag=True, help="Hold history, registry, its champion table and alias against each other.")
@click.option("--repair", is_flag=True, help="Finish what was cut off; set a lost or foreign alias back.")
@_by
def history(workspace: Path, verify: bool, repair: bool, person: str | None) -> None:
    """Print the history of promotions, a hash-chained record; with --verify, exit 3 where the story breaks.

    \b
    Example:  plumbline history --verify -w workspace/demo
    """
    from orchestration.chain.standing import audit_history, promotion_history, repair_history

    chosen = Workspace(workspace)
    if repair:
        champion = repair_history(chosen, person or getpass.getuser())
        _tell(chosen)
        output.print(f"champion: {f'version {champion.version}' if champion else 'none, and there never was one'}")
    if verify:
        faults = audit_history(chosen)
        if faults:
            rows = [(f.code, f.place, f.found, f.remedy) for f in faults]
            print_table("Where the story breaks", ("code", "place", "found", "way out"), rows)
            first = faults[0]
            raise GateRefused(
                "HISTORY_NOT_VERIFIED",
                found=f"{len(faults)} fault(s), first {first.code} at {first.place}: {first.found}",
                expected="history, registry, champion table and alias that agree",
                remedy=first.remedy,
            )
    entries = promotion_history(chosen)
    rows5 = [
        (str(e.sequence), e.at[:19].replace("T", " "), e.event, e.version or "-", e.model_digest[:12], e.promoter,
         e.reason or "", (e.verdict or "none")[:12])
        for e in entries
    ]  # fmt: skip
    print_table("History, oldest first", ("", "when", "event", "version", "model", "by", "reason", "verdict"), rows5)
    if verify:
        output.print(f"verified: {len(entries)} entries, registry, champion table and alias agree")


@click.command()
@workspace_option
@click.option("--reason", required=True, help="Why the present model must not serve; it is denied from then on.")
@click.option("--to", default=None, help="Version to return to; the last good one by default.")
@click.option("--local", is_flag=True, help="The registry is down: serve the local copy of the previous champion.")
@_by
def rollback(workspace: Path, reason: str, to: str | None, local: bool, person: str | None) -> None:
    """Return to the last good model. A target that is denied, altered or fails the smoke test is refused (exit 3).

    \b
    Example:  plumbline rollback --reason "wrong side in 3 of 40 films" -w workspace/demo
    """
    from orchestration.chain.params import read_params
    from orchestration.chain.standing import roll_back, roll_back_locally

    chosen, by = Workspace(workspace), person or getpass.getuser()
    params = read_params(chosen.params_file)
    if local:
        returned = roll_back_locally(chosen, params, reason=reason, promoter=by)
        output.print(f"version {returned.version} (model {returned.digest[:12]}) serves from the local copy")
        output.print("run `plumbline rollback` again when the registry is back: it does not know yet")
        return
    done = roll_back(chosen, params, reason=reason, promoter=by, to=to)
    for fault in done.passed_over:
        output.print(f"passed over {fault}")
    output.print(f"version {done.champion.version} (model {done.champion.model_digest[:12]}) serves again")
    output.print(f"model {done.left[:12]} is denied: {reason}")
    _tell(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who approves: somebody other than the candidate's author.")
@click.option("--comment", required=True, help="Why; recorded in the history.")
@click.option("--ttl", type=float, default=None, help="Hours for which it is good; at most what the policy says.")
def approve(verdict: str, workspace: Path, person: str, comment: str, ttl: float | None) -> None:
    """Approve VERDICT (a file, or the beginning of its digest) for one promotion.

    \b
    Example:  plumbline approve 3fa9c01b22de --as "R. Viewer" --comment "looked at the worst twenty"
    """
    from orchestration.chain.human import approve_verdict
    from orchestration.chain.params import read_params
    from validation.gates.approval import Word

    chosen = Workspace(workspace)
    granted = approve_verdict(chosen, read_params(chosen.params_file), verdict, Word(person, comment, ttl))
    output.print(
        f"approval {granted.digest[:12]} of verdict {granted.verdict[:12]}, good until {granted.expires_at[:19]}"
    )
    output.print(f'next: plumbline promote --approval {granted.digest[:12]} --by "{person}"')
    _tell(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who refuses.")
@click.option("--comment", required=True, help="Why; recorded in the history.")
def reject(verdict: str, workspace: Path, person: str, comment: str) -> None:
    """Refuse VERDICT (a file, or the beginning of its digest) for good, whatever the policy says.

    \b
    Example:  plumbline reject 3fa9c01b22de --as "R. Viewer" --comment "three mirrored spines"
    """
    from orchestration.chain.human import reject_verdict
    from orchestration.chain.params import read_params
    from validation.gates.approval import Word

    chosen = Workspace(workspace)
    refused = reject_verdict(chosen, read_params(chosen.params_file), verdict, Word(person, comment))
    output.print(f"verdict {refused.verdict[:12]} is refused by {refused.approver}; it promotes nothing from now on")
    _tell(chosen)


def _tell(workspace: Workspace) -> None:
    """Let the reviewer's page and MLflow say what was done."""
    from orchestration.chain.params import read_params
    from orchestration.chain.presenting import tell_what_was_done

    tell_what_was_done(workspace, read_params(workspace.params_file))
