"""Subcommands about the champion: ``champion``, ``history``, ``rollback``, ``approve``, ``reject``, ``lift``."""

import getpass
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table, print_words
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused

_by = click.option("--by", "person", default=None, help="Who asks; the account's name by default.")


@click.command()
@workspace_option
@click.option("--fetch", is_flag=True, help="Fetch its bytes from the registry again, verified.")
def champion(workspace: Path, fetch: bool) -> None:
    """Show challenger, champion, previous champion, and which of them serves from this workspace.

    \b
    Example:  plumbline champion -w workspace/demo
    """
    from orchestration.lifecycle.history import three_models
    from orchestration.tracking.registry import promotion_history

    if fetch:
        from orchestration.lifecycle.local_champion import refresh_local_champion

        output.print(f"champion {refresh_local_champion(Workspace(workspace)).digest[:12]} fetched")
    rows, told = three_models(Workspace(workspace)), bool(promotion_history(Workspace(workspace)))
    if not told and ("champion", "none", "none") in rows:
        output.print("no model has been promoted in this workspace yet")
        return
    print_table("Models of the gate", ("role", "version", "model"), rows)
    if not told:
        print_words(
            "The registry knows a champion, but this workspace has no history of promotions; "
            "`plumbline history --verify` says whether one is missing."
        )


@click.command()
@workspace_option
@click.option("--verify", is_flag=True, help="Hold history, registry, its champion table and alias against each other.")
@click.option("--repair", is_flag=True, help="Finish what was cut off; set a lost or foreign alias back; clear up.")
@click.option("--begin-anew", is_flag=True, help="The history is cut or lost for good: go on, and record the loss.")
@click.option("--as", "human", default="", help="With --begin-anew: who says so.")
@click.option("--reason", default="", help="With --begin-anew: what happened; recorded in the history.")
@_by
def history(
    workspace: Path, verify: bool, repair: bool, begin_anew: bool, human: str, reason: str, person: str | None
) -> None:
    """Print the history of promotions, a hash-chained record; with --verify, exit 3 where the story breaks.

    \b
    Example:  plumbline history --verify -w workspace/demo
              plumbline history --begin-anew --as "R. Viewer" --reason "the disk died" -w workspace/demo
    """
    from orchestration.tracking.registry import promotion_history

    chosen = Workspace(workspace)
    if begin_anew:
        _begin_anew(chosen, human, reason)
    if repair:
        _repair(chosen, person or getpass.getuser())
        _describe_status(chosen)
    if verify:
        _verify(chosen)
    entries = promotion_history(chosen)
    rows5 = [
        (str(e.sequence), e.at[:19].replace("T", " "), e.event, e.version or "-", e.model_digest[:12], e.promoter,
         e.reason or "", (e.verdict or "none")[:12])
        for e in entries
    ]  # fmt: skip
    print_table("History, oldest first", ("", "when", "event", "version", "model", "by", "reason", "verdict"), rows5)
    if verify:
        output.print(f"verified: {len(entries)} entries, registry, champion table, alias and local copy agree")


def _begin_anew(workspace: Workspace, person: str, reason: str) -> None:
    from orchestration.lifecycle.history import begin_anew
    from validation.promotion.approval import Word

    entry = begin_anew(workspace, Word(person, reason))
    output.print(f"begun anew by {entry.promoter}: {entry.reason}")


def _repair(workspace: Workspace, person: str) -> None:
    from orchestration.lifecycle.history import repair_history

    done = repair_history(workspace, person)
    for cleared in done.cleared:
        output.print(f"left over from a promotion that died: {cleared}")
    champion = done.champion
    output.print(f"champion: {f'version {champion.version}' if champion else 'none, and there never was one'}")


