"""The actions that are possible after a verdict, with the exact commands.

The commands contain the verdict's digest, so that a command from an old page cannot affect a newer verdict. Actions
that were already performed, or that the gate would refuse, are left out.
"""

from dataclasses import dataclass

from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import may_be_promoted, needs_approval
from validation.review.rule_table import describe_rule, rule_row
from validation.review.verdict_status import VerdictStatus


@dataclass(frozen=True)
class Option:
    """One action: title, purpose and command."""

    title: str
    when: str
    command: str


def options_for(
    verdict: Verdict, policy: Policy | None = None, status: VerdictStatus | None = None
) -> tuple[Option, ...]:
    """The actions that are possible now, in the order in which the reviewer performs them."""
    file = f"state/verdicts/{verdict.digest}.json"
    explain = Option(
        "Explain the verdict", "Prints every rule with its reason.", f"plumbline explain {file} --all -w ."
    )
    promote = Option(
        "Promote",
        "Makes this model the champion. The gate verifies every digest again.",
        f'plumbline promote --verdict {verdict.digest[:12]} --by "YOUR NAME" -w .',
    )
    approve = Option(
        "Approve",
        "Records your approval of this verdict. An approval expires. The author of the training run cannot approve.",
        f'plumbline approve {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    reject = Option(
        "Reject",
        "Records your refusal of the model, with the reason. The champion stays.",
        f'plumbline reject {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    back = Option(
        "Roll back",
        "Puts the previous champion back into service. Use this command if the model fails in service.",
        'plumbline rollback --reason "WHY" -w .',
    )
    if status is not None and status.decided:
        return (back, explain) if status.serving and not status.no_rollback_target else (explain,)
    if not may_be_promoted(verdict):
        return (reject, explain)
    required = verdict.decision == "HOLD" or (policy is not None and needs_approval(policy, verdict))
    return (approve, promote, reject, explain) if required else (promote, approve, reject, explain)


def approval_notice(
    verdict: Verdict, policy: Policy | None = None, status: VerdictStatus | None = None, *, where: str = "."
) -> str:
    """A note that a promotion requires an approval, with the command; "" if no approval is required.

    Args:
        policy: the policy of the verdict; None if it is not available.
        where: the path of the workspace in the command.
    """
    if not may_be_promoted(verdict) or (status is not None and (status.decided or status.approved)):
        return ""
    if verdict.decision != "HOLD" and (policy is None or not needs_approval(policy, verdict)):
        return ""
    reasons = [r.reason for r in verdict.refusals] or ([policy.approval.reason] if policy is not None else [])
    why = f" ({reasons[0]})" if reasons else ""
    return (
        f"The policy requires an approval before this model may go into service{why}. "
        "Any person except the author of its training run can approve:\n"
        f"  plumbline approve {verdict.digest[:12]} --as NAME --comment WHY -w {where}"
    )


def headline_for(verdict: Verdict, policy: Policy | None = None, status: VerdictStatus | None = None) -> str:
    """The decision in two sentences: its reason, and what a person does next."""
    return f"{_reason_for(verdict)} {_next_step(verdict, policy, status)}"


def _reason_for(verdict: Verdict) -> str:
    every, refused = len(verdict.evaluated), verdict.refusals
    if not refused:
        return f"All {every} required rules passed."
    row = rule_row(refused[0])
    cause = describe_rule(row, row.about)
    if may_be_promoted(verdict):
        return f"Every limit is kept, and only a person's approval is missing ({cause})."
    first = ": " if len(refused) == 1 else ", first of all "
    failed = f"{len(refused)} of {every} required rules did not pass{first}{cause}"
    if verdict.decision == "HOLD":
        return f"Every limit is kept, but the challenger was not shown to be better ({failed})."
    return f"{failed}."


def _next_step(verdict: Verdict, policy: Policy | None, status: VerdictStatus | None) -> str:
    if status is not None and status.decided:
        return f"Nothing is left to decide: {status.actions[-1]}."
    if may_be_promoted(verdict):
        approval = verdict.decision == "HOLD" or (policy is not None and needs_approval(policy, verdict))
        return (
            f"Look at the patients below, then {'approve and promote' if approval else 'promote'} or reject the model."
        )
    return {
        "HOLD": "The champion stays, and an approval cannot change that.",
        "REJECT": "The champion stays, and an approval cannot change that.",
        "INSUFFICIENT": "Complete the evidence and judge again; until then the champion stays.",
    }[verdict.decision]


def advice_for(verdict: Verdict, policy: Policy | None = None, status: VerdictStatus | None = None) -> str:
    """The meaning of the decision, and the next step for a person."""
    if status is not None and status.decided:
        return "This verdict needs no further decision."
    required = policy is not None and needs_approval(policy, verdict)
    hold = (
        "Only an approval is missing. Look at the patients on this page before you approve: no rule checks the images."
        if may_be_promoted(verdict)
        else "No limit is broken, but the challenger was not shown to be better. An approval does not permit its "
        "promotion. Train a better model, or evaluate on more patients."
    )
    return {
        "PROMOTE": f"Every rule passed{', and the policy requires an approval' if required else ''}. "
        "Look at the patients on this page before you promote: no rule checks the images.",
        "HOLD": hold,
        "REJECT": "A limit is broken, or the challenger is worse than the champion. An approval does not permit its "
        "promotion.",
        "INSUFFICIENT": "The evidence is not sufficient for a decision. An approval cannot replace the evidence. "
        "Complete the evidence and judge again.",
    }[verdict.decision]
