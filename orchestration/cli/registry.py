"""Subcommands about the champion: ``champion``, ``history``, ``rollback``, ``approve``, ``reject``, ``reinstate``."""

import getpass
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table
from orchestration.lifecycle import history as lifecycle
from orchestration.lifecycle.changes import roll_back_locally
from orchestration.pipeline.params import existing_workspace, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.printable import printable
from orchestration.tracking.describe import describe_status
from orchestration.tracking.registry import history_state
from spine.errors import GateRefused
from spine.times import to_the_minute
from validation.promotion.approval import SignOff


@click.command()
@workspace_option
def champion(workspace: Path) -> None:
    """Show challenger, champion, previous champion, and the local copy that this workspace measures with.

    First MLflow's aliases and the local copy are set to what the history says.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    chosen = existing_workspace(workspace)
    state = lifecycle.up_to_date(chosen)
    if state.champion is None:
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Models of the gate", ("role", "version", "model"), lifecycle.models_in_use(chosen, state))


@click.command()
@workspace_option
@click.option("--verify", is_flag=True, help="Compare the history with its copy, the registry and the local copy.")
@click.option("--restore", is_flag=True, help="Put lost or edited events back from history.jsonl; record who and why.")
@click.option("--as", "person", default="", help="With --restore: who decides.")
@click.option("--reason", default="", help="With --restore: what happened; recorded in the history.")
def history(workspace: Path, verify: bool, restore: bool, person: str, reason: str) -> None:
    """Print the history of promotions. With --verify, the exit code is 3 if anything differs from the history.

    --restore also goes on after a clock that was ahead.

    \b
    Example:  plumbline history --verify -w workspace/demo
              plumbline history --restore --as "R. Viewer" --reason "the disk died" -w workspace/demo
    """
    chosen = existing_workspace(workspace)
    if (person or reason) and not restore:
        raise click.UsageError("--as and --reason belong to --restore")
    if restore:
        event = lifecycle.restore_history(chosen, SignOff(person, reason))
        output.print(printable(f"restored by {event.actor}: {event.reason}"))
        _update_pages(chosen)
    if verify:
        verify_history(chosen)
    events = history_state(chosen).events
    rows = [
        (
            str(e.sequence),
            to_the_minute(e.at),
            e.kind,
            e.version or "-",
            e.digest[:12],
            e.actor,
            e.reason,
            e.verdict[:12],
        )
        for e in events
    ]
    columns = ("", "when", "event", "version", "model", "by", "reason", "verdict")
    print_table("History, oldest first", columns, rows)


def verify_history(workspace: Workspace) -> None:
    """Print every fault, or the number of events.

    Raises:
        GateRefused: HISTORY_NOT_VERIFIED.
    """
    faults = lifecycle.verify_workspace(workspace)
    if faults:
        rows = [(f.code, f.place, f.found, f.remedy) for f in faults]
        print_table("Faults of the history", ("code", "place", "found", "what to do"), rows)
        first = faults[0]
        raise GateRefused(
            "HISTORY_NOT_VERIFIED",
            found=f"{len(faults)} fault(s); the first is {first.code} at {first.place}: {first.found}",
            expected="a table, history.jsonl, registry, aliases and local copy that agree",
            remedy=first.remedy,
        )
    number = len(history_state(workspace).events)
    output.print(f"history verified: {number} events; history.jsonl, registry, aliases and local copy agree")


@click.command()
@workspace_option
@click.option("--reason", required=True, help="Why the present model must leave service; it is then denied.")
@click.option("--to", default=None, help="Version to return to; by default the last good version.")
@click.option("--local", is_flag=True, help="While the registry is down: use the local copy of the previous champion.")
@click.option("--by", "person", default=None, help="Who runs this command; by default the name of the account.")
def rollback(workspace: Path, reason: str, to: str | None, local: bool, person: str | None) -> None:
    """Return to the last good model. The exit code is 3 if that model is denied, altered or fails the smoke test.

    \b
    Example:  plumbline rollback --reason "wrong side in 3 of 40 radiographs" -w workspace/demo
    """
    chosen, by = existing_workspace(workspace), person or getpass.getuser()
    params = read_params(chosen.params_file)
    if local:
        returned = roll_back_locally(chosen, params, reason=reason, promoter=by)
        output.print(f"version {returned.version} (model {returned.digest[:12]}) is in service from the local copy")
        output.print("the history follows when the registry is back, at the next command, e.g. `plumbline champion`")
        return
    done = lifecycle.roll_back(chosen, params, reason=reason, promoter=by, to=to)
    for fault in done.passed_over:
        output.print(printable(f"skipped {fault}"))
    output.print(f"version {done.event.version} (model {done.event.digest[:12]}) is in service again")
    output.print(f"model {done.event.previous[:12]} is denied: {printable(reason)}")
    _update_pages(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who approves; the candidate's author may not.")
@click.option("--comment", required=True, help="The reason; recorded in the history.")
@click.option("--ttl", type=float, default=None, help="Hours until the approval expires; the policy has a maximum.")
def approve(verdict: str, workspace: Path, person: str, comment: str, ttl: float | None) -> None:
    """Approve VERDICT (a file, or the beginning of the verdict's digest) for one promotion.

    \b
    Example:  plumbline approve 3fa9c01b22de --as "R. Viewer" --comment "looked at the worst twenty"
    """
    chosen = existing_workspace(workspace)
    sign_off = SignOff(person, comment, ttl)
    granted = lifecycle.approve_verdict(chosen, read_params(chosen.params_file), verdict, sign_off)
    approval, until = granted.sha256[:12], to_the_minute(granted.expires)
    output.print(f"approval {approval} of verdict {granted.verdict[:12]}, valid until {until}")
    output.print(f'next: plumbline promote --approval {approval} --by "{printable(person)}" -w {workspace}')
    _update_pages(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who rejects.")
@click.option("--comment", required=True, help="The reason; recorded in the history.")
def reject(verdict: str, workspace: Path, person: str, comment: str) -> None:
    """Reject the model of VERDICT (a file, or the beginning of the verdict's digest) for good.

    The same model stays rejected under every later verdict and policy. Train another candidate. If the rejection was a
    mistake, a person other than the author can remove the rejection with `plumbline reinstate`.

    \b
    Example:  plumbline reject 3fa9c01b22de --as "R. Viewer" --comment "three mirrored spines"
    """
    chosen = existing_workspace(workspace)
    event = lifecycle.reject_verdict(chosen, verdict, SignOff(person, comment))
    output.print(f"verdict {event.verdict[:12]} is rejected by {printable(event.actor)}")
    output.print(f"model {event.digest[:12]} can no longer be promoted, by any verdict")
    champion = history_state(chosen).champion
    if champion is not None and champion.digest == event.digest:
        output.print(f"the model is still in service, as version {champion.version}: a rejection does not change that")
        output.print(f"next, to take it out of service: plumbline rollback --reason TEXT -w {workspace}")
    _update_pages(chosen)


@click.command()
@click.argument("model")
@workspace_option
@click.option("--as", "person", required=True, help="Who decides; the model's author may not.")
@click.option("--comment", required=True, help="Why the model may be used again; recorded in the history.")
def reinstate(model: str, workspace: Path, person: str, comment: str) -> None:
    """Permit MODEL (a version, or the beginning of a digest) to go into service after a rollback or a rejection.

    This command only gives permission. To put the model into service, promote it or roll back to it.

    \b
    Example:  plumbline reinstate 3 --as "R. Viewer" --comment "the radiographs were exchanged, not the spines"
    """
    chosen = existing_workspace(workspace)
    event, ended = lifecycle.reinstate_model(chosen, model, SignOff(person, comment))
    for bar in ended:
        state = "denied" if bar.kind == "rolled_back" else "rejected"
        why = f"({bar.actor} on {to_the_minute(bar.at)}: {bar.reason})"
        output.print(f"model {event.digest[:12]} is no longer {state} {printable(why)}")
    _update_pages(chosen)


def _update_pages(workspace: Workspace) -> None:
    """Bring the review page and MLflow's descriptions up to date."""
    describe_status(workspace, read_params(workspace.params_file))
