"""The Lightning callback that handles budget, validation, checkpoints and journal of one fit.

Contract: a fit that is interrupted between two steps continues from its newest valid checkpoint with the same result.
A checkpoint contains the weights, the optimiser, the position in the epoch, the used time and the best score. The loop
counters of Lightning are not used.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from spine.errors import PlumblineError
from spine.types import Progress
from training.data.dataset import Sample
from training.fit_context import FitContext
from training.fitting.budget import Budget
from training.fitting.energy import EnergyMeter, meter_of
from training.fitting.lightning_module import CHECKED_EVERY, LandmarkModule
from training.fitting.validation_score import Scoring
from training.model.checkpoints import save_checkpoint, save_state

VALIDATIONS = 16
"""Number of validations and checkpoints. They are spread evenly over the budget, and the last one is at its end."""

BEST_FILE = "best.pt"


SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals at which a fit writes a checkpoint and stops; SIGINT is Ctrl-C."""


class TrainingInterrupted(PlumblineError):
    """The process received SIGTERM or SIGINT; a checkpoint was written.

    Attributes:
        kind: the signal.
    """

    exit_code = 143
    kind: signal.Signals = signal.SIGTERM


@dataclass
class Position:
    """The position of a fit: finished epochs, images used in the current epoch, steps, seconds and best score.

    ``gpu_joules`` and ``cpu_joules`` are the energy during ``seconds``, or None if any part of it was not measured.
    """

    epoch: int = 0
    seen: int = 0
    step: int = 0
    seconds: float = 0.0
    images: int = 0
    validations: int = 0
    best: float | None = None

    gpu_joules: float | None = None
    cpu_joules: float | None = None
    energy_source: str = ""


@dataclass
class Stage:
    """The state of a stage during the fit.

    Attributes:
        folder: folder of the checkpoints.
        epoch_images: number of images in an epoch.
        validation: batches of the validation split, without augmentation.
        unit: unit of the validation error.
        figures: function that returns additional figures for the journal.
    """

    folder: Path
    epoch_images: int
    validation: Iterable[Sample]
    unit: str
    figures: Callable[[], dict[str, float]] = dict
    position: Position = field(default_factory=Position)


