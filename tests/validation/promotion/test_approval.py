"""Approval: who may say yes to what, for how long, and how often (fault G13); and the policy's demand for it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Desk
from validation.evaluation.sealing import write_sealed
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import SCHEMA, Word, grant, read_approval, reject, sealed_refusals
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import Denial, Holder, Seat, open_seat
from validation.promotion.history import read_history
from validation.promotion.promote import current_champion
from validation.promotion.refusals import require_no_refusal

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

REVIEWER = Word("R. Viewer", "looked at the worst twenty")


def demand(desk: Desk, required: str, **other: Any) -> None:
    """Let the desk's policy demand a human."""
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["approval"] = {"required": required, "ttl_hours": 48.0, "reason": "a person answers for it"}
    content |= other
    desk.policy = desk.folder / "policy.yaml"
    desk.policy.write_text(yaml.safe_dump(content))


def granted(desk: Desk, name: str, word: Word = REVIEWER, **changes: Any) -> Path:
    arguments: dict[str, Any] = {"author": AUTHOR, "production_model": SERVED, "at": AT}
    arguments |= {"folder": desk.folder / "approvals", "ledger_path": desk.ledger}
    arguments |= {"seat": open_seat(desk.tracking_uri, SERVED)}
    return grant(desk.judge(name), read_policy(desk.policy), word, **(arguments | changes))


def test_demanded_approval_lets_the_judged_model_in_once_and_stands_in_the_history(desk: Desk) -> None:
    demand(desk, "always")
    address, _ = desk.register("model")
    desk.judge("model")
    desk.refuses(address, "APPROVAL_MISSING")
    path = granted(desk, "model")
    champion = desk.promote(address, approval=path).champion
    history = read_history(desk.ledger)
    assert [e.event for e in history] == ["approved", "intended", "promoted"]
    digest = read_approval(path).digest
    assert {e.approval for e in history} == {digest}
    assert (history[0].promoter, history[0].reason) == ("R. Viewer", "looked at the worst twenty")
    assert champion.model_digest == model_digest(desk.folder / "model")
    kept = (desk.folder / "artifacts" / f"{SERVED}-promotions" / champion.run_id).rglob(path.name)
    assert len(list(kept)) == 1, "the approval lies beside the served bytes"
    desk.refuses(address, "STALE_CHAMPION", approval=path)


def test_replayed_approval_is_refused_for_the_same_model_and_by_another_history(desk: Desk) -> None:
    """Replayed: after the seat was emptied by force, the same grant must not work again, nor from a copied history."""
    demand(desk, "always")
    address, _ = desk.register("model")
    desk.judge("model")
    path = granted(desk, "model")
    approved = desk.ledger.read_bytes()
    desk.promote(address, approval=path)
    desk.refuses(address, "APPROVAL_OTHER", production_model="elsewhere", approval=path)
    desk.ledger.write_bytes(approved)  # a history in which it was granted and never used: the seat remembers
    seat = Seat(desk.tracking_uri, SERVED)
    before = seat.holder()
    digest = read_approval(path).digest
    denial = Denial("d" * 64, "why", "who", AT.isoformat())
    with pytest.raises(GateRefused, match="APPROVAL_USED"):
        seat.change(before, Holder("9", "9" * 64), approval=digest, deny=denial)
    assert seat.holder() == before, "a spent approval moves nothing"
    assert not seat.denials(), "and takes the rest of its transaction along"


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_approves_their_own(desk: Desk, name: str) -> None:
    demand(desk, "always")
    desk.register("model")
    with pytest.raises(GateRefused, match="SAME_PERSON"):
        granted(desk, "model", Word(name, "mine"))
    assert not (desk.folder / "approvals").exists()
    assert not desk.ledger.exists()


def test_approver_is_held_against_the_author_again_at_promotion(desk: Desk) -> None:
    """A grant under a wrong author's name does not help: the run's own tag decides."""
    demand(desk, "always")
    address, _ = desk.register("model")
    path = granted(desk, "model", Word(AUTHOR, "mine"), author="somebody else")
    desk.refuses(address, "SAME_PERSON", approval=path)


