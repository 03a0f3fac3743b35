"""Kills, full disks and dead helpers during a fit: T1, T3 and T6 of docs/faults.md.

A fit runs in a forked process, which dies as by SIGKILL: no handler and no ``finally`` runs.
"""

import errno
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from tests.training.fitting.test_fit import assert_equal_weights
from training.export.candidate import FITTED_FILE
from training.fitting.fit import fit
from training.model.checkpoints import newest_checkpoint

KILLS = 6
Fault = Callable[[], None]


def fit_in_a_fork(dataset: Path, out: Path, config: object, fault: Fault) -> int:
    """The wait status of a process that fits after ``fault`` was prepared; an error of the fit is its exit code."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        fault()
        fit(dataset, out, config)  # type: ignore[arg-type]
        os._exit(0)
    except OSError as error:
        os._exit(error.errno or 1)
    except BaseException:
        os._exit(255)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_at(owner: object, name: str, number: int) -> Fault:
    """Die at the nth call of a function, before it does anything."""

    def prepare() -> None:
        real, calls = getattr(owner, name), count(1)

        def dying(*arguments: object, **options: object) -> object:
            if next(calls) == number:
                die()
            return real(*arguments, **options)

        setattr(owner, name, dying)

    return prepare


def dies_after(seconds: float) -> Fault:
    """The default action of SIGALRM ends the process wherever it is."""

    def prepare() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return prepare


@pytest.mark.slow
@pytest.mark.usefixtures("without_export")
def test_a_fit_killed_again_and_again_ends_as_the_uninterrupted_one(candidate, drawn, tiny_config, tmp_path):
    out, chance = tmp_path / "out", random.Random(0)
    began = time.monotonic()
    assert fit_in_a_fork(drawn[0], tmp_path / "whole", tiny_config, lambda: None) == 0
    whole_s = time.monotonic() - began
    in_a_checkpoint = [
        dies_at(torch, "save", 1),  # before the first checkpoint
        dies_at(os, "fsync", 6),  # half-written files
        dies_at(Path, "replace", 5),  # complete, and not yet under their names
        dies_at(Path, "replace", 2),
        dies_at(Path, "unlink", 2),
    ]
    steps, killed, wanted = 0, 0, len(in_a_checkpoint) - 1 + KILLS
    for attempt in range(6 * KILLS):
        anywhere = dies_after(chance.uniform(0.05, 0.9) * whole_s)
        fault = in_a_checkpoint[attempt] if attempt < len(in_a_checkpoint) else anywhere
        if os.WIFSIGNALED(fit_in_a_fork(drawn[0], out, tiny_config, fault)):
            killed += 1
        else:
            whole_s *= 0.7  # it ended first
        saved = newest_checkpoint(out / "checkpoints")
        reached = saved["position"]["step"] if saved else 0
        assert reached >= steps, "a kill loses no checkpoint"
        steps = reached
        if (out / FITTED_FILE).is_file():
            assert_equal_weights(candidate[0], out)
            out, steps = tmp_path / f"out-{attempt}", 0
        if killed == wanted:
            break
    assert killed == wanted
    summary = fit(drawn[0], out, tiny_config)
    assert summary.steps == candidate[1].steps
    assert summary.validation_error == pytest.approx(candidate[1].validation_error, rel=1e-5)
    assert_equal_weights(candidate[0], out)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.usefixtures("without_export")
@pytest.mark.parametrize("limit", [1000, 60_000])
def test_a_file_that_cannot_grow_ends_the_fit_and_it_continues_later(candidate, drawn, tiny_config, tmp_path, limit):
    """A limit of the size of a file stands for a full disk, which a test cannot mount. The kernel raises EFBIG."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with pytest.raises(RuntimeError):  # a first stop leaves a checkpoint
        fit(drawn[0], tmp_path, tiny_config, stop_at_a_checkpoint(tmp_path))
    status = fit_in_a_fork(drawn[0], tmp_path, tiny_config, limited)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == errno.EFBIG
    assert not (tmp_path / FITTED_FILE).exists()
    assert not list(tmp_path.rglob("*.partial"))
    assert newest_checkpoint(tmp_path / "checkpoints")["position"]["step"] >= 3
    fit(drawn[0], tmp_path, tiny_config)
    assert_equal_weights(candidate[0], tmp_path)


def stop_at_a_checkpoint(out: Path) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if newest_checkpoint(out / "checkpoints") is not None:
            raise RuntimeError("stop")

    return report


@pytest.mark.slow
@pytest.mark.usefixtures("without_export")
def test_a_killed_loader_process_ends_the_fit_and_it_continues_later(candidate, drawn, tiny_config, tmp_path):
    """The kernel kills a loader process that takes too much memory: the fit must end and not wait for ever."""

    before = children()

    def kill_a_loader(done: int, total: int) -> None:
        if list(tmp_path.glob("checkpoints/step-*.json")):
            for loader in children() - before:
                with suppress(ProcessLookupError):  # it ended by itself
                    os.kill(loader, signal.SIGKILL)

    # By torch's handler of SIGCHLD, or by the broken pipe, whichever the fit meets first.
    with pytest.raises((RuntimeError, ConnectionError, EOFError)):
        fit(drawn[0], tmp_path, replace(tiny_config, workers=2), kill_a_loader)
    assert not (tmp_path / FITTED_FILE).exists()
    fit(drawn[0], tmp_path, replace(tiny_config, workers=2))
    assert_equal_weights(candidate[0], tmp_path)


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


@pytest.mark.usefixtures("without_export")
def test_too_little_memory_ends_the_fit_and_it_continues_later(candidate, drawn, tiny_config, tmp_path):
    """An allocation fails in the second epoch, as torch raises it on the host and on a GPU."""
    calls = count(1)

    def exhausted(*_: object) -> None:
        if next(calls) == 5:
            raise torch.OutOfMemoryError("tried to allocate 80 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        fit(drawn[0], tmp_path, tiny_config, exhausted)
    assert not (tmp_path / FITTED_FILE).exists()
    fit(drawn[0], tmp_path, tiny_config)
    assert_equal_weights(candidate[0], tmp_path)
