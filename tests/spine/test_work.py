"""Work on many items gives the results of one process, in order, with bounded memory and clear errors."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from spine.errors import DicomRejected, PlumblineError
from spine.work import BATCHES_PER_WORKER, LocalWork, place_of_fault, run_apart


def _square(number: int) -> int:
    return number * number


def _process(_: int) -> int:
    return os.getpid()


def _threads(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def _refuse_seven(number: int) -> int:
    if number == 7:
        raise DicomRejected("EMPTY_FILE", "0 bytes", "a file", "copy again")
    return number


def _die_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _touch(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    return number


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_results_are_in_the_order_of_the_items(workers: int, batch: int) -> None:
    assert list(LocalWork(workers).run(_square, range(10), batch=batch)) == [n * n for n in range(10)]


def test_one_worker_and_one_batch_start_nothing() -> None:
    assert set(LocalWork(1).run(_process, range(4))) == {os.getpid()}
    assert set(LocalWork(4).run(_process, range(4), batch=4)) == {os.getpid()}
    assert os.getpid() not in set(LocalWork(2).run(_process, range(4), batch=2))


def test_a_worker_has_one_thread() -> None:
    assert set(LocalWork(2).run(_threads, range(4))) == {"1"}


def test_items_are_read_while_the_work_is_under_way() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    with closing(LocalWork(2).run(_square, items(), batch=4)) as results:
        next(results)
        # The first batch is taken out, and one more is started in its place.
        assert len(read) <= 4 * (2 * BATCHES_PER_WORKER + 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_in_the_place_of_its_result_and_cancels_the_rest(tmp_path: Path, workers: int) -> None:
    found = []
    with pytest.raises(DicomRejected) as refused:
        for number in LocalWork(workers).run(_refuse_seven, range(20), batch=3):
            found.append(number)
    assert found == list(range(7)) and refused.value.code == "EMPTY_FILE"


def test_a_closed_iterator_cancels_what_has_not_begun(tmp_path: Path) -> None:
    with closing(LocalWork(2).run(partial(_touch, tmp_path), range(10_000))) as results:
        assert next(results) == 0
    assert len(list(tmp_path.iterdir())) < 100


def test_a_killed_worker_is_reported() -> None:
    with pytest.raises(PlumblineError) as died:
        list(LocalWork(2).run(_die_at_seven, range(20)))
    assert died.value.code == "WORKER_DIED"


class _OfManyParts(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class _WithALock(Exception):
    """It cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def _raise_oddly(kind: str) -> None:
    if kind == "many parts":
        raise _OfManyParts("one", "two")
    if kind == "a lock":
        raise _WithALock("three")
    raise ValueError("four")


@pytest.mark.parametrize(
    ("kind", "text"), [("many parts", "_OfManyParts: one two"), ("a lock", "_WithALock: three"), ("none", "four")]
)
def test_an_exception_that_cannot_be_pickled_arrives_with_its_text_and_its_place(kind: str, text: str) -> None:
    places = []
    for workers in (1, 2):
        with pytest.raises(Exception, match=text.rpartition(": ")[2]) as raised:
            list(LocalWork(workers).run(_raise_oddly, [kind] * 4))
        places.append(place_of_fault(raised.value))
        if workers == 2:
            assert text in str(raised.value) and "_raise_oddly" in raised.value.__notes__[0]
    assert places[0] == places[1] and places[0].startswith("test_work.py, line")


def test_one_item_can_be_done_apart_and_may_end_its_process() -> None:
    assert run_apart(_process, 1) != os.getpid()
    with pytest.raises(DicomRejected):
        run_apart(_refuse_seven, 7)
    with pytest.raises(PlumblineError, match="WORKER_DIED"):
        run_apart(_die_at_seven, 7)


def test_ctrl_c_in_a_terminal_reaches_only_the_parent() -> None:
    assert os.getpgid(0) not in set(LocalWork(2).run(_process_group, range(4)))


def _process_group(_: int) -> int:
    return os.getpgid(0)
