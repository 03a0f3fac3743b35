"""Speed of fits, share of the time for rendering, and share of the GPU's peak rate.

    python -m benchmarks.training_rate FOLDER ...        folders of finished fits (fitted.json, journal.jsonl)

Torch counts the operations of a forward pass. A backward pass is assumed to need twice as many. Times come from the
journal of the fit. The rate of the whole fit includes start and compilation.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from inference.contract import read_contract
from training.export.candidate import FITTED_FILE, FitSummary, read_summary
from training.model.networks import build_network

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0}
"""Dense bfloat16 rate of the tensor cores from NVIDIA's data sheet, 1e12 operations per second."""

BACKWARD = 3.0
"""Operations of a training step relative to a forward pass."""


def operations(summary: FitSummary, folder: Path) -> float:
    """Number of operations of a forward pass of one image."""
    network = build_network(summary.config, read_contract(folder).views).eval()
    image = torch.zeros(1, 1, *summary.config.input_shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image, torch.zeros(1, dtype=torch.int64))
    return float(counter.get_total_flops())


def row(folder: Path) -> str:
    """The row of one fit."""
    summary = read_summary(folder, FITTED_FILE)
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    measured = [(line["time_s"], line["step"], line["values"]) for line in lines if line["kind"] == "measurements"]
    whole = (
        f"| {summary.config.preset} | {summary.device} x {summary.config.devices} | {summary.images_per_second:.0f} "
    )
    if len(measured) < 3:
        return f"{whole}| too short: {len(measured)} measurements in its journal | | | |"
    (first_time, first_step, _), (last_time, last_step, values) = measured[1], measured[-1]
    batch = summary.config.batch_size * summary.config.devices
    steady = (last_step - first_step) * batch / max(last_time - first_time, 1e-9)
    forward = operations(summary, folder)
    reached = forward * BACKWARD * steady / summary.config.devices / 1e12
    peak = next((rate for name, rate in PEAK_TFLOPS.items() if name in summary.device), None)
    share = f"{reached / peak:.1%} of {peak:.0f}" if peak else "peak unknown"
    drawing = values.get("train/rendering_share")
    source = "kept on the device" if summary.config.preload else "from disk"
    time = source if drawing is None else f"{drawing:.0%} rendering"
    return f"{whole}| {steady:.0f} | {time} | {forward / 1e9:.1f} | {reached:.1f} ({share}) |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return 0."""
    parser = argparse.ArgumentParser("python -m benchmarks.training_rate", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folder of a finished fit")
    folders = parser.parse_args(arguments).folders
    if unfinished := [str(folder) for folder in folders if not (folder / FITTED_FILE).is_file()]:
        parser.error(f"found no {FITTED_FILE} in {', '.join(unfinished)}; expected folders of finished fits")
    sys.stdout.write(
        "| preset | on | images/s, whole fit | images/s after the start | time | GFLOP forward | TFLOP/s of a GPU |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for folder in folders:
        sys.stdout.write(row(folder) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
