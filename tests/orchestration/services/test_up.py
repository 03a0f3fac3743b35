"""``plumbline up``, with services that are imitated."""

import pytest

from orchestration.pipeline.lock import WorkspaceBusy
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services import up


class Imitated:
    """Services that were started, and whether they were stopped."""

    def __init__(self, *_: object) -> None:
        self.stopped = False

    def __enter__(self) -> "Imitated":
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True

    def wait_until_up(self) -> None: ...

    def restart_dead(self) -> list[str]:
        return []

    def rotate_logs(self) -> None: ...


def test_services_stop_when_another_machine_may_start_them(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    write_params(Params(), workspace.params_file)
    running, asked = Imitated(), []

    def lost(workspace: object, name: str) -> None:
        asked.append(name)
        if len(asked) == 3:
            raise WorkspaceBusy("LOCK_LOST", "a lock that is gone", "the lock", "start the database")

    monkeypatch.setattr(up, "require_lock", lost)
    monkeypatch.setattr(up, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(up, "Supervised", lambda *_: running)
    monkeypatch.setattr(up, "_make_database", lambda _: None)
    with pytest.raises(WorkspaceBusy, match="LOCK_LOST"):
        up.up(workspace, 3990, 3991)
    assert running.stopped and set(asked) == {"services"}