def test_unknown_author_is_refused(desk: Desk) -> None:
    demand(desk, "always")
    address, stored = desk.register("model")
    with pytest.raises(GateRefused, match="AUTHOR_UNKNOWN"):
        granted(desk, "model", author=None)
    path = granted(desk, "model")
    open_registry(desk.tracking_uri).delete_tag(stored.name, "plumbline.author")
    desk.refuses(address, "AUTHOR_UNKNOWN", approval=path)


def test_expired_approval_and_a_clock_that_jumps(desk: Desk) -> None:
    demand(desk, "always")
    address, _ = desk.register("model")
    path = granted(desk, "model", Word("R. Viewer", "quickly", ttl_hours=2.0))
    desk.refuses(address, "APPROVAL_EXPIRED", approval=path, at=AT + timedelta(hours=2))
    desk.refuses(address, "APPROVAL_NOT_YET", approval=path, at=AT - timedelta(minutes=1))
    desk.refuses(address, "CLOCK_WENT_BACK", approval=path, at=AT - timedelta(hours=1))
    with pytest.raises(GateRefused, match="APPROVAL_TTL"):
        granted(desk, "model", Word("R. Viewer", "for ever", ttl_hours=49.0))
    desk.promote(address, approval=path, at=AT + timedelta(hours=1))


def test_approval_of_another_verdict_or_model_is_refused(desk: Desk) -> None:
    demand(desk, "always")
    desk.register("other")
    path = granted(desk, "other")
    address, _ = desk.register("model")
    desk.judge("model")
    assert "verdict" in desk.refuses(address, "APPROVAL_OTHER", approval=path).found


def test_forged_and_edited_approvals_are_refused(desk: Desk) -> None:
    """Edited: the seal breaks. Sealed afresh, or never granted: the history does not know it."""
    demand(desk, "always")
    address, _ = desk.register("model")
    path = granted(desk, "model", Word("R. Viewer", "good", ttl_hours=1.0))
    edited = desk.folder / "edited.json"
    edited.write_text(path.read_text().replace("R. Viewer", "R. Viewers"))
    desk.refuses(address, "EVIDENCE_ALTERED", approval=edited)
    content = json.loads(path.read_text())["content"] | {"expires_at": (AT + timedelta(days=900)).isoformat()}
    write_sealed(SCHEMA, content, edited)
    desk.refuses(address, "APPROVAL_UNKNOWN", approval=edited)
    write_sealed(SCHEMA, content | {"approver": 7}, edited)
    desk.refuses(address, "EVIDENCE_UNREADABLE", approval=edited)
    desk.refuses(address, "EVIDENCE_MISSING", approval=desk.folder / "none.json")


def test_rejected_verdict_promotes_nothing_whatever_the_policy_says(desk: Desk) -> None:
    address, _ = desk.register("model")
    verdict = desk.judge("model")
    path = reject(
        verdict, read_policy(desk.policy), Word("R. Viewer", "three mirrored spines"), author=AUTHOR,
        production_model=SERVED, folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT,
        seat=open_seat(desk.tracking_uri, SERVED),
    )  # fmt: skip
    assert "three mirrored spines" in desk.refuses(address, "APPROVAL_REJECTED").found
    desk.refuses(address, "APPROVAL_REJECTED", approval=path)
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(desk, "model")


def refused(desk: Desk, verdict: Verdict, comment: str = "three mirrored spines") -> Path:
    return reject(
        verdict, read_policy(desk.policy), Word("R. Viewer", comment), author=AUTHOR, production_model=SERVED,
        folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT, seat=open_seat(desk.tracking_uri, SERVED),
    )  # fmt: skip


def test_a_refused_model_stays_refused_when_it_is_judged_again(desk: Desk) -> None:
    """Another verdict about the same bytes, by whatever policy, is no way past a human's no."""
    address, _ = desk.register("model")
    first = desk.judge("model")
    refused(desk, first)
    demand(desk, "never", version=99)
    assert desk.judge("model").digest != first.digest
    told = desk.refuses(address, "APPROVAL_REJECTED")
    for word in ("R. Viewer", f"{AT:%Y-%m-%d}", first.digest[:12], "three mirrored spines"):
        assert word in told.found
    digest = model_digest(desk.folder / "model")
    assert f"plumbline lift {digest[:12]}" in told.remedy
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(desk, "model")
    other, _ = desk.register("other")
    desk.judge("other")
    desk.promote(other)


