"""One run: virtual radiographs, training, scores on real and on held-out virtual radiographs.

Contract: no choice depends on a real radiograph. The weights at the end of the training are scored. A run writes two
files, which can be copied from a GPU machine:

    result.json   all figures, recipe, times
    found.npz     found corners of the real radiographs, (N, 17, 4, 2)
"""

import json
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.sim_to_real.detector import TINY, Recipe, find_corners, train
from benchmarks.sim_to_real.network import parameter_count
from benchmarks.sim_to_real.pack import read_pack
from benchmarks.sim_to_real.pools import rectangle_radiographs, rendered_radiographs
from benchmarks.sim_to_real.scoring import lines, score_radiographs, summary
from simulation.stream.radiographs import FrontalRadiographs

FOUND = "found.npz"
LIMIT_SECONDS = 420.0
HELD_OUT, _HELD_OUT_SEED = 200, 1_000_003


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Attributes:
        out: folder for the files.
        real: the packed real radiographs.
        count, seed: of the virtual radiographs to train on.
        minutes: of training.
        device: torch device.
        dry: whether this is a dry run: tiny network, three steps, few radiographs.
    """

    out: Path
    real: Path
    count: int
    seed: int
    minutes: float
    device: str
    dry: bool


def run_probe(plan: Plan) -> dict[str, object]:
    """Train, score and write the files; return the content of ``result.json``."""
    started = time.monotonic()
    plan.out.mkdir(parents=True, exist_ok=True)
    training, held_out = _virtual_radiographs(plan)
    pool_seconds = time.monotonic() - started
    say(f"{len(training.images)} radiographs for training, {len(held_out.images)} held out, {pool_seconds:.1f} s")
    recipe = TINY if plan.dry else Recipe(minutes=plan.minutes, seed=plan.seed)
    trained = train(training, recipe)
    say(
        f"{parameter_count(trained.network) / 1e6:.2f} M parameters, {trained.steps} steps in {trained.seconds:.0f} s; "
        f"losses {'compiled' if trained.compiled else 'not compiled'}, first step {trained.compile_seconds:.0f} s"
    )
    scoring_started = time.monotonic()
    result: dict[str, object] = {
        "plan": {k: str(v) for k, v in asdict(plan).items()},
        "recipe": asdict(recipe),
        "machine": _machine(plan.device),
        "steps": trained.steps,
        "compiled": trained.compiled,
        "losses": trained.losses,
        "held_out_virtual": _score_virtual(trained.network, held_out),
        **_score_real(trained.network, plan),
    }
    seconds = {
        "virtual radiographs": pool_seconds,
        "compilation": trained.compile_seconds,
        "training": trained.seconds,
        "scoring": time.monotonic() - scoring_started,
        "all": time.monotonic() - started,
    }
    result["seconds"] = {name: round(value, 1) for name, value in seconds.items()}
    (plan.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(
        f"seconds: {result['seconds']}"
        + (f", MORE THAN THE LIMIT of {LIMIT_SECONDS:.0f}" if seconds["all"] > LIMIT_SECONDS else "")
    )
    return result


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _virtual_radiographs(plan: Plan) -> tuple[FrontalRadiographs, FrontalRadiographs]:
    """The radiographs for training and the held-out ones; rectangles in a dry run."""
    if plan.dry:
        return rectangle_radiographs(6, 0, plan.device), rectangle_radiographs(3, 1, plan.device)
    return (
        rendered_radiographs(plan.count, plan.seed, plan.device),
        rendered_radiographs(HELD_OUT, plan.seed + _HELD_OUT_SEED, plan.device),
    )


def _score_virtual(network: torch.nn.Module, radiographs: FrontalRadiographs) -> dict[str, object]:
    found = find_corners(network, radiographs.images)
    visible = radiographs.visible.cpu().numpy()
    shown = visible.all(axis=2).sum(axis=1) >= 6  # a Cobb angle needs several vertebrae
    if not shown.any():
        return {"radiographs": 0}
    figures = summary(score_radiographs(found[shown], radiographs.corners.cpu().numpy()[shown], visible[shown]))
    say(lines("held-out virtual radiographs of the same kind", figures))
    return figures


def _score_real(network: torch.nn.Module, plan: Plan) -> dict[str, dict[str, object]]:
    real = read_pack(plan.real, 8 if plan.dry else None)
    found = find_corners(network, torch.from_numpy(real.images).to(plan.device))
    scores = score_radiographs(found, real.corners, real.visible, real.facts["angle_deg"][:, 0].astype(np.float64))
    kept = [s for s, out in zip(scores, real.facts["screened_out"], strict=True) if not out]
    figures = {"real": summary(scores), "real_without_screened_out": summary(kept)}
    say(lines("REAL RADIOGRAPHS, all", figures["real"]))
    say(lines("real radiographs that the data set validation accepts", figures["real_without_screened_out"]))
    np.savez_compressed(plan.out / FOUND, found=found.astype(np.float32))
    return figures


def _machine(device: str) -> str:
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or platform.machine()
    return f"{name}, torch {torch.__version__}"
