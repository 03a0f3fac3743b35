"""The file lock: one holder at a time, and free again after an exception."""

import threading

import pytest

from spine.storage import locked


def test_a_second_holder_is_refused_or_waits(tmp_path):
    path = tmp_path / "new folder" / "lock"
    order: list[str] = []

    def wait() -> None:
        with locked(path) as held:
            order.append(f"second {held}")

    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(timeout=0.1)
        order.append("first ends")
    waiting.join(timeout=10)
    assert order == ["first ends", "second True"]


def test_an_exception_releases_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock"):
        raise ZeroDivisionError
    with locked(tmp_path / "lock", wait=False) as held:
        assert held
