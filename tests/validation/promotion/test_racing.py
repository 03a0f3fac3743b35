"""Many processes change the history at once, and some are killed (fault G6). ``benchmarks promotion`` has more."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.racers import Track, kill, race, race_for_the_row
from tests.validation.promotion.registry import AT
from validation.evaluation.record import EvaluationRecord
from validation.promotion.decisions import rolled_back
from validation.promotion.events import Event
from validation.promotion.history import History

pytestmark = pytest.mark.slow
PROCESSES, APPROVERS, ROUNDS = 8, 3, 5


@pytest.fixture
def track(tmp_path: Path, tracking_uri: str, scored: Callable[..., EvaluationRecord]) -> Track:
    return Track(tmp_path, tracking_uri, scored)


@pytest.mark.parametrize("dialect", ["tracking_uri", "postgres"])
def test_of_all_who_have_read_the_same_row_one_changes_it(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    """And no approval that is given at the same time is lost."""
    outcomes, faults = race_for_the_row(
        request.getfixturevalue(dialect), tmp_path, promoters=PROCESSES, approvers=APPROVERS, rounds=ROUNDS
    )
    assert outcomes == [Counter(won=1, STALE_CHAMPION=PROCESSES - 1, approved=APPROVERS)] * ROUNDS
    assert faults == []


def test_one_of_many_promoters_wins_whichever_history_they_write(track: Track) -> None:
    outcomes, faults = race(track, processes=PROCESSES, rounds=ROUNDS, workspaces=4)
    assert [outcome["won"] + outcome["CHANGE_UNFINISHED"] for outcome in outcomes] == [1] * ROUNDS
    # On a busy machine, a locked database can be another reason for a refusal.
    known = {"won", "STALE_CHAMPION", "REGISTRY_UNAVAILABLE", "CHANGE_UNFINISHED"}
    assert set(sum(outcomes, Counter())) <= known
    assert faults == []


@pytest.mark.parametrize(("command", "points"), [("promotion", 8), ("rollback", 4), ("approval", 4)])
def test_a_killed_command_leaves_the_old_state_or_the_new_one(track: Track, command: str, points: int) -> None:
    killed = kill(track, command, points=points, seed=4)
    assert sum(not k.finished for k in killed) >= points // 2, "most commands must be killed before they end"
    assert [k.faults for k in killed] == [()] * points


def test_an_old_read_never_wins_even_where_version_and_digest_came_back(tracking_uri: str, tmp_path: Path) -> None:
    """A model that is in service again has its old version and digest, but its event is another one."""
    history = History(tracking_uri, tracking_uri, "served", tmp_path / "history.jsonl")
    back = partial(rolled_back, reason="wrong side", actor="test", at=AT)
    first = history.append(lambda _: Event("promoted", AT.isoformat(), "test", "", "1", "a" * 64, "", "v" * 64))
    second = history.append(lambda _: replace(first, version="2", digest="b" * 64, previous=first.digest))
    history.append(partial(back, target=first, champion=second))
    third = history.append(lambda _: replace(second, version="3", digest="c" * 64))
    for champion in (first, second):
        with pytest.raises(GateRefused, match="STALE_CHAMPION"):
            history.append(partial(back, target=first, champion=champion))
    again = history.append(partial(back, target=first, champion=third))
    assert (again.version, again.digest) == (first.version, first.digest)
    with pytest.raises(GateRefused, match="STALE_CHAMPION"):
        history.append(partial(back, target=second, champion=first))
