"""A fit on several GPUs: a process group under torchrun, on this machine or where the caller starts it.

torchrun starts ``training.fitting.ddp_worker``, because Lightning's own launcher would start the orchestrator again.

Contract: an interrupted process group writes its checkpoint and stops. The next call continues from that checkpoint. A
writer that has lost its lock interrupts its process group within seconds, also while the group reports nothing.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spine.errors
from orchestration.environment import worker_environment
from spine.errors import ContractViolation, PlumblineError
from spine.types import Progress
from training.config import TrainingConfig
from training.export.candidate import FitSummary
from training.fitting.ddp_worker import messages_of, write_request

Launch = Callable[[Path, int], int]
"""Runs the request in a file with a number of processes to its end, and returns the exit code."""

WORKER_MODULE = "training.fitting.ddp_worker"
_POLL_S = 0.5
_CHECK_EVERY_S = 5.0


def torchrun(request: Path, processes: int, worker: str, machines: Sequence[str] = ("--standalone",)) -> list[str]:
    """The command that runs ``request`` in ``processes`` processes of this machine, which run the module ``worker``.

    ``machines`` are torchrun's options that say which other machines take part.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", *machines, "--nproc-per-node", str(processes)]
    return [*launcher, "-m", worker, str(request)]


def _run_directly(request: Path, processes: int) -> int:
    process = subprocess.Popen(torchrun(request, processes, WORKER_MODULE), env=worker_environment())
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # torchrun passes the signal on, and each process writes its checkpoint
        process.wait()
        raise


@dataclass(frozen=True)
class _Launching:
    launch: Launch = _run_directly
    elsewhere: bool = False


_DIRECTLY = _Launching()
_launching: ContextVar[_Launching] = ContextVar("launching", default=_DIRECTLY)


@contextmanager
def launching_with(launch: Launch, *, elsewhere: bool = False) -> Iterator[None]:
    """Inside this block, ``launch`` starts the process groups; ``elsewhere``: and every fit, because it leaves here."""
    token = _launching.set(_Launching(launch, elsewhere))
    try:
        yield
    finally:
        _launching.reset(token)


def leaves_this_process(config: TrainingConfig) -> bool:
    """Whether a fit is for a process group: it has several GPUs, or it is done elsewhere."""
    return config.devices > 1 or _launching.get().elsewhere


def fit_in_process_group(
    dataset: Path,
    out: Path,
    config: TrainingConfig,
    folder: Path,
    progress: Progress | None,
    check: Callable[[], None] | None = None,
) -> FitSummary:
    """Fit as ``training.fitting.fit.fit`` does, with ``config.devices`` processes.

    The request and the messages from the leader (rank 0) are written to ``folder``. ``check`` is called every few
    seconds until the end.

    Raises:
        PlumblineError: the error that stopped the leader; PROCESS_GROUP_FAILED if the leader reported no error.
        Exception: an error of ``progress`` or ``check``, which stops the process group.
    """
    from training.export.onnx_export import finish_export

    request = write_request(dataset, out, config, folder)
    outcome = _Outcome(progress)
    reader = MessageReader(messages_of(request), outcome, check)
    try:
        with reader:
            code = _launching.get().launch(request, config.devices)
    except BaseException:
        if reader.stopped_by is not None:
            raise reader.stopped_by from None
        raise
    if code != 0 and outcome.refusal is not None:  # an attempt that was interrupted may have a successful one after it
        raise outcome.refusal
    if code != 0:
        raise ContractViolation(
            "PROCESS_GROUP_FAILED",
            found=f"exit code {code} of the {config.devices} training processes",
            expected="a finished fit",
            remedy="read the output of the processes above; run again to continue from the last checkpoint",
        )
    return finish_export(out, dataset)


class _Outcome:
    """What the leader reports: its progress, which is passed on, and the refusal that stopped it."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.refusal: PlumblineError | None = None

    def __call__(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            kind = getattr(spine.errors, message["refused"], ContractViolation)
            parts = {name: message[name] for name in ("found", "expected", "remedy")}
            self.refusal = kind(message["code"], **parts)
        elif "done" in message and self.progress is not None:
            self.progress(message["done"], message["total"])


class MessageReader:
    """Inside its block, calls ``handle`` with each message that the leader of a process group writes to a file.

    ``check`` is called every few seconds, also while there are no messages.

    Attributes:
        stopped_by: the error of ``handle`` or ``check``, after which no message is read; None without an error. It
            interrupts the block as Ctrl-C does, because the block waits for the process group and must be in the main
            thread.
    """

    def __init__(
        self, messages: Path, handle: Callable[[dict[str, Any]], None], check: Callable[[], None] | None = None
    ) -> None:
        self.messages, self._handle, self._check = messages, handle, check
        self.stopped_by: Exception | None = None
        self._read = 0
        self._checked = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *reason: object) -> None:
        self._done.set()
        self._thread.join()
        if self.stopped_by is None:
            self._handle_new(self.messages.read_text())

    def _poll(self) -> None:
        while not self._done.wait(_POLL_S):
            try:
                self._handle_new(self._text_so_far())
                self._check_now_and_then()
            except Exception as error:  # whatever it is, nobody watches over the process group any more
                self.stopped_by = error
                # Not ``interrupt_main``, which does not wake a thread that waits for a process.
                signal.pthread_kill(int(threading.main_thread().ident or 0), signal.SIGINT)
                return

    def _check_now_and_then(self) -> None:
        if self._check is not None and time.monotonic() - self._checked >= _CHECK_EVERY_S:
            self._check()
            self._checked = time.monotonic()

    def _text_so_far(self) -> str:
        try:
            return self.messages.read_text()
        except OSError:  # a shared file system may not show the file for some seconds
            return ""

    def _handle_new(self, text: str) -> None:
        whole = text.rfind("\n") + 1
        for line in text[self._read : whole].splitlines():
            self._handle(json.loads(line))
        self._read = max(self._read, whole)
