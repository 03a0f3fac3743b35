"""Approval (fault G13): who may approve which verdict, how long and how often it is valid, and when it is required."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Registry
from validation.evaluation.sealing import write_sealed
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.promotion.approval import SCHEMA, SignOff, grant, read_approval, reject, sealed_refusals
from validation.promotion.champion import current_champion, open_registry
from validation.promotion.champion_record import Denial, ServingVersion
from validation.promotion.history import read_history
from validation.promotion.refusals import require_no_refusal

SPINES = SignOff("R. Viewer", "three mirrored spines")


def require(registry: Registry, required: str, **other: Any) -> None:
    """Let the registry's policy require an approval."""
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["approval"] = {"required": required, "ttl_hours": 48.0, "reason": "a person answers for it"}
    content |= other
    registry.policy = registry.folder / "policy.yaml"
    registry.policy.write_text(yaml.safe_dump(content))


def granted(registry: Registry, name: str, *sign_off: SignOff, **changes: Any) -> Path:
    return registry.decide(grant, registry.judge(name), *sign_off, **changes)


def test_a_required_approval_promotes_the_judged_model_once_and_is_in_the_history(registry: Registry) -> None:
    require(registry, "always")
    address = registry.candidate("model")
    registry.refuses(address, "APPROVAL_MISSING")
    path = granted(registry, "model")
    champion = registry.promote(address, approval=path).champion
    history = read_history(registry.ledger)
    assert [e.event for e in history] == ["approved", "intended", "promoted"]
    digest = read_approval(path).digest
    assert {e.approval for e in history} == {digest}
    assert (history[0].promoter, history[0].reason) == ("R. Viewer", "looked at the worst twenty")
    assert champion.model_digest == model_digest(registry.folder / "model")
    kept = (registry.folder / "artifacts" / f"{SERVED}-promotions" / champion.run_id).rglob(path.name)
    assert len(list(kept)) == 1, "the approval is kept beside the served bytes"
    registry.refuses(address, "STALE_CHAMPION", approval=path)


def test_replayed_approval_is_refused_for_the_same_model_and_by_another_history(registry: Registry) -> None:
    """An approval must not work a second time, even for another model or with an earlier copy of the history."""
    require(registry, "always")
    address = registry.candidate("model")
    path = granted(registry, "model")
    approved = registry.ledger.read_bytes()
    registry.promote(address, approval=path)
    registry.refuses(address, "APPROVAL_OTHER", production_model="elsewhere", approval=path)
    registry.ledger.write_bytes(approved)  # In this history the approval was granted and never used.
    record = registry.record
    before = record.serving()
    digest = read_approval(path).digest
    denial = Denial("d" * 64, "why", "who", AT.isoformat())
    with pytest.raises(GateRefused, match="APPROVAL_USED"):
        record.change(before, ServingVersion("9", "9" * 64), approval=digest, deny=denial)
    assert record.serving() == before, "a used approval changes nothing"
    assert not record.denials(), "and the rest of its transaction is rolled back"


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_approves_their_own(registry: Registry, name: str) -> None:
    require(registry, "always")
    registry.register("model")
    with pytest.raises(GateRefused, match="SAME_PERSON"):
        granted(registry, "model", SignOff(name, "mine"))
    assert not registry.approvals.exists()
    assert not registry.ledger.exists()


def test_approver_is_compared_with_the_author_again_at_promotion(registry: Registry) -> None:
    """An approval that states a wrong author does not help, because the tag of the run is used."""
    require(registry, "always")
    address = registry.register("model")
    path = granted(registry, "model", SignOff(AUTHOR, "mine"), author="somebody else")
    registry.refuses(address, "SAME_PERSON", approval=path)


def test_unknown_author_is_refused(registry: Registry) -> None:
    require(registry, "always")
    address = registry.register("model")
    stored = registry.stored(address)
    with pytest.raises(GateRefused, match="AUTHOR_UNKNOWN"):
        granted(registry, "model", author=None)
    path = granted(registry, "model")
    open_registry(registry.tracking_uri).delete_tag(stored.name, "plumbline.author")
    registry.refuses(address, "AUTHOR_UNKNOWN", approval=path)


def test_expired_approval_and_a_clock_that_jumps(registry: Registry) -> None:
    require(registry, "always")
    address = registry.register("model")
    path = granted(registry, "model", SignOff("R. Viewer", "quickly", ttl_hours=2.0))
    registry.refuses(address, "APPROVAL_EXPIRED", approval=path, at=AT + timedelta(hours=2))
    registry.refuses(address, "APPROVAL_NOT_YET", approval=path, at=AT - timedelta(minutes=1))
    registry.refuses(address, "CLOCK_WENT_BACK", approval=path, at=AT - timedelta(hours=1))
    with pytest.raises(GateRefused, match="APPROVAL_TTL"):
        granted(registry, "model", SignOff("R. Viewer", "for ever", ttl_hours=49.0))
    registry.promote(address, approval=path, at=AT + timedelta(hours=1))


def test_approval_of_another_verdict_or_model_is_refused(registry: Registry) -> None:
    require(registry, "always")
    registry.register("other")
    path = granted(registry, "other")
    address = registry.candidate("model")
    assert "verdict" in registry.refuses(address, "APPROVAL_OTHER", approval=path).found


