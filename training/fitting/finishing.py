"""The files of a finished stage: weights, contract, history and record.

Contract: the record of the last stage contains the cost of all stages. The journal of the last stage repeats the
figures of all stages.
"""

import csv
import io
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from torch import nn

from inference.contract import ModelContract, write_contract
from spine.dataset import Example
from spine.storage import write_text_atomically
from training.data.dataset import image_items
from training.export.candidate import FITTED_FILE, FitSummary, StageCost, joined, read_summary, write_summary
from training.fit_context import FitContext
from training.fitting.fit_callback import Position
from training.fitting.validation_score import unit_of
from training.journal import read_journal
from training.model.checkpoints import save_weights

_RESULT = ("images", "validation_error", "error_unit", "epochs", "steps", "seconds", "images_per_second")
_MACHINE = ("device", "precision", "gpu_joules", "cpu_joules")

SCALES = (1.0, 0.7, 0.5)
"""Scales at which a model is run that learnt fields of view of many sizes."""


def repeat_figures(run: FitContext) -> None:
    """Copy the figures of earlier stages into the journal, as ``<stage>/<figure>``."""
    for folder in run.earlier:
        for m in read_journal(folder).measurements:
            values = {f"{folder.name}/{name}": value for name, value in m.values.items()}
            run.journal.write_measurements(m.step, m.time_s, values)


def finish_stage(run: FitContext, network: nn.Module, position: Position) -> None:
    """Write weights, contract, history and record of a stage."""
    save_weights(network.state_dict(), run.out)
    write_contract(_contract(run, run.train if run.config.uses_train_split else ()), run.out)
    _write_history(run.out)
    before = [read_summary(folder, FITTED_FILE) for folder in run.earlier]
    summary = joined(run.asked, [*before, _summary(run, position)])
    run.journal.write_facts(**{name: getattr(summary, name) for name in _RESULT + _MACHINE}, finished_s=time.time())
    write_summary(summary, run.out / FITTED_FILE)


def _summary(run: FitContext, position: Position) -> FitSummary:
    """The record of this stage only."""
    on_gpu = run.hardware.accelerator == "cuda"
    device = torch.cuda.get_device_name() if on_gpu else platform.machine() + " CPU"
    error = position.best or 0.0
    group, seconds = run.process_group, position.seconds
    cost = StageCost(run.config.seed, group.size, device, position.epoch, position.step, seconds, error)
    return FitSummary(
        config=run.config,
        landmark_set=run.manifest.landmark_set,
        dataset_digest=run.manifest.digest,
        test_digest=run.manifest.test_digest,
        images=_learnt_images(run, position),
        validation_error=error,
        error_unit=unit_of(image_items(run.validation, run.views)),
        epochs=position.epoch,
        steps=position.step,
        seconds=seconds,
        images_per_second=position.images / max(seconds, 1e-9),
        device=device,
        precision=run.hardware.precision,
        gpu_joules=position.gpu_joules,
        cpu_joules=position.cpu_joules,
        energy_source=position.energy_source,
        versions={"torch": torch.__version__, "lightning": lightning.__version__, "python": platform.python_version()},
        stages=(cost,),
    )


def _learnt_images(run: FitContext, position: Position) -> int:
    """The number of distinct training images. Virtual images of all epochs that have begun are counted."""
    config = run.config
    found = len(image_items(run.train, run.views)) if config.uses_train_split else 0
    rendered = config.virtual_pairs * len(run.views) + config.virtual_frontals
    replaced = max(position.epoch + (position.seen > 0) - 1, 0)
    return found + rendered + replaced * config.replaced_each_epoch(rendered)


def _contract(run: FitContext, train: Sequence[Example]) -> ModelContract:
    recorded = {e.facts.get("simulated") for e in train}
    recorded |= {True} if run.config.renders else set()
    simulated = recorded.pop() if len(recorded) == 1 else None
    return ModelContract(
        landmark_set=run.config.landmark_set,
        names=run.config.names,
        views=run.views,
        input_shape=run.config.input_shape,
        heatmap_stride=run.config.heatmap_stride,
        scales=SCALES if run.config.augmentation.cut else (1.0,),
        mirrored_average=run.config.mirrored_average,
        simulated_training_data=simulated if isinstance(simulated, bool) else None,
        training_note=_note(run, train),
    )


def _note(run: FitContext, train: Sequence[Example]) -> str:
    """A text that describes the training data."""
    config, digest, parts = run.config, run.manifest.digest[:12], []
    if config.uses_train_split:
        parts.append(f"{len(train)} studies of data set {digest} from {', '.join(sorted({e.source for e in train}))}")
    if config.renders:
        from training.data.virtual_patients import stream_seed  # needs scipy, so a fit from disk must not import it

        seeds = " and ".join(str(stream_seed(stage)) for stage in run.asked.stages)
        parts.append(f"virtual patients rendered during training, seed {seeds}")
    return " and ".join(parts) if config.uses_train_split else f"{parts[0]}; chosen on data set {digest}"


def _write_history(out: Path) -> None:
    measurements = read_journal(out).measurements
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["step", *sorted({name for m in measurements for name in m.values})])
    writer.writeheader()
    writer.writerows({"step": m.step, **m.values} for m in measurements)
    write_text_atomically(out / "history.csv", buffer.getvalue())
