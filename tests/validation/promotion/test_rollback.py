"""Rollback in one event (faults G14, G15), also with a broken registry; reinstatement of denied and rejected models."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, AUTHOR, REVIEWER, SERVED, Registry, correct_result
from tests.validation.promotion.short_histories import MODELS, event, state_after
from validation.promotion.approval import SignOff
from validation.promotion.decisions import reinstated, rolled_back
from validation.promotion.smoke_test import VirtualStudyResult
from validation.promotion.sync import changing
from validation.registry.client import TAG, aliases_of, open_registry

A, B, C, *_ = MODELS


@pytest.fixture(scope="module")
def third_once(serving_once: Registry, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = serving_once.copy_to(tmp_path_factory.mktemp("third"))
    registry.promote("models:/candidates/2")
    registry.promote(registry.candidate("third", champion="second", noise=0.5, seed=5))
    return registry


@pytest.fixture
def third(third_once: Registry, tmp_path: Path) -> Registry:
    """A registry whose third champion is in service."""
    return third_once.copy_to(tmp_path)


def refused(registry: Registry, code: str, **changes: Any) -> GateRefused:
    before, events = registry.champion, registry.history.events()
    with pytest.raises(GateRefused) as refusal:
        registry.roll_back(**changes)
    assert refusal.value.code == code
    assert (registry.champion, registry.history.events()) == (before, events)
    return refusal.value


def aliases(registry: Registry) -> dict[str, str]:
    return aliases_of(open_registry(registry.tracking_uri), SERVED)


def bytes_of(registry: Registry, version: str) -> Path:
    """The folder of the run with the version's files."""
    found = open_registry(registry.tracking_uri).get_model_version(SERVED, version)
    return registry.folder / "artifacts" / f"{SERVED}-promotions" / found.run_id


def wrong_for(name: str) -> Callable[[Path], VirtualStudyResult]:
    """A function that measures the virtual study; the model of this name returns NaN."""

    def measure(folder: Path) -> VirtualStudyResult:
        bad = (folder / "model.onnx").read_bytes() == f"graph of {name}".encode()
        return correct_result(folder, cobb=float("nan")) if bad else correct_result(folder)

    return measure


def test_one_change_returns_to_the_last_good_model_and_denies_the_one_left(third: Registry) -> None:
    done = third.roll_back().event
    assert (done.kind, done.version, done.digest) == ("rolled_back", "2", third.digest("second"))
    assert (done.previous, done.reason) == (third.digest("third"), "wrong side in 3 of 40 radiographs")
    assert third.champion == done and third.faults() == []
    assert aliases(third) == {"champion": "2", "previous_champion": "1"}
    client = open_registry(third.tracking_uri)
    states = [client.get_model_version(SERVED, number).tags[TAG + "state"] for number in "123"]
    assert states == ["served", "served", "denied"]


def test_a_model_that_was_rejected_after_it_served_is_passed_over(third: Registry) -> None:
    verdict = third.judge("second", champion="first", noise=0.5, seed=3)
    third.reject(verdict, SignOff("N. Ay", "mirrored"))
    assert "version 2: APPROVAL_REJECTED: N. Ay rejected" in refused(third, "ROLLBACK_REFUSED", to="2").found
    done = third.roll_back()
    assert done.event.digest == third.digest("first")
    assert any("mirrored" in fault for fault in done.passed_over)


def test_denied_model_is_neither_returned_to_nor_promoted_again(third: Registry) -> None:
    third.roll_back()
    refusal = refused(third, "ROLLBACK_REFUSED", to="3")
    assert "denied" in refusal.found and "wrong side" in refusal.found
    assert "--to 1" in refusal.remedy
    shutil.rmtree(third.folder / "third")
    address = third.candidate("third", champion="second", noise=0.3, seed=9)
    assert third.refuses(address, "MODEL_DENIED").found.endswith("wrong side in 3 of 40 radiographs")
    assert third.roll_back(reason="and this").event.version == "1"
    assert "denied" in refused(third, "NO_GOOD_MODEL", reason="and that").found


def test_target_that_fails_its_smoke_test_is_refused_and_the_next_good_one_offered(third: Registry) -> None:
    refusal = refused(third, "ROLLBACK_REFUSED", to="2", measure_virtual_study=wrong_for("second"))
    assert "cobb is nan" in refusal.found
    assert refusal.remedy == "use --to 1, the next version that works and is neither denied nor rejected"
    done = third.roll_back(measure_virtual_study=wrong_for("second"))
    assert done.event.version == "1" and "version 2" in done.passed_over[0]
    assert aliases(third) == {"champion": "1", "previous_champion": "2"}


def test_target_with_other_bytes_or_without_any_is_refused(third: Registry) -> None:
    next(bytes_of(third, "2").rglob("model.onnx")).write_bytes(b"evil")
    assert "MODEL_ALTERED" in refused(third, "ROLLBACK_REFUSED", to="2").found
    assert third.faults() == ["MODEL_ALTERED"]
    shutil.rmtree(bytes_of(third, "1"))
    refused(third, "NO_GOOD_MODEL")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NO_REASON", {"reason": " "}),
        ("EVENT_REFUSED", {"promoter": " "}),
        ("SMOKE_TEST_ABSENT", {"measure_virtual_study": None}),
        ("ROLLBACK_UNKNOWN", {"to": "3"}),
        ("ROLLBACK_UNKNOWN", {"to": "99"}),
        ("CLOCK_WENT_BACK", {"at": AT - timedelta(hours=1)}),
    ],
)
def test_an_incomplete_or_impossible_request_is_refused(third: Registry, code: str, changes: dict[str, Any]) -> None:
    refused(third, code, **changes)


