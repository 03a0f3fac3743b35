"""The decisions: each function makes the next event of a history from the state, or refuses.

Contract: the functions are pure. ``History.append`` calls them again if another event came first, so each decision
holds for the state that it follows.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from spine.errors import GateRefused
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import decision_sentence
from validation.promotion.approval import (
    SHORTEST_DIGEST,
    SignOff,
    approval_refused,
    listed,
    may_be_promoted,
    needs_approval,
    require_other_person,
    require_signed,
    usable_approval,
)
from validation.promotion.events import Event, Kind, State

COMPARE_AGAIN = (
    "run `plumbline run -w WORKSPACE`: it evaluates the present champion again, judges again, and promotes if the "
    "verdict allows it. The candidate is trained again only if its inputs changed. In Dagster: materialise "
    "champion_evaluation and verdict, then launch the job `promotion`"
)


def approved(
    state: State, verdict: Verdict, policy: Policy, sign_off: SignOff, *, author: str | None, at: datetime
) -> Event:
    """A person approves the verdict for one promotion.

    Args:
        author: the author of the candidate; None if the candidate's run names no author.

    Raises:
        GateRefused: APPROVAL_EMPTY, APPROVAL_TTL, AUTHOR_UNKNOWN, SAME_PERSON, APPROVAL_POINTLESS (the verdict permits
            no promotion, or its model was already promoted), APPROVAL_REJECTED (a person rejected the model).
    """
    hours, longest = sign_off.ttl_hours, policy.approval.ttl_hours
    if hours is not None and not 0 < hours <= longest:
        raise GateRefused(
            "APPROVAL_TTL",
            found=f"a validity of {hours:g} hours",
            expected=f"more than 0 and at most {longest:g} hours",
            remedy="choose fewer hours, or change the policy",
        )
    require_other_person(sign_off.person, author)
    done = next((e for e in state.events if e.kind == "promoted" and e.verdict == verdict.digest), None)
    if done is not None or not may_be_promoted(verdict) or verdict.policy_hash != policy.hash:
        by = f", which {done.actor} used for the promotion of version {done.version} on {done.at[:10]}" if done else ""
        raise GateRefused(
            "APPROVAL_POINTLESS",
            found=f"a {verdict.decision} verdict{by}",
            expected="an unused PROMOTE verdict, or an unused HOLD verdict for reasons that an approval satisfies",
            remedy="see `plumbline explain` and `plumbline champion`; train a better model or provide more evidence",
        )
    require_not_barred(state, verdict.challenger_model, denied=False)
    expires = (at + timedelta(hours=longest if hours is None else hours)).isoformat()
    return _signed("approved", sign_off, at, digest=verdict.challenger_model, verdict=verdict.digest, expires=expires)


def rejected(verdict: Verdict, sign_off: SignOff, at: datetime) -> Event:
    """A person rejects the verdict's model under any policy. The author may reject their own model.

    Raises:
        GateRefused: APPROVAL_EMPTY.
    """
    return _signed("rejected", sign_off, at, digest=verdict.challenger_model, verdict=verdict.digest)


def reinstated(
    state: State, model: str, sign_off: SignOff, *, author_of: Callable[[str], str | None], at: datetime
) -> Event:
    """A person permits a denied or rejected model to go into service again. It does not go into service thereby.

    Args:
        model: the model's version number, or the beginning of its digest.
        author_of: a function from a model's digest to its author. It returns None if the run names no author.

    Raises:
        GateRefused: APPROVAL_EMPTY, NOT_DENIED, SAME_PERSON (the author), AUTHOR_UNKNOWN.
    """
    version = model if model.isdigit() else ""
    known = state.put_into_service.get(version)
    digest = known.digest if known else model
    found = [d for d in state.barred if len(digest) >= SHORTEST_DIGEST and d.startswith(digest)]
    if len(found) != 1:
        raise GateRefused(
            "NOT_DENIED",
            found=f"{len(found)} denied or rejected models with digest {digest[:12] or '(none)'}",
            expected=f"one of the denied or rejected models: {listed(state.barred)}",
            remedy=f"give the version number, or at least {SHORTEST_DIGEST} characters of the digest",
        )
    event = _signed("reinstated", sign_off, at, digest=found[0], version=version)
    require_other_person(sign_off.person, author_of(found[0]))
    return event


def promoted(
    state: State,
    verdict: Verdict,
    policy: Policy,
    *,
    version: str,
    author: str | None,
    approval: str,
    actor: str,
    at: datetime,
) -> Event:
    """The judged model becomes the champion.

    Args:
        version: the version of the copy that goes into service.
        author: the author of the candidate; None if the candidate's run names no author.
        approval: the beginning of an approval's digest; "" for the latest usable approval of this verdict.

    Raises:
        GateRefused: VERDICT_*, STALE_CHAMPION, STALE_BASELINE, MODEL_DENIED, APPROVAL_*, SAME_PERSON, AUTHOR_UNKNOWN.
    """
    digest, previous = verdict.challenger_model, state.champion.digest if state.champion else ""
    _require_usable(verdict, state.champion)
    require_not_barred(state, digest)
    baseline = state.baseline.digest if state.baseline and policy.baseline is not None else None
    if baseline not in (None, verdict.baseline_model, verdict.champion_model):
        raise GateRefused(
            "STALE_BASELINE",
            found=f"a comparison with baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"a comparison with {str(baseline)[:12]}, the last model that a person approved",
            remedy=COMPARE_AGAIN,
        )
    needed = needs_approval(policy, verdict)
    used = usable_approval(state, verdict, approval, at, needed=needed)
    if used is None and needed:
        wanted = f"an approval of verdict {verdict.digest[:12]}: {policy.approval.reason}"
        found = decision_sentence(verdict).rstrip(".") if verdict.waits_for_approval else "no approval"
        raise approval_refused("APPROVAL_MISSING", found, wanted)
    if used is not None:
        require_other_person(used.actor, author)
    key = used.sha256 if used else ""
    return Event("promoted", at.isoformat(), actor, "", version, digest, previous, verdict.digest, key)


def _require_usable(verdict: Verdict, champion: Event | None) -> None:
    """Refuse a verdict that permits no promotion, was used, or compares with another champion."""
    if not may_be_promoted(verdict):
        raise GateRefused(
            f"VERDICT_{verdict.decision}",
            found=decision_sentence(verdict).rstrip("."),
            expected="a PROMOTE verdict",
            remedy="read the reasons with `plumbline explain`; train a better model or provide more evidence",
        )
    if champion is not None and champion.verdict == verdict.digest:
        raise GateRefused(
            "STALE_CHAMPION",
            found=f"the judged model in service, as version {champion.version} since {champion.at[:16]}",
            expected="a verdict that was not used yet",
            remedy="nothing needs to be done; `plumbline champion` shows the champion",
        )
    serving = champion.digest if champion else ""
    if serving != (verdict.champion_model or ""):
        raise GateRefused(
            "STALE_CHAMPION",
            found=f"champion {serving[:12] or 'none'}",
            expected=f"champion {(verdict.champion_model or 'none')[:12]}, as in the verdict",
            remedy=COMPARE_AGAIN,
        )


def rolled_back(state: State, target: Event, champion: Event, *, reason: str, actor: str, at: datetime) -> Event:
    """The model of ``target`` goes back into service, and the model of ``champion`` is denied.

    Raises:
        GateRefused: STALE_CHAMPION: ``champion`` is no longer in service; MODEL_DENIED, APPROVAL_REJECTED.
    """
    require_champion(state, champion)
    require_not_barred(state, target.digest)
    back = Event("rolled_back", at.isoformat(), actor, "", target.version, target.digest, champion.digest)
    return replace(back, verdict=target.verdict, reason=reason.strip())


def require_champion(state: State, champion: Event) -> None:
    """Refuse a rollback if another model went into service since the person decided.

    Raises:
        GateRefused: STALE_CHAMPION.
    """
    if state.champion != champion:
        raise GateRefused(
            "STALE_CHAMPION",
            found=f"version {state.champion.version if state.champion else 'none'} in service",
            expected=f"version {champion.version}, as at the start of this command",
            remedy="look at the present champion with `plumbline champion`, then decide again",
        )


def require_not_barred(state: State, digest: str, *, denied: bool = True) -> None:
    """Refuse a model that a person rejected or, with ``denied``, that a rollback denied, and that was not reinstated.

    Raises:
        GateRefused: APPROVAL_REJECTED, MODEL_DENIED.
    """
    bars = [e for e in state.barred.get(digest, ()) if denied or e.kind == "rejected"]
    if not bars:
        return
    why, rejection = bars[-1], bars[-1].kind == "rejected"
    done = f"rejected model {digest[:12]} after verdict {why.verdict[:12]}"
    done = done if rejection else f"denied model {digest[:12]} in a rollback"
    raise GateRefused(
        "APPROVAL_REJECTED" if rejection else "MODEL_DENIED",
        found=f"{why.actor} {done} on {why.at[:10]}: {why.reason}",
        expected="a model that is neither denied nor rejected",
        remedy="train another candidate; judging the same files again does not help. If this was a mistake, a person "
        f"other than the author can reinstate the model: `plumbline reinstate {digest[:12]} --as NAME --comment TEXT`",
    )


def _signed(kind: Kind, sign_off: SignOff, at: datetime, **fields: Any) -> Event:
    require_signed(sign_off)
    return Event(kind, at.isoformat(), sign_off.person.strip(), reason=sign_off.comment.strip(), **fields)