def test_a_sealed_refusal_binds_to_the_model_where_the_history_lost_it(desk: Desk) -> None:
    desk.register("model")
    first = desk.judge("model")
    path = refused(desk, first)
    sealed = sealed_refusals(path.parent)
    assert [r.model for r in sealed] == [first.challenger_model]
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED") as told:
        require_no_refusal(first.challenger_model, (), sealed)
    assert "sealed as" in told.value.found
    elsewhere = desk.folder / "another.jsonl"  # a history that never heard of it; the records lie beside it
    demand(desk, "always")
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(desk, "model", ledger_path=elsewhere)
    require_no_refusal("f" * 64, (), sealed)


def test_a_verdict_that_was_promoted_is_not_approved_again(desk: Desk) -> None:
    address, _ = desk.register("model")
    desk.judge("model")
    desk.promote(address)
    before = desk.ledger.read_bytes()
    with pytest.raises(GateRefused, match="APPROVAL_POINTLESS") as refused:
        granted(desk, "model")
    assert f"promoted on {AT:%Y-%m-%d} as version 1" in refused.value.found
    assert desk.ledger.read_bytes() == before
    assert not list((desk.folder / "approvals").glob("*.json")), "no record of a grant that was not given"


def test_approval_that_cannot_help_is_not_given(desk: Desk) -> None:
    desk.register("bad")
    verdict = desk.judge("bad", noise=30.0)
    with pytest.raises(GateRefused, match="APPROVAL_POINTLESS"):
        grant(
            verdict, read_policy(desk.policy), REVIEWER, author=AUTHOR, production_model=SERVED,
            folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT,
        seat=open_seat(desk.tracking_uri, SERVED),
        )  # fmt: skip
    desk.register("model")
    for word in (Word(" ", "why"), Word("R. Viewer", "  ")):
        with pytest.raises(GateRefused, match="APPROVAL_EMPTY"):
            granted(desk, "model", word)


def test_first_champion_alone_needs_a_human(desk: Desk) -> None:
    """G8: the explicit way to a first champion; later ones go by the figures."""
    demand(desk, "first_champion")
    first, _ = desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    desk.refuses(first, "APPROVAL_MISSING")
    verdict = desk.judge("first", noise=2.0, seed=2)
    path = grant(
        verdict, read_policy(desk.policy), REVIEWER, author=AUTHOR, production_model=SERVED,
        folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT,
        seat=open_seat(desk.tracking_uri, SERVED),
    )  # fmt: skip
    desk.promote(first, approval=path)
    second, _ = desk.register("second")
    desk.judge("second", champion="first", noise=0.5, seed=3)
    desk.promote(second)


def test_verdict_held_for_approval_is_let_in_by_one(desk: Desk) -> None:
    """``first_champion: needs_approval`` gives HOLD; an approval stands in for that rule and for no other."""
    needed = {"decision": "needs_approval", "reason": "a person answers for the first one"}
    demand(desk, "never", first_champion=needed)
    address, _ = desk.register("model")
    assert desk.judge("model").decision == "HOLD"
    desk.refuses(address, "APPROVAL_MISSING")
    desk.promote(address, approval=granted(desk, "model"))
    assert current_champion(desk.tracking_uri, SERVED) is not None


def test_default_policy_asks_nobody_and_keeps_its_hash_without_the_section(desk: Desk, tmp_path: Path) -> None:
    policy = read_policy(DEFAULT_POLICY)
    assert policy.approval.required == "never"
    demand(desk, "never")
    assert read_policy(desk.policy).hash != policy.hash, "a section that is written counts"
    desk.policy.write_text(desk.policy.read_text().replace("ttl_hours", "ttl_houres"))
    with pytest.raises(Exception, match="POLICY_INVALID"):
        read_policy(desk.policy)
    with pytest.raises(EvidenceRejected, match="EVIDENCE_MISSING"):
        read_approval(tmp_path / "none.json")
