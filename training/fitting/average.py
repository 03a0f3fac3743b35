"""`python -m training.fitting.average` makes one candidate with the mean weights of several fits.

Fits that start from one model and differ in seed, learning rate or augmentation end with similar weights. A model with
the mean of their weights has smaller errors than each fit, and its predictions take no longer (Wortsman 2022,
arXiv:2203.05482). The model that they started from may be part of the mean: it knows cases that are rare in the data
set of the fits (Wortsman 2022, arXiv:2109.01903). The model is tried with the mean of the normalisation statistics, and
with statistics that are computed again from the training images. The version with the smaller validation error is used.

Contract: fits that differ in data set, landmark set or architecture are refused. If onnx is not installed, the model is
exported later (``finish_export``).
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from inference.bundled import find_model_folder
from inference.contract import read_contract, write_contract
from spine.dataset import read_manifest
from spine.errors import ParametersRejected, PlumblineError
from training.config import Device, TrainingConfig, config_to_json
from training.data.dataset import image_items
from training.export.candidate import FITTED_FILE, FitSummary, joined, read_summary, require_empty, write_summary
from training.export.onnx_export import can_export, finish_export
from training.fit_context import FitContext, hardware_of, require_data_set
from training.fitting.loaders import validation_loader
from training.fitting.validation_score import Scoring, unit_of
from training.journal import Journal
from training.model.checkpoints import load_weights, save_weights
from training.model.label_shift import label_sources
from training.model.networks import build_network
from training.model.output_map import output_map_of
from training.model.warm_start import load_warm_start

_MAY_DIFFER = {"seed", "learning_rate", "weight_decay", "augmentation", "batch_size", "init_from"}
_MAY_DIFFER |= {"epochs", "minutes", "next_stages"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Average the weights of fits and write the candidate; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.fitting.average", description=__doc__.splitlines()[0])
    parser.add_argument("fits", nargs="+", type=Path, help="folders of finished fits")
    parser.add_argument("--dataset", type=Path, required=True, help="data set on which these fits were made")
    parser.add_argument("--out", type=Path, required=True, help="folder of the averaged candidate")
    parser.add_argument(
        "--start-share", type=float, default=0.0, help="share of the weights from which the fits started (default: 0)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args(arguments)
    try:
        summary, errors = average(given.fits, given.dataset, given.out, given.device, given.start_share)
    except PlumblineError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    each = ", ".join(f"{e:.3f}" for e in errors)
    sys.stdout.write(
        f"validation landmark error {summary.validation_error:.3f} {summary.error_unit}; of each fit alone: {each}\n"
    )
    return 0


def average(
    fits: Sequence[Path], dataset: Path, out: Path, device: Device = "auto", start_share: float = 0.0
) -> tuple[FitSummary, list[float]]:
    """Write the mean of ``fits`` to ``out``; returns the summary of the mean, and the validation error of each fit.

    The model from which the fits started has the share ``start_share`` in the mean.

    Raises:
        ParametersRejected: the fits do not match each other or their start, the share is not in [0, 1), or ``out`` is
            not empty.
        ContractViolation: a folder has no finished fit.
    """
    require_data_set(dataset)
    summaries = [read_summary(folder, FITTED_FILE) for folder in fits]
    _require_same_kind(fits, summaries, out, start_share)
    run = _context(fits[0], dataset, out, replace(summaries[0].config, device=device))
    weights = [load_weights(folder) for folder in fits]
    errors = [_error(run, w) for w in weights]
    parts = [((1 - start_share) / len(fits), w) for w in weights]
    if start_share:
        parts.append((start_share, _start_weights(run)))
    found, mean = min(((_error(run, w), w) for w in _means(run, parts)), key=lambda option: option[0])
    out.mkdir(parents=True, exist_ok=True)
    save_weights(mean, out)
    contract = read_contract(fits[0])
    note = f"{contract.training_note}; mean weights of {len(fits)} fits"
    note += f" and, with a share of {start_share:g}, of the model that they started from" if start_share else ""
    write_contract(replace(contract, training_note=note, calibration=None), out)
    # MLflow needs a journal, but a mean has none. It gets the journal of the first fit. The contract notes the mean.
    shutil.copyfile(fits[0] / "journal.jsonl", out / "journal.jsonl")
    summary = replace(joined(summaries[0].config, summaries), validation_error=found, model_digest=None)
    write_summary(summary, out / FITTED_FILE)
    return (finish_export(out, dataset) if can_export() else summary), errors


def _require_same_kind(fits: Sequence[Path], summaries: Sequence[FitSummary], out: Path, start_share: float) -> None:
    if not 0 <= start_share < 1:
        raise ParametersRejected(
            "START_SHARE",
            found=f"a start share of {start_share:g}",
            expected="a number from 0 to less than 1",
            remedy="use 0 to leave the model that the fits started from out of the mean",
        )

    def kind(summary: FitSummary) -> dict[str, object]:
        asked = {k: v for k, v in config_to_json(summary.config).items() if k not in _MAY_DIFFER}
        return {**asked, "dataset": summary.dataset_digest}

    first, different = kind(summaries[0]), len({folder.resolve() for folder in fits})
    if different < max(1 if start_share else 2, len(fits)):
        raise ParametersRejected(
            "FITS_TOO_FEW",
            found=f"{len(fits)} folders, of which only {different} are distinct",
            expected="at least two distinct folders, or one with a start share, each named once",
            remedy="name the folders of fits that differ in seed, learning rate or augmentation",
        )
    differing = {
        f"{folder.name}: {name}"
        for folder, summary in zip(fits, summaries, strict=True)
        for name, value in kind(summary).items()
        if value != first[name]
    }
    starts = {s.config.init_from for s in summaries}
    differences, origins = ", ".join(sorted(differing)[:4]), ", ".join(sorted(map(str, starts)))
    what = f"differ in {differences}" if differing else f"start from {origins}"
    if differing or len(starts) != 1 or None in starts:
        raise ParametersRejected(
            "FITS_DIFFER",
            found=f"fits that {what}",
            expected="fits of one data set and architecture that start from the same model (--init-from)",
            remedy="average only fits of this kind: weights of unrelated fits have no meaningful mean",
        )
    require_empty(out)


def _context(first: Path, dataset: Path, out: Path, config: TrainingConfig) -> FitContext:
    views, hardware = read_contract(first).views, hardware_of(config)
    return FitContext(dataset, out, config, config, read_manifest(dataset), views, hardware, Journal(out))


def _start_weights(run: FitContext) -> dict[str, Tensor]:
    """The weights from which the fits started."""
    config, folder = run.config, find_model_folder(str(run.config.init_from))
    network, output_map = build_network(config, run.views), output_map_of(config.landmark_set, config.names, run.views)
    matched, heads = (
        load_warm_start(network, output_map, config.names, folder),
        sum(k >= 0 for row in output_map.landmark for k in row),
    )
    if matched < heads:
        raise ParametersRejected(
            "START_SHARE",
            found=f"a start {folder.name!r} that has {matched} of the {heads} landmarks of the fits",
            expected="a start that has all of them",
            remedy="average the fits without --start-share",
        )
    return network.state_dict()


def _means(run: FitContext, parts: Sequence[tuple[float, dict[str, Tensor]]]) -> list[dict[str, Tensor]]:
    """The mean of (share, weights) with mean normalisation statistics, and the mean with new statistics."""
    mean = {  # integer counters are copied from the first fit
        name: torch.stack([share * w[name].float() for share, w in parts]).sum(dim=0) if t.is_floating_point() else t
        for name, t in parts[0][1].items()
    }
    network = _network(run, mean)
    _recompute_statistics(run, network)
    return [mean, {name: t.detach().cpu() for name, t in network.state_dict().items()}]


def _network(run: FitContext, weights: dict[str, Tensor]) -> nn.Module:
    network = build_network(run.config, run.views)
    network.load_state_dict(weights)
    return network.to(run.device)


def _error(run: FitContext, weights: dict[str, Tensor]) -> float:
    """Mean landmark error on the validation split."""
    config, items = run.config, image_items(run.validation, run.views)
    output_map = output_map_of(config.landmark_set, config.names, run.views)
    sources = label_sources(output_map, config.names, config.label_shift).to(run.device)
    scoring = Scoring(output_map, unit_of(items), run.device, run.hardware.dtype, sources)
    return scoring.score(_network(run, weights), validation_loader(run, items)).mean


def _recompute_statistics(run: FitContext, network: nn.Module) -> None:
    """Compute the means and variances of every normalisation layer over the training images, in one pass."""
    layers = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
    network.train()
    with torch.no_grad():
        for batch in validation_loader(run, image_items(run.train, run.views)):
            network(batch.pixels.to(run.device), batch.view.to(run.device))


if __name__ == "__main__":
    sys.exit(main())
