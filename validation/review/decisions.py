"""What a reviewer may do about a verdict: the exact commands, for each decision.

What belongs here: those words. What does not: the commands themselves (``orchestration.cli``), whether they are
permitted (the gate). Contract: the verdict's file is named by its digest, below the workspace in which the command is
run, so that a command copied from an old page cannot speak of a newer verdict.
"""

from dataclasses import dataclass

from validation.gates.verdict import Verdict


@dataclass(frozen=True)
class Option:
    """One thing to do: what for, and the command."""

    title: str
    when: str
    command: str


def options_for(verdict: Verdict) -> tuple[Option, ...]:
    """What can be done now, most likely first."""
    file = f"state/verdicts/{verdict.digest}.json"
    explain = Option("Read the verdict in words", "every rule with its reason", f"plumbline explain {file} -w .")
    promote = Option(
        "Promote",
        "puts the judged bytes into service; every digest is checked again",
        'plumbline promote -w . --by "YOUR NAME"',
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
    return {
        "PROMOTE": (promote, approve, reject, explain, back),
        "HOLD": (approve, promote, reject, explain),
    }.get(verdict.decision, (reject, explain))


def advice_for(verdict: Verdict) -> str:
    """One sentence: what the decision leaves to a person."""
    return {
        "PROMOTE": "Every rule passed. Look at the patients below before you promote: no rule sees a picture.",
        "HOLD": "No limit is broken, but either nothing better was shown or a person has to approve. "
        "Promotion stays refused until what the rules below ask for is there.",
        "REJECT": "A limit is broken or the challenger is worse than the champion: no approval can promote it.",
        "INSUFFICIENT": "The evidence does not allow a decision: no approval can replace it. Mend the evidence first.",
    }[verdict.decision]
