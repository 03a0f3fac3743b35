"""Subcommands about the champion: ``champion``, ``history``, ``rollback``, ``approve``, ``reject``, ``reinstate``."""

import getpass
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table, print_text
from orchestration.lifecycle import history as lifecycle
from orchestration.lifecycle.approvals import approve_verdict, reject_verdict
from orchestration.lifecycle.local_champion import refresh_local_champion
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.describe import describe_status
from orchestration.tracking.registry import promotion_history, serving_version
from spine.errors import GateRefused
from validation.promotion.approval import SignOff

_by = click.option("--by", "person", default=None, help="Who asks; the account's name by default.")


@click.command()
@workspace_option
@click.option("--fetch", is_flag=True, help="Download its verified bytes from the registry again.")
def champion(workspace: Path, fetch: bool) -> None:
    """Show challenger, champion, previous champion, and which of them serves from this workspace.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    chosen = Workspace(workspace)
    if fetch:
        output.print(f"champion {refresh_local_champion(chosen).digest[:12]} fetched")
    rows, has_history = lifecycle.models_in_use(chosen), bool(promotion_history(chosen))
    if not has_history and ("champion", "none", "none") in rows:
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Models of the gate", ("role", "version", "model"), rows)
    if not has_history:
        print_text(
            "The registry has a champion, but this workspace has no history of promotions; "
            "`plumbline history --verify` checks whether one is missing."
        )


@click.command()
@workspace_option
@click.option("--verify", is_flag=True, help="Compare history, registry, champion record, alias and local copy.")
@click.option("--repair", is_flag=True, help="Complete an interrupted change, set the alias back, clean up.")
@click.option("--accept-loss", is_flag=True, help="Entries are lost and there is no backup: go on, record the loss.")
@click.option("--as", "accepter", default="", help="With --accept-loss: who accepts the loss.")
@click.option("--reason", default="", help="With --accept-loss: what happened; recorded in the history.")
@_by
def history(
    workspace: Path, verify: bool, repair: bool, accept_loss: bool, accepter: str, reason: str, person: str | None
) -> None:
    """Print the history of promotions, a chain of digests; with --verify, exit 3 where anything disagrees.

    \b
    Example:  plumbline history --verify -w workspace/demo
              plumbline history --accept-loss --as "R. Viewer" --reason "the disk died" -w workspace/demo
    """
    chosen = Workspace(workspace)
    if accept_loss:
        entry = lifecycle.accept_history_loss(chosen, SignOff(accepter, reason))
        output.print(f"loss accepted by {entry.promoter}: {entry.reason}")
    if repair:
        _repair(chosen, person or getpass.getuser())
        _update_pages(chosen)
    if verify:
        _verify(chosen)
    entries = promotion_history(chosen)
    columns = ("", "when", "event", "version", "model", "by", "reason", "verdict")
    rows = []
    for e in entries:
        when, verdict = e.at[:19].replace("T", " "), (e.verdict or "none")[:12]
        version, model = e.version or "-", e.model_digest[:12]
        rows.append((str(e.sequence), when, e.event, version, model, e.promoter, e.reason or "", verdict))
    print_table("History, oldest first", columns, rows)
    if verify:
        output.print(f"verified: {len(entries)} entries; registry, champion record, alias and local copy agree")


def _repair(workspace: Workspace, person: str) -> None:
    done = lifecycle.repair_history(workspace, person)
    for cleared in done.cleared:
        output.print(f"left by a killed promotion: {cleared}")
    champion = done.champion
    output.print(f"champion: {f'version {champion.version}' if champion else 'none; no model ever served'}")


def _verify(workspace: Workspace) -> None:
    """Print every fault; without faults, the accepted losses and the other histories."""
    faults = lifecycle.audit_history(workspace)
    if faults:
        rows = [(f.code, f.place, f.found, f.remedy) for f in faults]
        print_table("Faults of the history", ("code", "place", "found", "what to do"), rows)
        first = faults[0]
        raise GateRefused(
            "HISTORY_NOT_VERIFIED",
            found=f"{len(faults)} fault(s), first {first.code} at {first.place}: {first.found}",
            expected="history, registry, champion record, alias and local copy in agreement",
            remedy=first.remedy,
        )
    for entry in (e for e in promotion_history(workspace) if e.event == "loss_accepted"):
        output.print(f"loss accepted on {entry.at[:10]} by {entry.promoter}: {entry.reason}")
    for other in lifecycle.describe_other_histories(workspace):
        output.print(f"another history of this model, not checked: {other}")


@click.command()
@workspace_option
@click.option("--reason", required=True, help="Why the present model must not serve; it is denied from then on.")
@click.option("--to", default=None, help="Version to return to; the last good one by default.")
@click.option("--local", is_flag=True, help="The registry is down: serve the local copy of the previous champion.")
@_by
def rollback(workspace: Path, reason: str, to: str | None, local: bool, person: str | None) -> None:
    """Return to the last good model. A target that is denied, altered or fails the smoke test is refused (exit 3).

    \b
    Example:  plumbline rollback --reason "wrong side in 3 of 40 radiographs" -w workspace/demo
    """
    chosen, by = Workspace(workspace), person or getpass.getuser()
    params = read_params(chosen.params_file)
    if local:
        returned = lifecycle.roll_back_locally(chosen, params, reason=reason, promoter=by)
        output.print(f"version {returned.version} (model {returned.digest[:12]}) serves from the local copy")
        output.print("run `plumbline rollback` when the registry is back: it still lists the other model as champion")
        return
    done = lifecycle.roll_back(chosen, params, reason=reason, promoter=by, to=to)
    for fault in done.passed_over:
        output.print(f"passed over {fault}")
    output.print(f"version {done.champion.version} (model {done.champion.model_digest[:12]}) serves again")
    output.print(f"model {done.left[:12]} is denied: {reason}")
    _update_pages(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who approves: a person other than the candidate's author.")
@click.option("--comment", required=True, help="Why; recorded in the history.")
@click.option("--ttl", type=float, default=None, help="Hours until it expires; at most what the policy allows.")
def approve(verdict: str, workspace: Path, person: str, comment: str, ttl: float | None) -> None:
    """Approve VERDICT (a file, or the beginning of its digest) for one promotion.

    \b
    Example:  plumbline approve 3fa9c01b22de --as "R. Viewer" --comment "looked at the worst twenty"
    """
    chosen = Workspace(workspace)
    granted = approve_verdict(chosen, read_params(chosen.params_file), verdict, SignOff(person, comment, ttl))
    approval = granted.digest[:12]
    output.print(f"approval {approval} of verdict {granted.verdict[:12]}, valid until {granted.expires_at[:19]}")
    output.print(f'next: plumbline promote --approval {approval} --by "{person}"')
    _update_pages(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who refuses.")
@click.option("--comment", required=True, help="Why; recorded in the history.")
def reject(verdict: str, workspace: Path, person: str, comment: str) -> None:
    """Refuse the model of VERDICT (a file, or the beginning of its digest), under any policy.

    The same bytes stay refused under every later verdict and policy. Train another candidate. If the refusal was a
    mistake, a person other than the author removes it with `plumbline reinstate`.

    \b
    Example:  plumbline reject 3fa9c01b22de --as "R. Viewer" --comment "three mirrored spines"
    """
    chosen = Workspace(workspace)
    refused = reject_verdict(chosen, read_params(chosen.params_file), verdict, SignOff(person, comment))
    output.print(f"verdict {refused.verdict[:12]} is refused by {refused.approver}")
    output.print(f"model {refused.challenger_model[:12]} is not promoted from now on, by any verdict")
    if version := serving_version(chosen, refused.challenger_model):
        output.print(f"the model still serves, as version {version}: a refusal does not take it out of service")
        output.print("next: plumbline rollback --reason TEXT takes it out of service")
    _update_pages(chosen)


@click.command()
@click.argument("model")
@workspace_option
@click.option("--as", "person", required=True, help="Who decides: a person other than the model's author.")
@click.option("--comment", required=True, help="Why it may serve again; recorded in the history.")
def reinstate(model: str, workspace: Path, person: str, comment: str) -> None:
    """Permit MODEL (a version, or the beginning of a digest) to serve again after a rollback or a refusal.

    This does not deploy the model. Promote it, or roll back to it.

    \b
    Example:  plumbline reinstate 3 --as "R. Viewer" --comment "the radiographs were exchanged, not the spines"
    """
    chosen = Workspace(workspace)
    done = lifecycle.reinstate_model(chosen, model, SignOff(person, comment))
    if (denial := done.denial) is not None:
        why = f"({denial.by} on {denial.at[:10]}: {denial.reason})"
        output.print(f"model {denial.digest[:12]} is no longer denied {why}")
    for refusal in done.refusals:
        why = f"({refusal.by} on {refusal.at[:10]}: {refusal.comment})"
        output.print(f"model {refusal.model[:12]} is no longer refused {why}")
    _update_pages(chosen)


def _update_pages(workspace: Workspace) -> None:
    """Bring the review page and MLflow's descriptions up to date."""
    describe_status(workspace, read_params(workspace.params_file))
