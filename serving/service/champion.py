"""The model that the service answers with: the champion, verified by its digest, exchanged while requests are answered.

Contract: a model answers only if its files have the digest of the promoted model and it passed the smoke test. While a
new champion is loaded the old one answers. If the new one fails, the old one stays, and ``fault`` says why. A request
keeps the model with which it began.
"""

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from inference.model import Model, load_model
from spine.errors import ContractViolation, GateRefused, PlumblineError
from spine.model_digest import CONTRACT_FILE, GRAPH_FILE, WEIGHTS_FILE

POLL_S = 2.0
"""Time between two looks at the champion."""
RETRY_S = 60.0
"""Time after which a model that failed is tried again."""

_log = logging.getLogger("plumbline.service")


@dataclass(frozen=True)
class ModelFiles:
    """A model that shall answer: the digest that its files must have, their folder, and a name for people."""

    digest: str
    folder: Path
    name: str


@dataclass(frozen=True)
class ServedModel:
    """A loaded model with its name, such as ``champion version 3``."""

    model: Model
    name: str

    @property
    def digest(self) -> str:
        """The digest of the model."""
        return self.model.digest


CurrentModel = Callable[[], ModelFiles | None]
"""The model that shall answer now; None if there is none."""
SmokeTest = Callable[[Path, str], None]
"""Refuses the model in a folder, with this digest, with ``GateRefused``."""


def _unchanged(model: Model) -> Model:
    return model


class ServedChampion:
    """Follows the model that shall answer.

    Args:
        current: see ``CurrentModel``. It is called every ``POLL_S`` seconds, and may raise ``PlumblineError``.
        smoke_test: see ``SmokeTest``.
        adjusted: what is done with a loaded model, e.g. the intervals of a site.
    """

    def __init__(
        self, current: CurrentModel, smoke_test: SmokeTest, adjusted: Callable[[Model], Model] = _unchanged
    ) -> None:
        self._current, self._smoke_test, self._adjusted = current, smoke_test, adjusted
        self._serving: ServedModel | None = None
        self._failed: tuple[str, float] | None = None
        self.fault: PlumblineError | None = None
        """Why the model that shall answer does not answer; None without a fault."""
        self.changes = 0
        self.failures = 0

    @property
    def serving(self) -> ServedModel | None:
        """The model that answers now; None if there is none."""
        return self._serving

    def required(self) -> ServedModel:
        """The model that answers now.

        Raises:
            GateRefused: ``NO_MODEL``.
        """
        if self._serving is None:
            raise GateRefused(
                "NO_MODEL",
                found=f"no model ({self.fault.code})" if self.fault else "no promoted model",
                expected="a champion that passed its smoke test",
                remedy="promote a model, or start the service with --model bundled",
            )
        return self._serving

    def look(self) -> None:
        """Look once whether another model shall answer, and exchange the model if it can answer. Never raises."""
        try:
            wanted = self._current()
            if wanted is not None and not self._is_served(wanted) and not self._failed_lately(wanted):
                self._exchange(wanted)
            elif wanted is None or self._is_served(wanted):
                self._clear_fault()
        except PlumblineError as error:
            self._note(error)
        except Exception as error:  # the follower must not die: the next look may succeed
            self._note(GateRefused("CHAMPION_UNREADABLE", type(error).__name__, "a readable champion", "see the log"))

    def follow(self, stopped: threading.Event, every_s: float = POLL_S) -> None:
        """Look every ``every_s`` seconds until ``stopped`` is set."""
        while not stopped.wait(every_s):
            self.look()

    def _is_served(self, wanted: ModelFiles) -> bool:
        if self._serving is None or self._serving.digest != wanted.digest:
            return False
        if self._serving.name != wanted.name:
            self._serving = replace(self._serving, name=wanted.name)
        return True

    def _failed_lately(self, wanted: ModelFiles) -> bool:
        if self._failed is None or self._failed[0] != wanted.digest:
            return False
        return time.monotonic() - self._failed[1] < RETRY_S

    def _exchange(self, wanted: ModelFiles) -> None:
        began = time.monotonic()
        # The folder may be replaced at any moment; what is tested and loaded is one verified copy.
        with tempfile.TemporaryDirectory(prefix="plumbline-serve-") as scratch:
            copy = _copied(wanted.folder, Path(scratch) / "model")
            try:
                model = load_model(copy, expected_digest=wanted.digest)
                self._smoke_test(copy, wanted.digest)
            except (GateRefused, ContractViolation):  # of the promoted files; others may be copied incompletely
                self._failed = (wanted.digest, time.monotonic())
                raise
        before = self._serving
        self._serving = ServedModel(self._adjusted(model), wanted.name)
        self.changes += 1
        self._clear_fault()
        fields = {"model": wanted.digest, "name": wanted.name, "before": before.digest if before else None}
        seconds = round(time.monotonic() - began, 2)
        _log.info("model exchanged", extra={"fields": fields | {"seconds": seconds}})

    def _clear_fault(self) -> None:
        self.fault = self._failed = None

    def _note(self, error: PlumblineError) -> None:
        if self.fault is None or str(self.fault) != str(error):
            self.failures += 1
            kept = self._serving.digest if self._serving else None
            _log.error("model not exchanged", extra={"fields": {"code": error.code, "kept": kept}})
        self.fault = error


def _copied(folder: Path, into: Path) -> Path:
    into.mkdir()
    for name in (GRAPH_FILE, CONTRACT_FILE, WEIGHTS_FILE):
        with suppress(FileNotFoundError):
            shutil.copyfile(folder / name, into / name)
    return into
