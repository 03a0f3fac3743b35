"""Runs a fit from beginning to end, stage by stage. The input is a data set, the output is a candidate.

Contract: the fit needs only torch, lightning and numpy. If onnx is not installed, ``finish_export`` exports the model
later. After the fit, ``out`` contains

    fit.json                            config and data of the fit; any other fit in this folder is refused
    stage-1/, stage-2/, ...             the same files for every stage except the last
    checkpoints/                        states from which the same command continues the fit
    journal.jsonl, history.csv          figures of the fit
    weights.safetensors (or .pt)        the weights with the smallest validation error
    contract.json, model.onnx           the exported model
    fitted.json, candidate.json         the records; ``candidate.json`` is written last
"""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from inference.bundled import find_model_folder
from spine.dataset import Manifest, read_manifest
from spine.errors import ContractViolation, ParametersRejected
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName
from spine.storage import remove_partials
from spine.types import Progress
from training.config import TrainingConfig, config_to_json
from training.data.dataset import Sample, image_items
from training.export.candidate import FITTED_FILE, FitSummary, claim_folder, read_summary
from training.export.onnx_export import can_export, finish_export
from training.fit_context import FitContext, hardware_of
from training.fitting.budget import Budget
from training.fitting.finishing import finish_stage, repeat_figures
from training.fitting.fit_callback import BEST_FILE, FitCallback, Position, Stage, TrainingInterrupted
from training.fitting.lightning_module import LandmarkModule
from training.fitting.loaders import disk_loader, epoch_images, has_weights, pool_loader, validation_loader
from training.fitting.validation_score import unit_of
from training.journal import Journal
from training.model.checkpoints import load_state, newest_checkpoint
from training.model.networks import build_network
from training.model.output_map import output_map_of
from training.model.warm_start import load_warm_start
from training.process_group import process_group_of


def fit(dataset: Path, out: Path, config: TrainingConfig, progress: Progress | None = None) -> FitSummary:
    """Fit a candidate. The same call continues an interrupted fit, or reads the result of a finished fit.

    A later stage starts from the weights with the smallest validation error in the previous stage.

    Args:
        dataset: folder of a data set (``spine.dataset``).
        out: folder of the candidate, which is empty or contains an unfinished fit with the same config and data.
        progress: function that is called with (done, total) in thousandths of the budget.

    Raises:
        ParametersRejected: the config does not match the data set or the folder.
        ContractViolation: a split has no images, or the loss is not finite.
        TrainingInterrupted: the process received SIGTERM, and a checkpoint was written.
        KeyboardInterrupt: the process received SIGINT (Ctrl-C), and a checkpoint was written.
    """
    manifest = read_manifest(dataset)
    views = _check(manifest, config)
    # All checks come before the folder is claimed, so that a corrected command can use the folder.
    hardware = hardware_of(config)
    process_group = process_group_of(config.devices)
    _require_warm_start(config, views)
    if process_group.is_leader:
        claim_folder(out, config, manifest.digest)
    if not (out / FITTED_FILE).is_file():
        if process_group.is_leader:
            remove_partials(out)
        run = FitContext(dataset, out, config, config, manifest, views, hardware, Journal(out), process_group)
        try:
            _fit_stages(run, progress)
        except TrainingInterrupted as stopped:  # Lightning would end the program at a KeyboardInterrupt
            if stopped.kind == signal.SIGINT:
                raise KeyboardInterrupt from stopped
            raise
    return finish_export(out, dataset) if process_group.is_leader and can_export() else read_summary(out, FITTED_FILE)


def _check(manifest: Manifest, config: TrainingConfig) -> tuple[ViewName, ...]:
    """Check that the data set matches the config; returns the views to train."""
    if manifest.landmark_set != config.landmark_set:
        raise ParametersRejected(
            "FIT_LANDMARK_SET_DIFFERS",
            found=f"landmark set {config.landmark_set!r} in the configuration",
            expected=f"{manifest.landmark_set!r}, the landmark set of the data set",
            remedy="train with the landmark set of the data set, or build the data set again with the configured "
            "landmark set",
        )
    found = {(entry.split, view) for entry in manifest.index() for view in entry.views}
    empty = [split for split in ("train", "validation") if not any(s == split for s, _ in found)]
    if empty:
        raise ContractViolation(
            "SPLIT_EMPTY",
            found=f"no image in {' and '.join(empty)}",
            expected="images in the train split and in the validation split",
            remedy="build the data set from more studies",
        )
    wanted = LANDMARK_SETS[config.landmark_set].views
    return tuple(v for v in VIEWS if v in wanted and ("train", v) in found)


