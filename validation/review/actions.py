"""What a reviewer can do about a verdict: the exact commands, for each decision.

Every command names the verdict by its digest, so that a command copied from an old page cannot act on a newer verdict.
What has been done already, and what the gate would refuse, is not offered.
"""

from dataclasses import dataclass

from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import may_be_promoted, needs_approval
from validation.review.verdict_status import VerdictStatus


@dataclass(frozen=True)
class Option:
    """One action: its purpose and the command."""

    title: str
    when: str
    command: str


def options_for(
    verdict: Verdict, policy: Policy | None = None, done: VerdictStatus | None = None
) -> tuple[Option, ...]:
    """What can be done now, in the order in which it must be done."""
    file = f"state/verdicts/{verdict.digest}.json"
    explain = Option("Explain the verdict", "prints every rule with its reason", f"plumbline explain {file} -w .")
    promote = Option(
        "Promote",
        "puts the judged model into service; every digest is checked again",
        f'plumbline promote --verdict {verdict.digest[:12]} --by "YOUR NAME" -w .',
    )
    approve = Option(
        "Approve",
        "records your approval of this verdict; it expires; the author of the run may not give it",
        f'plumbline approve {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    reject = Option(
        "Reject",
        "records your refusal and its reason; the champion stays",
        f'plumbline reject {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    back = Option(
        "Roll back",
        "returns to the last good model if this one fails in service",
        'plumbline rollback --reason "WHY" -w .',
    )
    if done is not None and done.over:
        return (back, explain) if done.serves and not done.alone else (explain,)
    if not may_be_promoted(verdict):
        return (reject, explain)
    asks = verdict.decision == "HOLD" or (policy is not None and needs_approval(policy, verdict))
    return (approve, promote, reject, explain) if asks else (promote, approve, reject, explain)


def asked_of_person(
    verdict: Verdict, policy: Policy | None = None, done: VerdictStatus | None = None, *, where: str = "."
) -> str:
    """Which approval the policy requires before a promotion, with the command; "" where it requires none.

    Args:
        policy: the verdict's own, where it is available; where: the workspace, as the command names it.
    """
    if not may_be_promoted(verdict) or (done is not None and (done.over or done.granted)):
        return ""
    if verdict.decision != "HOLD" and (policy is None or not needs_approval(policy, verdict)):
        return ""
    why = f" ({policy.approval.reason})" if policy is not None and needs_approval(policy, verdict) else ""
    return (
        f"The policy requires an approval before this model may serve{why}. "
        "Anybody but the author of its run can give it:\n"
        f"  plumbline approve {verdict.digest[:12]} --as NAME --comment WHY -w {where}"
    )


def advice_for(verdict: Verdict, policy: Policy | None = None, done: VerdictStatus | None = None) -> str:
    """What the decision leaves to a person."""
    if done is not None and done.over:
        return "Nothing is left to decide about this verdict."
    asks = policy is not None and needs_approval(policy, verdict)
    held = (
        "Only an approval is missing. Look at the patients on this page before you approve: no rule sees an image."
        if may_be_promoted(verdict)
        else "No limit is broken, but the challenger was not shown to be better. No approval can promote it. "
        "Judge a better model, or judge on more patients."
    )
    return {
        "PROMOTE": f"Every rule passed{', and the policy requires an approval' if asks else ''}. "
        "Look at the patients on this page before you promote: no rule sees an image.",
        "HOLD": held,
        "REJECT": "A limit is broken or the challenger is worse than the champion. No approval can promote it.",
        "INSUFFICIENT": "The evidence does not allow a decision. No approval can replace it. Correct the evidence.",
    }[verdict.decision]