def _verify(workspace: Workspace) -> None:
    """Tell every fault, then what is no fault but must be known."""
    from orchestration.lifecycle.history import audit_history, known_elsewhere
    from orchestration.tracking.registry import promotion_history

    faults = audit_history(workspace)
    if faults:
        rows = [(f.code, f.place, f.found, f.remedy) for f in faults]
        print_table("Where the story breaks", ("code", "place", "found", "way out"), rows)
        first = faults[0]
        raise GateRefused(
            "HISTORY_NOT_VERIFIED",
            found=f"{len(faults)} fault(s), first {first.code} at {first.place}: {first.found}",
            expected="history, registry, champion table, alias and local copy that agree",
            remedy=first.remedy,
        )
    for entry in (e for e in promotion_history(workspace) if e.event == "begun_anew"):
        output.print(f"begun anew on {entry.at[:10]} by {entry.promoter}: {entry.reason}")
    for other in known_elsewhere(workspace):
        output.print(f"another history of this model, not looked at: {other}")


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
    from orchestration.lifecycle.history import roll_back, roll_back_locally
    from orchestration.pipeline.params import read_params

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
    _describe_status(chosen)


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
    from orchestration.lifecycle.approvals import approve_verdict
    from orchestration.pipeline.params import read_params
    from validation.promotion.approval import Word

    chosen = Workspace(workspace)
    granted = approve_verdict(chosen, read_params(chosen.params_file), verdict, Word(person, comment, ttl))
    output.print(
        f"approval {granted.digest[:12]} of verdict {granted.verdict[:12]}, good until {granted.expires_at[:19]}"
    )
    output.print(f'next: plumbline promote --approval {granted.digest[:12]} --by "{person}"')
    _describe_status(chosen)


@click.command()
@click.argument("verdict")
@workspace_option
@click.option("--as", "person", required=True, help="Who refuses.")
@click.option("--comment", required=True, help="Why; recorded in the history.")
def reject(verdict: str, workspace: Path, person: str, comment: str) -> None:
    """Refuse VERDICT (a file, or the beginning of its digest), whatever the policy says.

    The refusal binds to the model that was judged: the same bytes, judged again, stay refused under every verdict and
    policy. Answer it with another candidate; if it was a mistake, somebody other than the author takes it back with
    `plumbline lift`.

    \b
    Example:  plumbline reject 3fa9c01b22de --as "R. Viewer" --comment "three mirrored spines"
    """
    from orchestration.lifecycle.approvals import reject_verdict
    from orchestration.pipeline.params import read_params
    from orchestration.tracking.registry import serving_version
    from validation.promotion.approval import Word

    chosen = Workspace(workspace)
    refused = reject_verdict(chosen, read_params(chosen.params_file), verdict, Word(person, comment))
    output.print(f"verdict {refused.verdict[:12]} is refused by {refused.approver}")
    output.print(f"model {refused.challenger_model[:12]} is not promoted from now on, judged again or not")
    if version := serving_version(chosen, refused.challenger_model):
        output.print(f"but it serves, as version {version}, and a refusal stops nothing that serves")
        output.print("next: plumbline rollback --reason TEXT takes it out of service")
    _describe_status(chosen)


@click.command()
@click.argument("model")
@workspace_option
@click.option("--as", "person", required=True, help="Who says so: somebody other than the model's author.")
@click.option("--comment", required=True, help="Why it may serve again; recorded in the history.")
def lift(model: str, workspace: Path, person: str, comment: str) -> None:
    """Lift what stands against MODEL (a version, or the beginning of its digest): rolled back from, or refused.

    It does not serve by that: it is promoted like any other, or returned to.

    \b
    Example:  plumbline lift 3 --as "R. Viewer" --comment "the radiographs were exchanged, not the spines"
    """
    from orchestration.lifecycle.history import lift as lift_denial
    from validation.promotion.approval import Word

    lifted = lift_denial(Workspace(workspace), model, Word(person, comment))
    if (denial := lifted.denial) is not None:
        told = f"({denial.by} on {denial.at[:10]}: {denial.reason})"
        output.print(f"model {denial.digest[:12]} is no longer denied {told}")
    for refusal in lifted.refusals:
        told = f"({refusal.by} on {refusal.at[:10]}: {refusal.comment})"
        output.print(f"model {refusal.model[:12]} is no longer refused {told}")
    _describe_status(Workspace(workspace))


def _describe_status(workspace: Workspace) -> None:
    """Bring the report and MLflow up to date with what was done."""
    from orchestration.pipeline.params import read_params
    from orchestration.tracking.describe import describe_status

    describe_status(workspace, read_params(workspace.params_file))
