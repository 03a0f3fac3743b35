"""What a reviewer may do about a verdict: the exact commands, for each decision.

Contract: every command names the verdict by its digest, below the workspace in which the command is run, so that a
command copied from an old page cannot speak of a newer verdict; what was done already, and what the gate would refuse,
is not offered.
"""

from dataclasses import dataclass

from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import may_be_promoted, needs_approval
from validation.review.verdict_status import Aftermath


@dataclass(frozen=True)
class Option:
    """One thing to do: what for, and the command."""

    title: str
    when: str
    command: str


def options_for(verdict: Verdict, policy: Policy | None = None, done: Aftermath | None = None) -> tuple[Option, ...]:
    """What can be done now, in the order in which it has to be done."""
    file = f"state/verdicts/{verdict.digest}.json"
    explain = Option("Read the verdict in words", "every rule with its reason", f"plumbline explain {file} -w .")
    promote = Option(
        "Promote",
        "puts the judged bytes into service; every digest is checked again",
        f'plumbline promote --verdict {verdict.digest[:12]} --by "YOUR NAME" -w .',
    )
    approve = Option(
        "Approve",
        "records your grant, bound to this verdict's digest; not by the author of the run; it expires",
        f'plumbline approve {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    reject = Option(
        "Reject",
        "records your refusal and its reason; nothing moves",
        f'plumbline reject {file} --as "YOUR NAME" --comment "WHY" -w .',
    )
    back = Option(
        "Go back",
        "returns to the last good model, should this one disappoint in service",
        'plumbline rollback --reason "WHY" -w .',
    )
    if done is not None and done.over:
        return (back, explain) if done.serves and not done.alone else (explain,)
    if not may_be_promoted(verdict):
        return (reject, explain)
    asks = verdict.decision == "HOLD" or (policy is not None and needs_approval(policy, verdict))
    return (approve, promote, reject, explain) if asks else (promote, approve, reject, explain)


def asked_of_person(
    verdict: Verdict, policy: Policy | None = None, done: Aftermath | None = None, *, where: str = "."
) -> str:
    """What a person is asked for before this verdict promotes anything, with the command; "" where nobody is asked.

    Args:
        policy: the verdict's own, where it is at hand; where: the workspace, as the command names it.
    """
    if not may_be_promoted(verdict) or (done is not None and (done.over or done.granted)):
        return ""
    if verdict.decision != "HOLD" and (policy is None or not needs_approval(policy, verdict)):
        return ""
    why = f" ({policy.approval.reason})" if policy is not None and needs_approval(policy, verdict) else ""
    return (
        f"A person is asked before it may serve{why}. Whoever is not the author of its run says yes with\n"
        f"  plumbline approve {verdict.digest[:12]} --as NAME --comment WHY -w {where}"
    )


def advice_for(verdict: Verdict, policy: Policy | None = None, done: Aftermath | None = None) -> str:
    """One sentence: what the decision leaves to a person."""
    if done is not None and done.over:
        return "Nothing is left to decide about this verdict."
    asks = policy is not None and needs_approval(policy, verdict)
    held = (
        "Only a person's word is missing. Look at the patients on this page before you give it: no rule sees an image."
        if may_be_promoted(verdict)
        else "No limit is broken, but it was not shown to be better: no approval can promote it. "
        "A better model, or more patients, have to be judged."
    )
    return {
        "PROMOTE": f"Every rule passed{'; the policy asks for a person besides' if asks else ''}. "
        "Look at the patients on this page before you say yes: no rule sees an image.",
        "HOLD": held,
        "REJECT": "A limit is broken or the challenger is worse than the champion: no approval can promote it.",
        "INSUFFICIENT": "The evidence does not allow a decision: no approval can replace it. Mend the evidence first.",
    }[verdict.decision]
