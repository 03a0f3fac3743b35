"""Workspaces that were away from their registry: after a local rollback, and after a change by another workspace."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.lifecycle.local_champion import local_champion, open_champion
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.errors import GateRefused
from tests.served_workspace import candidate, database_of, done, refused
from validation.promotion.history import open_history

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

VIEWER = ("--as", "R. Viewer", "--comment", "mirrored")


@pytest.fixture
def other(served: Workspace, tmp_path: Path) -> Workspace:
    """A second workspace on the registry of ``served``."""
    shutil.copytree(served.root, tmp_path / "other", ignore=shutil.ignore_patterns("mlflow"))
    return Workspace(tmp_path / "other")


def roll_back_without_registry(workspace: Workspace) -> str:
    """Roll back locally; return the verdict of the model that is then in service."""
    away = database_of(workspace).rename(workspace.state / "away.db")
    target = json.loads((workspace.previous_champion / "champion.json").read_text())
    done(workspace, "rollback", "--reason", "wrong side", "--local", "--by", "R. Viewer")
    assert open_champion(workspace).digest == target["digest"]
    away.rename(database_of(workspace))
    return str(target["verdict"])


def kinds(workspace: Workspace) -> list[str]:
    return [event.kind for event in history_state(workspace).events]


def test_a_promotion_elsewhere_stays_and_the_model_that_was_left_is_rejected(
    served: Workspace, other: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = open_champion(served).digest
    roll_back_without_registry(served)
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", served.own_tracking_uri)
    done(other, "promote", "--by", "B. Oss")
    done(served, "champion")
    assert kinds(served) == ["promoted", "promoted", "promoted", "rejected"]
    assert open_champion(served).digest == open_champion(other).digest not in (left, None)
    assert "rejected" in refused(served, "ROLLBACK_REFUSED", "rollback", "--to", "2", "--reason", "back")
    done(served, "history", "--verify")


@pytest.mark.parametrize("way_out", ["rollback", "promote", "reinstate"])
def test_a_target_that_was_rejected_meanwhile_has_a_way_out(
    served: Workspace, other: Workspace, monkeypatch: pytest.MonkeyPatch, way_out: str
) -> None:
    if way_out == "rollback":
        done(served, "promote", "--by", "R. Viewer")  # so that an earlier model remains
    verdict = roll_back_without_registry(served)
    measuring = open_champion(served).digest
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", served.own_tracking_uri)
    done(other, "reject", str(served.verdict_file.with_name(f"{verdict}.json")), *VIEWER)
    for _ in range(2):
        assert "plumbline rollback" in refused(served, "ROLLBACK_PENDING", "champion")
        found = refused(served, "HISTORY_NOT_VERIFIED", "history", "--verify")
        assert "1 fault(s); the first is ROLLBACK_PENDING" in found
        assert kinds(served)[-2:] == ["rejected", "rejected"], "the model that was left is recorded, once"
        assert open_champion(served).digest == measuring
    if way_out == "rollback":
        assert "skipped version 2" in done(served, "rollback", "--reason", "both are bad")
    elif way_out == "promote":
        done(served, "promote", "--by", "R. Viewer")
    else:
        done(served, "reinstate", "1", *VIEWER)
    done(served, "champion")
    done(served, "history", "--verify")
    champion = history_state(served).champion
    assert champion is not None and champion.digest == open_champion(served).digest
    assert champion.version == {"rollback": "1", "promote": "3", "reinstate": "1"}[way_out]


def test_a_second_local_rollback_is_refused_and_a_rollback_settles_the_first(served: Workspace) -> None:
    roll_back_without_registry(served)
    refused(served, "ROLLBACK_PENDING", "rollback", "--reason", "once more", "--local")
    done(served, "rollback", "--reason", "wrong side, in the history now", "--to", "1")
    assert kinds(served) == ["promoted", "promoted", "rolled_back"]
    done(served, "history", "--verify")


@pytest.mark.parametrize("before", ["rollback", "reject"])
def test_a_local_rollback_never_returns_to_a_model_that_the_history_bars(served: Workspace, before: str) -> None:
    """After a rollback, or after a rejection of the previous champion, no local copy of an earlier model is left."""
    verdict = json.loads((served.previous_champion / "champion.json").read_text())["verdict"]
    rejecting = ("reject", str(served.verdict_file.with_name(f"{verdict}.json")), *VIEWER)
    done(served, *(("rollback", "--reason", "wrong side") if before == "rollback" else rejecting))
    away = database_of(served).rename(served.state / "away.db")
    measuring = open_champion(served).digest
    refused(served, "NO_GOOD_MODEL", "rollback", "--reason", "wrong side", "--local")
    assert open_champion(served).digest == measuring
    away.rename(database_of(served))
    done(served, "history", "--verify")


def test_a_decision_that_contradicts_the_history_is_not_written(served: Workspace) -> None:
    history = open_history(served.tracking_uri, PRODUCTION_MODEL, served.history_copy)
    champion = history_state(served).champion
    assert champion is not None
    again = replace(champion, kind="rolled_back", previous=champion.digest)
    with pytest.raises(GateRefused, match=r"EVENT_REFUSED.*was not in service before"):
        history.append(lambda _: again)
    done(served, "history", "--verify")


def test_workspaces_of_one_registry_follow_one_history(
    served: Workspace, other: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is remade at the same path, without its copies."""
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", served.own_tracking_uri)
    done(other, "promote", "--by", "R. Viewer")
    assert "LOCAL_COPY_BEHIND" in refused(served, "HISTORY_NOT_VERIFIED", "history", "--verify")
    refused(served, "STALE_CHAMPION", "promote", "--by", "R. Viewer")
    assert local_champion(served) == local_champion(other), "a refused promotion has followed, too"
    for gone in ("history.jsonl", "champion.json"):
        (other.state / gone).unlink()
    shutil.rmtree(other.champion)
    candidate(other, "dddd", noise=0.2)
    done(other, "promote", "--by", "R. Viewer")
    for workspace in (served, other):
        done(workspace, "champion")
        done(workspace, "history", "--verify")
    assert open_champion(served).digest == open_champion(other).digest


@pytest.mark.parametrize("blank", [("--reason", " ", "--by", "B. Oss"), ("--reason", "wrong side", "--by", " ")])
def test_a_local_rollback_without_name_or_reason_is_refused_at_once(served: Workspace, blank: tuple[str, ...]) -> None:
    """The history would refuse such an event later, and with it every command."""
    refused(served, "APPROVAL_EMPTY", "rollback", "--local", *blank)
    assert not served.rollback_pending.exists()
