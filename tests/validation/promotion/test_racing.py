"""Many processes promote at once, and some are killed (fault G6). ``benchmarks promotion`` has more of both."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.racers import Track, histories_agree, kill, race, race_for_the_row
from validation.evaluation.record import EvaluationRecord
from validation.promotion.champion_record import ChampionRecord, ServingVersion
from validation.promotion.history import read_history

pytestmark = pytest.mark.slow
PROCESSES, ROUNDS, POINTS = 8, 5, 10


@pytest.fixture
def track(tmp_path: Path, tracking_uri: str, scored: Callable[..., EvaluationRecord]) -> Track:
    return Track(tmp_path, tracking_uri, scored)


@pytest.mark.parametrize("dialect", ["tracking_uri", "postgres"])
def test_of_all_who_have_read_the_same_row_one_changes_it(request: pytest.FixtureRequest, dialect: str) -> None:
    database: str = request.getfixturevalue(dialect)
    before = ChampionRecord(database, "raced-for").serving()
    outcomes = race_for_the_row(database, processes=PROCESSES, rounds=ROUNDS)
    assert outcomes == [Counter(won=1, STALE_CHAMPION=PROCESSES - 1)] * ROUNDS
    serving = ChampionRecord(database, "raced-for").serving()
    assert serving is not None and serving.sequence == (before.sequence if before else 0) + ROUNDS


def test_one_of_many_promoters_wins_whichever_history_they_write(track: Track) -> None:
    outcomes = race(track, processes=PROCESSES, rounds=ROUNDS, histories=4)
    assert [outcome["won"] for outcome in outcomes] == [1] * ROUNDS
    # On a busy machine, a locked database can be another reason for a refusal.
    assert set(sum(outcomes, Counter())) <= {"won", "STALE_CHAMPION", "REGISTRY_UNAVAILABLE"}
    assert histories_agree(track, sorted(track.folder.glob("history-*.jsonl")), ROUNDS) == []


def test_killed_promotions_leave_the_old_champion_or_the_new_one(track: Track) -> None:
    killed = kill(track, points=POINTS, seed=4)
    assert sum(not k.finished for k in killed) >= POINTS // 2, "most promotions must be killed before they end"
    assert [k.faults_after for k in killed] == [()] * POINTS
    assert [k.leftovers for k in killed] == [()] * POINTS
    read_history(track.folder / "killed.jsonl")


def test_an_old_read_never_wins_even_where_version_and_digest_came_back(tracking_uri: str) -> None:
    """A model that serves again has its old version and digest, but a new sequence."""
    record = ChampionRecord(tracking_uri, "served")
    first = record.change(None, ServingVersion("1", "1" * 64))
    second = record.change(first, ServingVersion("2", "2" * 64))
    record.change(second, ServingVersion("1", "1" * 64))
    for old in (None, first, second):
        with pytest.raises(GateRefused, match="STALE_CHAMPION"):
            record.change(old, ServingVersion("3", "3" * 64))
    now = record.serving()
    assert now is not None and (now.version, now.sequence) == ("1", 3)


def test_two_registered_models_do_not_share_a_record(tracking_uri: str) -> None:
    ChampionRecord(tracking_uri, "served").change(None, ServingVersion("1", "1" * 64))
    assert ChampionRecord(tracking_uri, "other").serving() is None
