"""A fit on several GPUs: a process group under torchrun.

torchrun starts ``training.fitting.ddp_worker``, because Lightning's own launcher would start the orchestrator again.

Contract: an interrupted process group writes its checkpoint and stops. The next call continues from that checkpoint.
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
"""Runs a command to its end and returns its exit code."""

WORKER_MODULE = "training.fitting.ddp_worker"
_POLL_S = 0.5


def worker_environment() -> dict[str, str]:
    """This process's environment, plus a variable that keeps modules of the working directory from hiding libraries."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def _run_directly(command: Sequence[str]) -> int:
    process = subprocess.Popen(list(command), env=worker_environment())
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # torchrun passes the signal on, and each process writes its checkpoint
        process.wait()
        raise


_launch: ContextVar[tuple[Launch, str]] = ContextVar("launch", default=(_run_directly, WORKER_MODULE))


@contextmanager
def launching_with(launch: Launch, worker: str = WORKER_MODULE) -> Iterator[None]:
    """Inside this block, ``launch`` starts the process groups, whose processes run the module ``worker``."""
    token = _launch.set((launch, worker))
    try:
        yield
    finally:
        _launch.reset(token)


def fit_in_process_group(
    dataset: Path, out: Path, config: TrainingConfig, folder: Path, progress: Progress | None
) -> FitSummary:
    """Fit as ``training.fitting.fit.fit`` does, with ``config.devices`` processes.

    The request and the messages from the leader (rank 0) are written to ``folder``.

    Raises:
        PlumblineError: the error that stopped the leader; PROCESS_GROUP_FAILED if the leader reported no error.
    """
    from training.export.onnx_export import finish_export

    request = write_request(dataset, out, config, folder)
    launch, worker = _launch.get()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(config.devices)]
    reader = _MessageReader(folder / "messages.jsonl", progress)
    with reader:
        code = launch([*command, "-m", worker, str(request)])
    if reader.refusal is not None:
        raise reader.refusal
    if code != 0:
        raise ContractViolation(
            "PROCESS_GROUP_FAILED",
            found=f"exit code {code} of the {config.devices} training processes",
            expected="a finished fit",
            remedy="read the output of the processes above; run again to continue from the last checkpoint",
        )
    return finish_export(out, dataset)


class _MessageReader:
    """Reads the leader's messages while the process group works."""

    def __init__(self, messages: Path, progress: Progress | None) -> None:
        self.messages, self.progress = messages, progress
        self.refusal: PlumblineError | None = None
        self._read = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *reason: object) -> None:
        self._done.set()
        self._thread.join()
        self._read_new()

    def _poll(self) -> None:
        while not self._done.wait(_POLL_S):
            self._read_new()

    def _read_new(self) -> None:
        text = self.messages.read_text()
        whole = text.rfind("\n") + 1
        for line in text[self._read : whole].splitlines():
            self._handle(json.loads(line))
        self._read = max(self._read, whole)

    def _handle(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            kind = getattr(spine.errors, message["refused"], ContractViolation)
            parts = {name: message[name] for name in ("found", "expected", "remedy")}
            self.refusal = kind(message["code"], **parts)
        elif "done" in message and self.progress is not None:
            self.progress(message["done"], message["total"])