def _require_warm_start(config: TrainingConfig, views: tuple[ViewName, ...]) -> None:
    """Refuse a warm start from a model that does not match the config."""
    if config.init_from is not None:
        output_map = output_map_of(config.landmark_set, config.names, views)
        load_warm_start(build_network(config, views), output_map, config.names, find_model_folder(config.init_from))


def _fit_stages(whole: FitContext, progress: Progress | None) -> None:
    """Fit every unfinished stage: the last in the folder of the candidate, each earlier stage in its own folder."""
    *earlier, last = whole.config.stages
    folders = tuple(whole.out / f"stage-{number}" for number in range(1, len(earlier) + 1))
    runs = [replace(whole, out=f, config=c, asked=c) for f, c in zip(folders, earlier, strict=True)]
    runs.append(replace(whole, config=last, earlier=folders))
    for number, run in enumerate(runs):
        if number:
            run = replace(run, config=replace(run.config, init_from=str(folders[number - 1])))
        if not (run.out / FITTED_FILE).is_file():
            _fit_stage(replace(run, journal=Journal(run.out)), _part(progress, number, len(runs)))
        run.process_group.wait()


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """The callback that reports the progress of stage ``number`` as progress of all ``count`` stages."""
    return None if progress is None else lambda done, total: progress(number * total + done, count * total)


def _fit_stage(run: FitContext, progress: Progress | None) -> None:
    """Fit one stage and write its files. If there are checkpoints, the fit continues from the newest."""
    if run.process_group.is_leader:
        run.journal.write_parameters(config_to_json(run.asked))
        repeat_figures(run)
    config, output_map = run.config, output_map_of(run.config.landmark_set, run.config.names, run.views)
    torch.manual_seed(config.seed)  # seed of the weights; order and augmentation have their own generators
    network = build_network(config, run.views)
    if config.init_from is not None:
        load_warm_start(network, output_map, config.names, find_model_folder(config.init_from))
    stage = _stage(run)
    budget = Budget(config.epochs, None if config.minutes is None else config.minutes * 60.0)
    compiled = run.hardware.accelerator == "cuda" and config.preset == "shared"
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    module = LandmarkModule(network, output_map, config, compiled, weighted=has_weights(run))
    saved = newest_checkpoint(stage.folder)
    if saved is not None:
        network.load_state_dict(saved["network"])
        stage.position = Position(**saved["position"])
    position = stage.position
    if budget.progress(position.epoch, position.seconds) < 1.0:
        _train(run, module, FitCallback(stage, budget, run, progress, saved), _loader(run, stage))
    if run.process_group.is_leader:
        network.load_state_dict(load_state(stage.folder / BEST_FILE)["network"])
        finish_stage(run, network, position)


def _loader(run: FitContext, stage: Stage) -> "DataLoader[Sample]":
    on_device = run.config.renders or run.config.preload
    return pool_loader(run, stage) if on_device else disk_loader(run, stage.position)


def _stage(run: FitContext) -> Stage:
    config = run.config
    held_out = image_items(run.validation, run.views)
    images = epoch_images(run)
    in_batches = images // config.batch_size * config.batch_size or images  # fewer images than a batch are one batch
    return Stage(run.out / "checkpoints", in_batches, validation_loader(run, held_out), unit_of(held_out))


def _train(run: FitContext, module: LandmarkModule, callback: FitCallback, loader: "DataLoader[Sample]") -> None:
    on_cpu = run.hardware.accelerator == "cpu"
    with _quiet_lightning():
        trainer = Trainer(
            accelerator="cpu" if on_cpu else "gpu",
            devices=run.process_group.size // run.process_group.machines,
            num_nodes=run.process_group.machines,
            # torchrun started the processes; Lightning must not start any.
            strategy="ddp" if run.process_group.size > 1 else "auto",
            precision=run.hardware.precision,
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            gradient_clip_val=1.0,
            # On CUDA, the backward pass of bilinear up-sampling is not deterministic.
            deterministic=run.config.deterministic and on_cpu,
            callbacks=[callback],
            default_root_dir=run.out,
        )
        trainer.fit(module, loader)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's hints, and restore its global settings after the fit."""
    logger, deterministic = logging.getLogger("lightning.pytorch"), torch.are_deterministic_algorithms_enabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*(num_workers|lr_scheduler|LeafSpec|isinstance).*")
            yield
    finally:
        logger.setLevel(level)
        torch.use_deterministic_algorithms(deterministic)
