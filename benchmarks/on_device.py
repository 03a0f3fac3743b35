"""Rendering rate of virtual patients on a GPU, the time of each stage, and the memory bandwidth for comparison.

    python -m benchmarks.on_device --out DIR        needs torch, numpy and scipy, and a GPU (or --device cpu for a test)

Contract: a "complete" pair is rendered from its seed, including the pose on CPU workers, to both images with landmarks.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import torch

from simulation.body.batch import PatientBatch
from simulation.body.patient_mass import sample_patient_mass
from simulation.body.soft_tissue import BOWEL, BOWEL_REACH_MM
from simulation.body.solids import ellipsoids_of
from simulation.cuda_graphs import all_to_device, replayed
from simulation.imaging.acquisition import AcquisitionTable
from simulation.imaging.chords import add_small
from simulation.imaging.display import appearance_batch, apply_display
from simulation.imaging.exposure import detect, exposure_batch, line_integrals, path_lengths
from simulation.imaging.rays import Rays, rays_from
from simulation.imaging.render import exact_paths
from simulation.imaging.splat import splat
from simulation.stream.patients import PosedPatients, VirtualPatients
from simulation.stream.posed import PosedBatch, collate_posed, render_posed
from simulation.stream.stream_config import StreamConfig
from spine.scanner import NATIVE_SPACING_MM

SIZES = {"512x256": ((512, 256), NATIVE_SPACING_MM * 8), "768x384": ((768, 384), NATIVE_SPACING_MM * 16 / 3)}


def main() -> None:
    """Measure, print the figures as JSON and write them into ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--count", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, object] = {"device": _name(options.device), "bandwidth_gb_s": _bandwidth(options.device)}
    for size in options.sizes:
        found[size] = _of_size(*SIZES[size], options)
        sys.stdout.write(f"{size}: {json.dumps(found[size])}\n")
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "on_device.json").write_text(text)


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _timed(call: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Median milliseconds of ``call`` after two calls that do not count."""
    times = []
    for i in range(repeats + 2):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        if i >= 2:
            times.append(time.perf_counter() - started)
    return 1000 * sorted(times)[len(times) // 2]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _bandwidth(device: str) -> float:
    """GB/s of a copy, reads and writes together."""
    size = 2**30 if device == "cuda" else 2**26
    first = torch.empty(size, dtype=torch.float32, device=device)
    second = torch.empty_like(first)
    return 8 * size / 1e6 / _timed(lambda: second.copy_(first), device)


def _of_size(shape: tuple[int, int], spacing: float, options: argparse.Namespace) -> dict[str, object]:
    config = StreamConfig(seed=7, count=options.count, batch_size=options.batch, shape=shape, spacing_mm=spacing)
    planned = PosedPatients(config)
    started = time.perf_counter()
    patients = [planned[i] for i in range(options.batch)]
    posed = (time.perf_counter() - started) / options.batch
    batch = collate_posed(patients)
    drawn = _timed(lambda: render_posed(batch, options.device), options.device)
    stages = _stages(batch, options.device)
    rate = _steady_rate(VirtualPatients(config, options.device, options.workers), options)
    peak = torch.cuda.max_memory_allocated() / 2**30 if options.device == "cuda" else 0.0
    return {
        "pose_ms_per_patient_one_core": 1000 * posed,
        "drawing_pairs_per_s": 1000 * options.batch / drawn,
        "complete_pairs_per_s": rate,
        "workers": options.workers,
        "batch": options.batch,
        "stages_ms_per_batch": stages,
        "worst_difference_to_cpu_mm": _agreement(planned, options.device, 4),
        "peak_gpu_gib": peak,
    }


def _steady_rate(stream: VirtualPatients, options: argparse.Namespace) -> float:
    """Complete pairs per second in the steady state.

    A worker needs a second or two to start and to fill its caches, so its first two batches do not count.
    """
    skipped, seen, started = min(2 * options.workers, len(stream) // 2), 0, time.perf_counter()
    for i, rendered in enumerate(stream):
        if i >= skipped:
            seen += len(rendered.seeds)
        elif i == skipped - 1:
            _wait(options.device)
            started = time.perf_counter()
    _wait(options.device)
    return seen / (time.perf_counter() - started)


def _gas(patients: PatientBatch, rays: Rays) -> torch.Tensor:
    """Path lengths of the gas bubbles of the bowel alone."""
    gas = ellipsoids_of(patients.gas)[BOWEL]
    empty = torch.zeros(len(rays), *rays.shape, device=rays.device)
    return add_small(empty, gas, rays, BOWEL_REACH_MM, torch.ones_like(gas.floor_mm))


def _rays(acquisitions: AcquisitionTable, device: str) -> Rays:
    return rays_from(acquisitions.view, acquisitions.shape, acquisitions.geometry, acquisitions.min_pixel_mm, device)


@torch.inference_mode()
def _agreement(planned: PosedPatients, device: str, size: int) -> dict[str, float]:
    """Largest difference in mm of path lengths between device and CPU; the second batch replays the CUDA graph."""
    worst: dict[str, float] = {}
    for start in (0, size):
        batch = collate_posed([planned[start + i] for i in range(size)])
        both = []
        for place in (device, "cpu"):
            patients = PatientBatch(**{n: torch.from_numpy(a).to(place) for n, a in batch.rows.items()})
            rays = _rays(batch.acquisitions["frontal"], place)
            paths = exact_paths(patients, sample_patient_mass(patients, rays.min_pixel_mm), rays)
            both.append({f.name: getattr(paths, f.name).cpu() for f in fields(paths)})
        for name in both[0]:
            found = float((both[0][name] - both[1][name]).abs().max())
            worst[name] = max(worst.get(name, 0.0), found)
    return worst


@torch.inference_mode()
def _stages(batch: PosedBatch, device: str) -> dict[str, float]:
    """Milliseconds of each stage for one batch."""
    patients = PatientBatch(**{n: torch.from_numpy(a).to(device) for n, a in batch.rows.items()})
    acquisitions = batch.acquisitions["frontal"]
    rays = _rays(acquisitions, device)
    mass = sample_patient_mass(patients, rays.min_pixel_mm)
    exposure = exposure_batch(acquisitions.exposure, device)
    appearance = appearance_batch(acquisitions.appearance, device)
    seeds = torch.tensor(acquisitions.seeds, device=device) if device == "cuda" else acquisitions.seeds
    paths = path_lengths(patients, mass.bones, mass.vessels, mass.metal, rays)
    integrals = line_integrals(paths, patients, rays, exposure, seeds)
    measured = detect(integrals, rays, exposure, seeds)
    stages: dict[str, Callable[[], object]] = {
        "pose and sample": lambda: sample_patient_mass(patients, rays.min_pixel_mm),
        "splat bones, one view": lambda: splat(mass.bones, rays),
        "splat vessels and metal, one view": lambda: [
            splat(points, rays) for points in (mass.vessels, mass.metal) if points is not None
        ],
        "bowel gas, one view": lambda: _gas(patients, rays),
        "path lengths, one view": lambda: path_lengths(patients, mass.bones, mass.vessels, mass.metal, rays),
        "line integrals, one view": lambda: line_integrals(paths, patients, rays, exposure, seeds),
        "detect, one view": lambda: detect(integrals, rays, exposure, seeds),
        "display, one view": lambda: apply_display(measured, paths, rays, appearance),
    }
    found = {name: _timed(_as_graph(name, call, device), device) for name, call in stages.items()}
    moved = _timed(lambda: all_to_device(batch.rows, device), device)
    return {"points": float(mass.bones.xyz_mm.shape[1]), "to the device": moved, **found}


def _as_graph(name: str, call: Callable[[], object], device: str) -> Callable[[], object]:
    """The stage as a CUDA graph, as rendering uses it; on a CPU, the stage as it is."""
    if device != "cuda":
        return call

    def stage(_: object) -> dict[str, torch.Tensor]:
        call()
        return {}

    nothing = {"nothing": torch.zeros(1, device=device)}
    return lambda: replayed(stage, nothing, ("stage", name))


if __name__ == "__main__":
    main()
