"""One run: virtual radiographs, training, scores on real and on held-out virtual radiographs.

Contract: no choice depends on a real radiograph. The last weights are scored.
"""

import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.sim_to_real.detector import TINY, Recipe, find_corners, train
from benchmarks.sim_to_real.network import parameter_count
from benchmarks.sim_to_real.pack import Pack, read_pack
from benchmarks.sim_to_real.pools import (
    HELD_OUT,
    part,
    rectangle_radiographs,
    rendered_radiographs,
    stored_radiographs,
)
from benchmarks.sim_to_real.reports import (
    CONTACT,
    contact_rows,
    draw_contact_sheet,
    write_found,
    write_radiographs,
    write_result,
    write_weights,
)
from benchmarks.sim_to_real.scoring import lines, score_radiographs, summary
from simulation.stream.radiographs import FrontalRadiographs

LIMIT_SECONDS = 420.0
_HELD_OUT_SEED = 1_000_003


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Attributes:
        out: folder for the files.
        real: the packed real radiographs.
        pool: a stored pack to train on instead of rendering.
        count, variant, seed: of the rendered pool.
        minutes: of training.
        device: torch device.
        dry: tiny network, three steps, few radiographs.
        weights: whether to keep the weights.
    """

    out: Path
    real: Path
    pool: Path | None = None
    count: int = 8192
    variant: str = "all"
    seed: int = 0
    minutes: float = 3.0
    device: str = "cuda"
    dry: bool = False
    weights: bool = False


def run_probe(plan: Plan) -> dict[str, object]:
    """Run everything; return the content of ``result.json``."""
    started = time.monotonic()
    plan.out.mkdir(parents=True, exist_ok=True)
    training, held_out, source = _virtual_radiographs(plan)
    pool_seconds = time.monotonic() - started
    say(
        f"{source}: {training.images.shape[0]} radiographs to train, {held_out.images.shape[0]} held out, "
        f"{pool_seconds:.1f} s"
    )
    recipe = TINY if plan.dry else Recipe(minutes=plan.minutes, seed=plan.seed)
    trained = train(training, recipe)
    say(
        f"{parameter_count(trained.network) / 1e6:.2f} M parameters, {trained.steps} steps in {trained.seconds:.0f} s, "
        f"{'compiled' if trained.compiled else 'not compiled'} in {trained.compile_seconds:.0f} s"
    )
    scoring_started = time.monotonic()
    result: dict[str, object] = {
        "virtual radiographs": source,
        "plan": {k: str(v) for k, v in asdict(plan).items()},
        "recipe": asdict(recipe),
        "machine": _machine(plan.device),
        "steps": trained.steps,
        "steps_per_second": trained.steps / trained.seconds,
        "compiled": trained.compiled,
        "losses": trained.losses,
    }
    result["own_kind"] = _score_virtual(trained.network, held_out)
    result |= _score_real(trained.network, plan)
    if plan.weights:
        write_weights(plan.out, trained.network)
    seconds = {
        "virtual radiographs": pool_seconds,
        "compilation": trained.compile_seconds,
        "training": trained.seconds,
        "scoring": time.monotonic() - scoring_started,
        "all": time.monotonic() - started,
    }
    result["seconds"] = {name: round(value, 1) for name, value in seconds.items()}
    write_result(plan.out, result)
    say(
        f"seconds: {result['seconds']}"
        + (f"  OVER the limit of {LIMIT_SECONDS:.0f}" if seconds["all"] > LIMIT_SECONDS else "")
    )
    return result


def say(text: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _virtual_radiographs(plan: Plan) -> tuple[FrontalRadiographs, FrontalRadiographs, str]:
    if plan.dry and plan.pool is None:
        return (
            rectangle_radiographs(6, 0, plan.device),
            rectangle_radiographs(3, 1, plan.device),
            "drawn rectangles (dry run)",
        )
    if plan.pool is not None:
        radiographs = stored_radiographs(plan.pool, plan.device, 12 if plan.dry else None)
        count = radiographs.images.shape[0]
        kept = count - min(HELD_OUT, max(1, count // 6))
        return (
            part(radiographs, slice(0, kept)),
            part(radiographs, slice(kept, count)),
            f"stored radiographs of {plan.pool.name}",
        )
    training = rendered_radiographs(plan.count, plan.seed, plan.device, plan.variant)
    held_out = rendered_radiographs(HELD_OUT, plan.seed + _HELD_OUT_SEED, plan.device, plan.variant)
    return training, held_out, f"simulation.stream, variant {plan.variant}, seed {plan.seed}"


def _score_virtual(network: torch.nn.Module, radiographs: FrontalRadiographs) -> dict[str, object]:
    found = find_corners(network, radiographs.images)
    visible = radiographs.visible.cpu().numpy()
    shown = visible.all(axis=2).sum(axis=1) >= 6  # with fewer vertebrae, the Cobb angle has no meaning
    if not shown.any():
        return {"radiographs": 0}
    figures = summary(score_radiographs(found[shown], radiographs.corners.cpu().numpy()[shown], visible[shown]))
    say(lines("held-out virtual radiographs of the same kind", figures))
    return figures


def _score_real(network: torch.nn.Module, plan: Plan) -> dict[str, object]:
    real = read_pack(plan.real, 8 if plan.dry else None)
    found = find_corners(network, torch.from_numpy(real.images).to(plan.device))
    scores = score_radiographs(found, real.corners, real.visible, real.facts["angle_deg"][:, 0].astype(np.float64))
    screened = real.facts["screened_out"].astype(bool)
    figures = {"real": summary(scores)}
    say(lines("REAL RADIOGRAPHS, all", figures["real"]))
    kept = [s for s, out in zip(scores, screened, strict=True) if not out]
    figures["real_without_screened_out"] = summary(kept)
    say(
        lines(
            "real radiographs without those the data set validation screens out", figures["real_without_screened_out"]
        )
    )
    write_radiographs(plan.out, real.names, scores, screened)
    write_found(plan.out, found)
    draw(plan.out, real, found, np.array([s.error_deg for s in scores]))
    return figures


def draw(out: Path, real: Pack, found: np.ndarray, errors_deg: np.ndarray) -> None:
    """Draw the contact sheet."""
    draw_contact_sheet(out / CONTACT, real, found, contact_rows(errors_deg))


def _machine(device: str) -> str:
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or platform.machine()
    return f"{name}, torch {torch.__version__}"