def test_without_a_champion_there_is_no_rollback(registry: Registry) -> None:
    refused(registry, "NO_CHAMPION")


def test_rollback_needs_neither_aliases_nor_copy_nor_the_champions_files(third: Registry) -> None:
    client = open_registry(third.tracking_uri)
    for alias in aliases(third):
        client.delete_registered_model_alias(SERVED, alias)
    shutil.rmtree(bytes_of(third, "3"))
    client.delete_model_version(SERVED, "3")
    third.copy.unlink()
    assert third.roll_back().event.version == "2"
    assert aliases(third) == {"champion": "2", "previous_champion": "1"}
    assert third.faults() == ["VERSION_GONE"] and len(third.copy.read_text().splitlines()) == 4


def test_of_two_rollbacks_of_the_same_model_one_is_refused(third: Registry) -> None:
    """The second person has decided on a champion that is no longer in service."""
    before = third.state
    third.roll_back()
    second = partial(rolled_back, reason="why", actor="test", at=AT)
    with changing(third.history) as change, pytest.raises(GateRefused, match="STALE_CHAMPION"):
        change.history.append(partial(second, target=before.served[2], champion=before.champion))
    assert third.kinds[-2:] == ["promoted", "rolled_back"]


def test_a_rollback_that_waited_for_another_one_is_refused(third: Registry) -> None:
    """Two persons see a bad model. The second rollback must not deny the good one, to which the first returned."""
    seen = third.champion
    third.roll_back(champion=seen)
    refused(third, "STALE_CHAMPION", champion=seen)


def test_rolled_back_model_can_be_followed_by_a_better_one(third: Registry) -> None:
    third.roll_back()
    fourth = third.candidate("fourth", champion="second", noise=0.4, seed=11)
    assert third.promote(fourth, measure_virtual_study=partial(correct_result, seconds=0.3)).version == "4"
    assert aliases(third) == {"champion": "4", "previous_champion": "2"}
    assert third.faults() == []


@pytest.fixture
def left(serving: Registry) -> Registry:
    """A registry that was rolled back from its second model to its first. A third model was rejected."""
    serving.promote("models:/candidates/2")
    serving.roll_back(reason="wrong side", promoter="test")
    serving.register("third")
    serving.reject(serving.judge("third", champion="first", noise=0.5, seed=3), SignOff("N. Ay", "mirrored"))
    return serving


def test_a_reinstated_model_serves_only_after_a_promotion(left: Registry) -> None:
    client = open_registry(left.tracking_uri)
    left.judge("second", champion="first", noise=0.5, seed=3)
    left.refuses("models:/candidates/2", "MODEL_DENIED")
    assert client.get_model_version(SERVED, "2").tags[TAG + "state"] == "denied"
    champion, done = left.champion, left.reinstate(left.digest("second")[:12])
    assert (done.kind, done.actor, done.reason) == ("reinstated", "R. Viewer", REVIEWER.comment)
    assert done.digest == left.digest("second")
    assert left.champion == champion, "a reinstatement deploys nothing"
    assert client.get_model_version(SERVED, "2").tags[TAG + "state"] == "served"
    assert left.promote("models:/candidates/2").version == "3"
    assert left.faults() == []


def test_a_rollback_can_return_to_a_reinstated_model(left: Registry) -> None:
    refused(left, "ROLLBACK_REFUSED", to="2")
    left.reinstate("2")
    assert left.roll_back(to="2").event.version == "2"
    assert set(left.state.barred) == {left.digest("first"), left.digest("third")}


def test_a_rejection_is_removed_like_a_denial_and_can_be_repeated(left: Registry) -> None:
    model, verdict = left.digest("third"), left.judge("third", champion="first", noise=0.5, seed=3)
    for _ in range(2):
        left.refuses("models:/candidates/3", "APPROVAL_REJECTED")
        left.reinstate(model[:12])
        with pytest.raises(GateRefused, match="NOT_DENIED"):
            left.reinstate(model[:12])
        left.reject(verdict)
    left.reinstate(model)
    assert left.promote("models:/candidates/3").version == "3"


@pytest.mark.parametrize(
    ("code", "model", "person", "author"),
    [
        *(("NOT_DENIED", model, "R. Viewer", AUTHOR) for model in ("1", "99", "", "f" * 64, B[:7])),
        *(("APPROVAL_EMPTY", "2", person, AUTHOR) for person in (" ", ".")),
        *(("AUTHOR_UNKNOWN", model, "R. Viewer", author) for model in ("2", C) for author in (None, " ")),
        *(("SAME_PERSON", model, name, AUTHOR) for model in (B[:8], C) for name in (AUTHOR, " a  Trainer ")),
    ],
)
def test_an_impossible_or_unsigned_reinstatement_is_refused(
    code: str, model: str, person: str, author: str | None
) -> None:
    served = event("promoted", A), event("promoted", B, previous=A), event("rolled_back", A, previous=B)
    state, sign_off = state_after(*served, event("rejected", C)), SignOff(person, "why")
    with pytest.raises(GateRefused, match=code):
        reinstated(state, model, sign_off, author_of=lambda _: author, at=AT)
