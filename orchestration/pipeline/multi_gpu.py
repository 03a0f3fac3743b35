"""Fitting on several GPUs: a process group under torchrun, started from here.

torchrun starts ``training.fitting.ddp_worker``, because Lightning's own launcher would start the orchestrator again.

Contract: an interrupted process group is asked to stop, writes its checkpoint, and continues at the next call.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import spine.errors
from spine.errors import ContractViolation, PlumblineError
from spine.types import Progress
from training.config import TrainingConfig
from training.export.candidate import FitSummary
from training.fitting.ddp_worker import write_request

Launch = Callable[[Sequence[str]], int]
"""Runs a command to its end; its exit code."""

WORKER_MODULE = "training.fitting.ddp_worker"
_POLL_S = 0.5


def worker_environment() -> dict[str, str]:
    """This process's environment, but that no module of the folder somebody stands in is taken for a library's."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def _plainly(command: Sequence[str]) -> int:
    process = subprocess.Popen(list(command), env=worker_environment())
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # torchrun hands it on; each process writes what it has
        process.wait()
        raise


_launch: ContextVar[tuple[Launch, str]] = ContextVar("launch", default=(_plainly, WORKER_MODULE))


@contextmanager
def launching_with(launch: Launch, worker: str = WORKER_MODULE) -> Iterator[None]:
    """Within, process groups are started by ``launch``, as processes of the module ``worker``."""
    token = _launch.set((launch, worker))
    try:
        yield
    finally:
        _launch.reset(token)


def fit_in_process_group(
    dataset: Path, out: Path, config: TrainingConfig, folder: Path, progress: Progress | None
) -> FitSummary:
    """As ``training.fitting.fit.fit``, by ``config.devices`` processes.

    Args:
        dataset, out, config: as there.
        folder: for the messages from the leader.
        progress: called with (done, total).

    Raises:
        PlumblineError: the error that the leader stopped with; ``ContractViolation`` where it reported none.
    """
    from training.export.onnx_export import finish_export

    request = write_request(dataset, out, config, folder)
    launch, worker = _launch.get()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(config.devices)]
    heard = _Listener(folder / "messages.jsonl", progress)
    with heard:
        code = launch([*command, "-m", worker, str(request)])
    if heard.refusal is not None:
        raise heard.refusal
    if code != 0:
        raise ContractViolation(
            "PROCESS_GROUP_FAILED",
            found=f"exit code {code} of the {config.devices} processes that fitted together",
            expected="a finished fit",
            remedy="read what they wrote above; run again to go on from the last checkpoint",
        )
    return finish_export(out, dataset)


class _Listener:
    """Reads the messages of the leader while the process group works."""

    def __init__(self, messages: Path, progress: Progress | None) -> None:
        self.messages, self.progress = messages, progress
        self.refusal: PlumblineError | None = None
        self._read = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *reason: object) -> None:
        self._done.set()
        self._thread.join()
        self._hear()

    def _listen(self) -> None:
        while not self._done.wait(_POLL_S):
            self._hear()

    def _hear(self) -> None:
        text = self.messages.read_text()
        whole = text.rfind("\n") + 1
        for line in text[self._read : whole].splitlines():
            self._take(json.loads(line))
        self._read = max(self._read, whole)

    def _take(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            kind = getattr(spine.errors, message["refused"], ContractViolation)
            parts = {name: message[name] for name in ("found", "expected", "remedy")}
            self.refusal = kind(message["code"], **parts)
        elif "done" in message and self.progress is not None:
            self.progress(message["done"], message["total"])