# Python 3.11 computes the repr of a handler at each change of it, which would print the whole data set into a string.
@dataclass(eq=False, repr=False)
class FitCallback(Callback):
    """Measures time, validates, writes checkpoints and journal, and stops at the end of the budget or on a signal.

    A second Ctrl-C stops at once, without a checkpoint.

    Attributes:
        progress: function that is called with (finished thousandths of this stage, 1000).
        saved: checkpoint to continue from. Its network and position are already loaded. The callback loads its
            optimiser.
    """

    stage: Stage
    budget: Budget
    run: FitContext
    progress: Progress | None
    saved: dict[str, Any] | None

    def __post_init__(self) -> None:
        group = self.run.process_group
        metered = group.is_leader and group.machines == 1  # the energy of other machines is not known here
        self.meter = meter_of(self.run.hardware.accelerator, group.size) if metered else EnergyMeter({})
        self._began = self._seconds_before = 0.0
        self._joules_before: dict[str, float | None] = {}
        self._stopped_by: signal.Signals | None = None
        self._handlers_before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load the optimiser, start the clock and listen for signals."""
        if self.saved is not None:
            trainer.optimizers[0].load_state_dict(self.saved["optimizer"])
        self._began = time.monotonic()
        position = self.stage.position
        self._seconds_before = position.seconds
        fresh = position.step == 0
        self._joules_before = {n: 0.0 if fresh else getattr(position, f"{n}_joules") for n in ("gpu", "cpu")}
        position.energy_source = self.meter.source
        self.meter.start()
        if threading.current_thread() is threading.main_thread():
            self._handlers_before = {kind: signal.signal(kind, self._on_signal) for kind in SIGNALS}
        self._report_progress(_landmark_module(pl_module))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_index: int
    ) -> None:
        """Count the step; stop at the end of the budget or on request."""
        position = self.stage.position
        position.step += 1
        position.seen += len(batch.view)
        position.images += len(batch.view) * self.run.process_group.size
        module = _landmark_module(pl_module)
        if module.device.type != "cuda" or position.step % CHECKED_EVERY == 0:
            self._synchronise(trainer, module)

    def _synchronise(self, trainer: Trainer, module: LandmarkModule) -> None:
        """Agree with the process group on the time and on a stop. The call waits for the GPU and all processes."""
        position = self.stage.position
        seconds = self._seconds_before + time.monotonic() - self._began
        position.seconds, stop = self.run.process_group.agree(seconds, self._stopped_by is not None, module.device)
        self._report_progress(module)
        if stop:
            self._save(trainer, module)
            raise self._interrupted()
        if module.progress >= 1.0:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate and save if a validation is due or the fit ends."""
        position, module = self.stage.position, _landmark_module(pl_module)
        if position.seen >= self.stage.epoch_images:
            position.epoch, position.seen = position.epoch + 1, 0
        self._synchronise(trainer, module)
        if int(module.progress * VALIDATIONS) > position.validations or module.progress >= 1.0:
            position.validations = int(module.progress * VALIDATIONS)
            if self.run.process_group.is_leader:
                self._validate(module)
            self._save(trainer, module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the signal handler, and stop reading the energy counters."""
        self.meter.stop()
        for kind, handler in self._handlers_before.items():
            signal.signal(kind, handler)
        self._handlers_before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopped_by == number == signal.SIGINT:
            raise KeyboardInterrupt
        self._stopped_by = self._stopped_by or signal.Signals(number)

    def _interrupted(self) -> TrainingInterrupted:
        kind = self._stopped_by or signal.SIGTERM  # None: another process of the group received the signal
        error = TrainingInterrupted(
            "TRAINING_INTERRUPTED",
            found=f"the signal {kind.name} at step {self.stage.position.step}",
            expected="a fit without interruption",
            remedy="start the same command again: it continues from the checkpoint of this step",
        )
        error.kind = kind
        return error

    def _report_progress(self, module: LandmarkModule) -> None:
        position = self.stage.position
        part = position.seen / max(self.stage.epoch_images, 1)
        module.progress = self.budget.progress(position.epoch + part, position.seconds)
        if self.progress is not None:
            self.progress(int(1000 * module.progress), 1000)

    def _validate(self, module: LandmarkModule) -> None:
        stage, position = self.stage, self.stage.position
        module.check()
        scoring = Scoring(module.output_map, stage.unit, module.device, self.run.hardware.dtype, module.sources)
        found = scoring.score(module.network, stage.validation)
        values = {
            **module.take_losses(),
            **found.metrics(),
            "train/epoch": float(position.epoch),
            "train/images_per_second": position.images / max(position.seconds, 1e-9),
            **stage.figures(),
        }
        self.run.journal.write_measurements(position.step, time.time(), values)
        if position.best is None or found.mean < position.best:
            position.best = found.mean
            save_state({"network": _plain(module.network.state_dict())}, stage.folder / BEST_FILE)

    def _save(self, trainer: Trainer, module: LandmarkModule) -> None:
        module.check()
        if not self.run.process_group.is_leader:
            return
        self._record_energy()
        state = {
            "network": _plain(module.network.state_dict()),
            "optimizer": trainer.optimizers[0].state_dict(),
            "position": dict(vars(self.stage.position)),
        }
        save_checkpoint(state, self.stage.folder, self.stage.position.step)

    def _record_energy(self) -> None:
        self.meter.sample()
        for name, before in self._joules_before.items():
            used = self.meter.used(name)
            total = None if before is None or used is None else before + used
            setattr(self.stage.position, f"{name}_joules", total)


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().cpu() for name, tensor in state.items()}


def _landmark_module(module: LightningModule) -> LandmarkModule:
    """The module as a ``LandmarkModule``. The signatures of Lightning's callbacks name only the base class."""
    if not isinstance(module, LandmarkModule):
        raise TypeError(f"found a {type(module).__name__}, expected a LandmarkModule")
    return module
