"""Subcommands about the champion: ``champion``, ``history``, ``rollback``, ``approve``, ``reject``, ``reinstate``."""

import getpass
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table, print_text
from orchestration.lifecycle import history as lifecycle
from orchestration.lifecycle.approvals import approve_verdict, reject_verdict
from orchestration.lifecycle.local_champion import refresh_local_champion
from orchestration.pipeline.params import existing_workspace, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.describe import describe_status
from orchestration.tracking.registry import serving_version
from spine.errors import GateRefused
from spine.times import to_the_minute
from validation.promotion.approval import SignOff
from validation.promotion.history import read_history

_by = click.option("--by", "person", default=None, help="Who runs this command; by default the name of the account.")


@click.command()
@workspace_option
@click.option("--fetch", is_flag=True, help="Download the champion from the registry again and verify its bytes.")
def champion(workspace: Path, fetch: bool) -> None:
    """Show challenger, champion, previous champion, and the local copy that this workspace measures with.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    chosen = existing_workspace(workspace)
    if fetch:
        output.print(f"champion {refresh_local_champion(chosen).digest[:12]} fetched")
    rows, has_history = lifecycle.models_in_use(chosen), bool(read_history(chosen.promotion_ledger))
    if not has_history and ("champion", "none", "none") in rows:
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Models of the gate", ("role", "version", "model"), rows)
    if not has_history:
        print_text(
            "The registry has a champion, but this workspace has no history of promotions; "
            "`plumbline history --verify` checks whether a history is missing."
        )


@click.command()
@workspace_option
@click.option("--verify", is_flag=True, help="Compare history, registry, champion record, alias and local copy.")
@click.option("--repair", is_flag=True, help="Complete an interrupted change, correct the alias, clean up.")
@click.option("--accept-loss", is_flag=True, help="Continue without lost entries that have no backup; record the loss.")
@click.option("--as", "accepter", default="", help="With --accept-loss: who accepts the loss.")
@click.option("--reason", default="", help="With --accept-loss: what happened; recorded in the history.")
@_by
def history(
    workspace: Path, verify: bool, repair: bool, accept_loss: bool, accepter: str, reason: str, person: str | None
) -> None:
    """Print the history of promotions. With --verify, the exit code is 3 if history and registry disagree.

    \b
    Example:  plumbline history --verify -w workspace/demo
              plumbline history --accept-loss --as "R. Viewer" --reason "the disk died" -w workspace/demo
    """
    chosen = existing_workspace(workspace)
    if accept_loss:
        entry = lifecycle.accept_history_loss(chosen, SignOff(accepter, reason))
        output.print(f"loss accepted by {entry.promoter}: {entry.reason}")
    if repair:
        _repair(chosen, person or getpass.getuser())
        _update_pages(chosen)
    if verify:
        verify_history(chosen)
    entries = read_history(chosen.promotion_ledger)
    columns = ("", "when", "event", "version", "model", "by", "reason", "verdict")
    rows = []
    for e in entries:
        when, verdict = to_the_minute(e.at), (e.verdict or "none")[:12]
        version, model = e.version or "-", e.model_digest[:12]
        rows.append((str(e.sequence), when, e.event, version, model, e.promoter, e.reason or "", verdict))
    print_table("History, oldest first", columns, rows)
    if verify:
        output.print(f"verified: {len(entries)} entries; registry, champion record, alias and local copy agree")


def _repair(workspace: Workspace, person: str) -> None:
    done = lifecycle.repair_history(workspace, person)
    for cleared in done.cleared:
        output.print(f"removed, as remains of a killed promotion: {cleared}")
    champion = done.champion
    output.print(f"champion: {f'version {champion.version}' if champion else 'none; no model was ever in service'}")


def verify_history(workspace: Workspace) -> None:
    """Print every fault. Without faults, print the accepted losses and the other histories.

    Raises:
        GateRefused: HISTORY_NOT_VERIFIED.
    """
    faults = lifecycle.audit_history(workspace)
    if faults:
        rows = [(f.code, f.place, f.found, f.remedy) for f in faults]
        print_table("Faults of the history", ("code", "place", "found", "what to do"), rows)
        first = faults[0]
        raise GateRefused(
            "HISTORY_NOT_VERIFIED",
            found=f"{len(faults)} fault(s); the first is {first.code} at {first.place}: {first.found}",
            expected="a history, registry, champion record, alias and local copy that agree",
            remedy=first.remedy,
        )
    for entry in (e for e in read_history(workspace.promotion_ledger) if e.event == "loss_accepted"):
        output.print(f"loss accepted on {to_the_minute(entry.at)} by {entry.promoter}: {entry.reason}")
    for other in lifecycle.describe_other_histories(workspace):
        output.print(f"this model has another history, which was not checked: {other}")


@click.command()
@workspace_option
@click.option("--reason", required=True, help="Why the present model must leave service; it is then denied.")
@click.option("--to", default=None, help="Version to return to; by default the last good version.")
@click.option("--local", is_flag=True, help="While the registry is down: use the local copy of the previous champion.")
@_by
def rollback(workspace: Path, reason: str, to: str | None, local: bool, person: str | None) -> None:
    """Return to the last good model. The exit code is 3 if that model is denied, altered or fails the smoke test.

    \b
    Example:  plumbline rollback --reason "wrong side in 3 of 40 radiographs" -w workspace/demo
    """
    chosen, by = existing_workspace(workspace), person or getpass.getuser()
    params = read_params(chosen.params_file)
    if local:
        returned = lifecycle.roll_back_locally(chosen, params, reason=reason, promoter=by)
        output.print(f"version {returned.version} (model {returned.digest[:12]}) is in service from the local copy")
        output.print("the registry still has the other champion: run `plumbline rollback` when the registry is back")
        return
    done = lifecycle.roll_back(chosen, params, reason=reason, promoter=by, to=to)
    for fault in done.passed_over:
        output.print(f"skipped {fault}")
    output.print(f"version {done.champion.version} (model {done.champion.model_digest[:12]}) is in service again")
    output.print(f"model {done.left[:12]} is denied: {reason}")
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
    granted = approve_verdict(chosen, read_params(chosen.params_file), verdict, SignOff(person, comment, ttl))
    approval = granted.digest[:12]
    output.print(
        f"approval {approval} of verdict {granted.verdict[:12]}, valid until {to_the_minute(granted.expires_at)}"
    )
    output.print(f'next: plumbline promote --approval {approval} --by "{person}" -w {workspace}')
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
    refused = reject_verdict(chosen, read_params(chosen.params_file), verdict, SignOff(person, comment))
    output.print(f"verdict {refused.verdict[:12]} is rejected by {refused.approver}")
    output.print(f"model {refused.challenger_model[:12]} can no longer be promoted, by any verdict")
    if version := serving_version(chosen, refused.challenger_model):
        output.print(f"the model is still in service, as version {version}: a rejection does not change that")
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
    done = lifecycle.reinstate_model(chosen, model, SignOff(person, comment))
    if (denial := done.denial) is not None:
        why = f"({denial.by} on {to_the_minute(denial.at)}: {denial.reason})"
        output.print(f"model {denial.digest[:12]} is no longer denied {why}")
    for refusal in done.refusals:
        why = f"({refusal.by} on {to_the_minute(refusal.at)}: {refusal.comment})"
        output.print(f"model {refusal.model[:12]} is no longer rejected {why}")
    _update_pages(chosen)


def _update_pages(workspace: Workspace) -> None:
    """Bring the review page and MLflow's descriptions up to date."""
    describe_status(workspace, read_params(workspace.params_file))