def test_forged_and_edited_approvals_are_refused(registry: Registry) -> None:
    """An edited record has a wrong digest. A record with a new digest is not in the history."""
    require(registry, "always")
    address = registry.register("model")
    path = granted(registry, "model", SignOff("R. Viewer", "good", ttl_hours=1.0))
    edited = registry.folder / "edited.json"
    edited.write_text(path.read_text().replace("R. Viewer", "R. Viewers"))
    registry.refuses(address, "EVIDENCE_ALTERED", approval=edited)
    content = json.loads(path.read_text())["content"] | {"expires_at": (AT + timedelta(days=900)).isoformat()}
    write_sealed(SCHEMA, content, edited)
    registry.refuses(address, "APPROVAL_UNKNOWN", approval=edited)
    write_sealed(SCHEMA, content | {"approver": 7}, edited)
    registry.refuses(address, "EVIDENCE_UNREADABLE", approval=edited)
    registry.refuses(address, "EVIDENCE_MISSING", approval=registry.folder / "none.json")


def test_rejected_verdict_promotes_nothing_whatever_the_policy_says(registry: Registry) -> None:
    address = registry.register("model")
    path = registry.decide(reject, registry.judge("model"), SPINES)
    assert "three mirrored spines" in registry.refuses(address, "APPROVAL_REJECTED").found
    registry.refuses(address, "APPROVAL_REJECTED", approval=path)
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(registry, "model")


def test_a_refused_model_stays_refused_when_it_is_judged_again(registry: Registry) -> None:
    """Another verdict on the same files does not end a person's refusal, whatever its policy is."""
    address = registry.register("model")
    first = registry.judge("model")
    registry.decide(reject, first, SPINES)
    require(registry, "never", version=99)
    assert registry.judge("model").digest != first.digest
    refusal = registry.refuses(address, "APPROVAL_REJECTED")
    for part in ("R. Viewer", f"{AT:%Y-%m-%d}", first.digest[:12], "three mirrored spines"):
        assert part in refusal.found
    assert f"plumbline reinstate {registry.digest('model')[:12]}" in refusal.remedy
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(registry, "model")
    other = registry.candidate("other")
    registry.promote(other)


def test_a_sealed_refusal_binds_to_the_model_where_the_history_lost_it(registry: Registry) -> None:
    registry.register("model")
    first = registry.judge("model")
    path = registry.decide(reject, first, SPINES)
    sealed = sealed_refusals(path.parent)
    assert [r.model for r in sealed] == [first.challenger_model]
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED") as refusal:
        require_no_refusal(first.challenger_model, (), sealed)
    assert "sealed record" in refusal.value.found
    elsewhere = registry.folder / "another.jsonl"  # This history has no refusal, but the sealed record still exists.
    require(registry, "always")
    with pytest.raises(GateRefused, match="APPROVAL_REJECTED"):
        granted(registry, "model", ledger_path=elsewhere)
    require_no_refusal("f" * 64, (), sealed)


def test_a_verdict_that_was_promoted_is_not_approved_again(registry: Registry) -> None:
    address = registry.candidate("model")
    registry.promote(address)
    before = registry.ledger.read_bytes()
    with pytest.raises(GateRefused, match="APPROVAL_POINTLESS") as refused:
        granted(registry, "model")
    assert f"was already promoted on {AT:%Y-%m-%d} as version 1" in refused.value.found
    assert registry.ledger.read_bytes() == before
    assert not list(registry.approvals.glob("*.json")), "no record of an approval that was refused"


def test_approval_that_cannot_help_is_not_given(registry: Registry) -> None:
    registry.register("bad")
    verdict = registry.judge("bad", noise=30.0)
    with pytest.raises(GateRefused, match="APPROVAL_POINTLESS"):
        registry.decide(grant, verdict)
    registry.register("model")
    for sign_off in (SignOff(" ", "why"), SignOff("R. Viewer", "  ")):
        with pytest.raises(GateRefused, match="APPROVAL_EMPTY"):
            granted(registry, "model", sign_off)


def test_first_champion_alone_needs_a_person(registry: Registry) -> None:
    """G8: a person approves the first champion; the figures decide on later ones."""
    require(registry, "first_champion")
    first = registry.register("first")
    verdict = registry.judge("first", noise=2.0, seed=2)
    registry.refuses(first, "APPROVAL_MISSING")
    registry.promote(first, approval=registry.decide(grant, verdict))
    second = registry.candidate("second", champion="first", noise=0.5, seed=3)
    registry.promote(second)


def test_verdict_held_for_approval_is_promoted_with_one(registry: Registry) -> None:
    """``first_champion: needs_approval`` gives HOLD; an approval satisfies that rule and no other."""
    needed = {"decision": "needs_approval", "reason": "a person answers for the first one"}
    require(registry, "never", first_champion=needed)
    address = registry.register("model")
    assert registry.judge("model").decision == "HOLD"
    with pytest.raises(GateRefused, match=r"HOLD: .* only waits for a person's approval"):
        registry.promote(address)
    registry.promote(address, approval=granted(registry, "model"))
    assert current_champion(registry.tracking_uri, SERVED) is not None


def test_default_policy_requires_no_approval_and_hashes_a_written_section(registry: Registry, tmp_path: Path) -> None:
    policy = read_policy(DEFAULT_POLICY)
    assert policy.approval.required == "never"
    require(registry, "never")
    assert read_policy(registry.policy).hash != policy.hash, "a written section is part of the hash"
    registry.policy.write_text(registry.policy.read_text().replace("ttl_hours", "ttl_houres"))
    with pytest.raises(Exception, match="POLICY_INVALID"):
        read_policy(registry.policy)
    with pytest.raises(EvidenceRejected, match="EVIDENCE_MISSING"):
        read_approval(tmp_path / "none.json")
