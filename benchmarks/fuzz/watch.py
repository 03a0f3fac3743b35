"""Reading of one input under observation, and the verdict: what the readers did, or which rule they broke.

Contract: while an input is read, an audit hook records every write outside the folder of the worker, every process but
the decoder, and every connection. Log records and warnings are searched for the marker too.
"""

import logging
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.fuzz.byte_edits import MARKER
from benchmarks.fuzz.targets import NO_POINTS, ONLY_OTHER_FILES, PRESENT, READ, Target, codes_of
from docs.generate.raised import raised
from spine.radiograph.sandbox import child_pid

MOST_SECONDS = 10.0
MOST_BYTES = 2**30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
_NEVER = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "socket.connect",
    "socket.bind",
    "pickle.find_class",
)
_DECODER = "spine.radiograph.decode_child"


@dataclass(frozen=True)
class Outcome:
    """What became of one input: its codes, time and peak memory, and the rule that was broken, if any."""

    codes: tuple[str, ...]
    seconds: float
    memory_bytes: int
    fault: str | None = None


@dataclass
class _Guard:
    """What the audit hook and the log handler of this process have seen; ``root`` is None while nothing is watched."""

    root: str | None = None
    seen: list[str] = field(default_factory=list)
    hooked: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.root is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
                self._check(event, path)
        elif event in _CHANGES:
            if event == "os.truncate" or arguments[-1] == -1:  # otherwise a name below a folder that is open
                for path in arguments:
                    if isinstance(path, str | bytes | os.PathLike):
                        self._check(event, path)
        elif event in _NEVER or (event == "subprocess.Popen" and _DECODER not in str(arguments[1])):
            self.seen.append(f"the event {event}")

    def _check(self, event: str, path: Any) -> None:
        full = os.path.realpath(os.path.dirname(os.path.join(os.getcwd(), os.fsdecode(path))))  # noqa: PTH118, PTH109, PTH120
        if not (full + "/").startswith(str(self.root) + "/") and os.fsdecode(path) != os.devnull:
            self.seen.append(f"{event} outside the temporary folder")


_GUARD = _Guard()


class _Log(logging.Handler):
    """Searches log records for the marker."""

    def emit(self, record: logging.LogRecord) -> None:
        if MARKER in record.getMessage():
            _GUARD.seen.append(f"the marker in a log record of {record.name}")


@cache
def documented_codes() -> frozenset[str]:
    """The codes that the reference page of the documentation has."""
    return frozenset(place.code for place in raised()) | {READ, NO_POINTS, PRESENT, ONLY_OTHER_FILES}


@contextmanager
def _watched(root: Path) -> Iterator[list[str]]:
    """Observe this process; yields the list of what was seen."""
    if not _GUARD.hooked:
        sys.addaudithook(_GUARD)
        _GUARD.hooked = True
    handler, before = _Log(), tempfile.tempdir
    logging.getLogger().addHandler(handler)
    tempfile.tempdir = str(root / "tmp")
    _GUARD.seen.clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _GUARD.root = os.path.realpath(root)
            yield _GUARD.seen
            _GUARD.root = None
            _GUARD.seen += ["the marker in a warning" for warning in caught if MARKER in str(warning.message)][:1]
    finally:
        _GUARD.root, tempfile.tempdir = None, before
        logging.getLogger().removeHandler(handler)


def judged(target: Target, files: Mapping[str, bytes], root: Path, known: frozenset[str]) -> Outcome:
    """Write an input below ``root``, read it, and judge what the readers did. ``root`` is then empty again."""
    for name in ("in", "out", "tmp"):
        (root / name).mkdir(parents=True)
    _write(root / "in", files)
    before, started, text, fault = peak_bytes(), time.perf_counter(), "", None
    codes: list[str] = []
    with _watched(root) as seen:
        try:
            codes, text = codes_of(target, root / "in", root / "out")
        except AssertionError as error:
            fault = f"wrong result: {error}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            fault = f"{type(error).__name__} at {_place_of(error)}"
    seconds, memory = time.perf_counter() - started, peak_bytes()
    left = sorted(path.name for path in (root / "tmp").iterdir())
    shutil.rmtree(root)
    broken = fault or _broken(codes, text, seconds, known) or _too_large(memory, before)
    broken = broken or (seen[0] if seen else None)
    return Outcome(tuple(codes), seconds, memory, broken or ("temporary files were left" if left else None))


def _too_large(memory: int, before: int) -> str | None:
    """The peak is that of the process, which may have been large before, for example in a test."""
    rose = memory > MOST_BYTES >= before or memory - before > MOST_BYTES
    return f"more than {MOST_BYTES >> 20} MiB" if rose else None


def _broken(codes: list[str], text: str, seconds: float, known: frozenset[str]) -> str | None:
    """The rule that the outcome breaks."""
    unknown = [code for code in sorted(set(codes)) if not _is_known(code, known)]
    if "READER_FAULT" in codes:
        return "READER_FAULT"
    if unknown:
        return f"the code {unknown[0]}, which is not documented"
    if MARKER in text:
        return f"the marker in a text ({', '.join(sorted(set(codes)))})"
    return f"more than {MOST_SECONDS:.0f} s" if seconds > MOST_SECONDS else None


def _is_known(code: str, known: frozenset[str]) -> bool:
    """Whether a code is documented, perhaps as ``UNITS_SUSPECT_{…}``, whose end is known only at run time."""
    open_ended = (known_code.removesuffix("{…}") for known_code in known if known_code.endswith("{…}"))
    return code in known or code.startswith(tuple(open_ended))


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of an input that the file system takes: names that are too long or invalid are left out."""
    for name, payload in files.items():
        path = folder / name.lstrip("/").replace("..", "_").replace("\0", "_")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(payload)
        except OSError:
            continue


def _place_of(error: BaseException) -> str:
    """Module and line of the deepest cause; its text may quote the input."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/spine/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} ({type(error).__name__})"


def peak_bytes() -> int:
    """Peak resident memory of this process and of its decoder together."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child = child_pid()
    if child is None:
        return own
    try:
        status = Path(f"/proc/{child}/status").read_text()
    except OSError:
        return own
    return own + next((int(x.split()[1]) * 1024 for x in status.splitlines() if x.startswith("VmHWM:")), 0)
