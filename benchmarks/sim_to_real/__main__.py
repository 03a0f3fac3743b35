"""``python -m benchmarks.sim_to_real``; the whole benchmark is ``make bench-sim-to-real``.

pack         the 481 real radiographs -> .carry/aasce.npz (git-ignored)
run          virtual radiographs, 3 minutes of training, scores -> --out; under 6 minutes on one H100 or H200
draw         another contact sheet from the files of a run: --out, --rows 3 17 250
diagnose     causes of the angle errors, from the files of a run: --out
appearance   image statistics of 200 virtual radiographs and of the real ones
beside       the mean virtual and real radiograph, straightened along the spine, and close-ups: --out, --level
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.sim_to_real.appearance import load_appearance, measure_radiographs, save_appearance, table
from benchmarks.sim_to_real.diagnosis import diagnosis
from benchmarks.sim_to_real.level_matching import major_cobb_deg
from benchmarks.sim_to_real.pack import read_pack
from benchmarks.sim_to_real.pack_real import PACKED, pack_radiographs
from benchmarks.sim_to_real.pools import rendered_radiographs, stored_radiographs
from benchmarks.sim_to_real.probe import Plan, run_probe, say
from benchmarks.sim_to_real.reports import CONTACT, FOUND, contact_rows, draw_contact_sheet, write_png
from benchmarks.sim_to_real.side_by_side import as_image, close_ups, mean_radiograph, mean_table
from spine.types import Floats

OUT = Path("bench/sim-to-real")
NEEDS = """The benchmark needs one NVIDIA GPU (designed for an H100 or H200: 3 minutes of training, at most 7 in all),
torch with CUDA, numpy, scipy, and .carry/aasce.npz (`python -m benchmarks.sim_to_real pack` on a machine with the real
radiographs).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 3 if a file that it needs is missing."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.call(given))
    except FileNotFoundError as error:
        sys.stderr.write(f"skipped: {error}\n")
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sim_to_real", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    pack = commands.add_parser("pack", help="pack the real radiographs")
    pack.add_argument("--if-absent", action="store_true", help="keep an existing pack")
    pack.set_defaults(call=_pack)
    run = commands.add_parser("run", help="train and score")
    run.add_argument("--out", type=Path, default=OUT)
    run.add_argument("--real", type=Path, default=PACKED)
    run.add_argument("--pool", type=Path, help="train on a stored pack instead of rendering")
    run.add_argument("--pool-count", type=int, default=8192)
    run.add_argument("--variant", default="all", help="of simulation.stream.radiographs.frontal_radiographs")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--minutes", type=float, default=3.0, help="of training; 3 is the standard")
    run.add_argument("--device", default=_default_device())
    run.add_argument("--dry-run", action="store_true", help="a tiny run of seconds on a CPU, with meaningless figures")
    run.add_argument("--weights", action="store_true", help="keep the weights in half precision")
    run.set_defaults(call=_run)
    draw = commands.add_parser("draw", help="contact sheet of chosen radiographs")
    draw.add_argument("--out", type=Path, default=OUT)
    draw.add_argument("--real", type=Path, default=PACKED)
    draw.add_argument("--rows", type=int, nargs="*", help="rows of the pack; by default best 4, median 4, worst 8")
    draw.add_argument("--to", type=Path, help="file; by default contact.png in --out")
    draw.set_defaults(call=_draw)
    diagnose = commands.add_parser("diagnose", help="causes of the angle errors")
    diagnose.add_argument("--out", type=Path, default=OUT)
    diagnose.add_argument("--real", type=Path, default=PACKED)
    diagnose.set_defaults(call=_diagnose)
    statistics = commands.add_parser("appearance", help="image statistics")
    statistics.add_argument("--real", type=Path, default=PACKED)
    statistics.add_argument("--pool", type=Path, help="a stored pack instead of rendering")
    statistics.add_argument("--variant", default="all")
    statistics.add_argument("--count", type=int, default=200)
    statistics.add_argument("--seed", type=int, default=77)
    statistics.add_argument("--device", default=_default_device())
    statistics.add_argument("--save", metavar="NAME", help="store these statistics as stored_appearance/NAME.json")
    statistics.add_argument("--against", metavar="NAME", nargs="*", default=[], help="stored versions for comparison")
    statistics.add_argument("--stored-only", action="store_true", help="only the versions of --against")
    statistics.set_defaults(call=_appearance)
    beside = commands.add_parser("beside", help="mean radiographs and close-ups")
    beside.add_argument("--out", type=Path, default=OUT)
    beside.add_argument("--real", type=Path, default=PACKED)
    beside.add_argument("--variant", default="all")
    beside.add_argument("--count", type=int, default=72)
    beside.add_argument("--seed", type=int, default=78)
    beside.add_argument("--device", default=_default_device())
    beside.add_argument("--level", type=float, nargs="*", default=[2, 7, 12, 16], help="of the close-ups, 0 = T1")
    beside.set_defaults(call=_beside)
    return parser


def _pack(given: argparse.Namespace) -> int:
    if not (given.if_absent and PACKED.is_file()):
        pack_radiographs(PACKED)
    return 0


def _run(given: argparse.Namespace) -> int:
    dry = given.dry_run
    if given.device == "cpu" and not dry:
        say(NEEDS + "This machine has no GPU: only a dry run follows, with meaningless figures.")
        dry = True
    plan = Plan(
        given.out,
        _required(given.real),
        given.pool,
        given.pool_count,
        given.variant,
        given.seed,
        given.minutes,
        given.device,
        dry,
        given.weights,
    )
    run_probe(plan)
    return 0


def _draw(given: argparse.Namespace) -> int:
    real, found = read_pack(_required(given.real)), _found_corners(given.out)
    angles = [major_cobb_deg(f, v) for f, v in zip(found, real.visible, strict=False)]
    rows = given.rows or contact_rows(np.array(angles) - real.facts["angle_deg"][: len(found), 0])
    draw_contact_sheet(given.to or given.out / CONTACT, real, found, rows)
    return 0


def _diagnose(given: argparse.Namespace) -> int:
    real, found = read_pack(_required(given.real)), _found_corners(given.out)
    figures = diagnosis(found, real.corners.astype(np.float64), real.visible, real.facts["angle_deg"][:, 0])
    for name, value in figures.items():
        sys.stdout.write(f"{name}: {value}\n")
    return 0


def _found_corners(out: Path) -> Floats:
    with np.load(_required(out / FOUND)) as stored:
        return stored["found"].astype(np.float64)


def _appearance(given: argparse.Namespace) -> int:
    versions = {name: load_appearance(name) for name in given.against}
    if given.real.is_file():
        real = read_pack(given.real)
        real_summary = measure_radiographs(real.images, real.corners, real.visible)
    else:
        real_summary = load_appearance("real-radiographs")
    if not given.stored_only:
        if given.pool is not None:
            virtual = stored_radiographs(_required(given.pool), "cpu", given.count)
            how = f"stored radiographs of {given.pool.name}"
        else:
            virtual = rendered_radiographs(given.count, given.seed, given.device, given.variant)
            how = f"simulation.stream, variant {given.variant}, seed {given.seed}"
        arrays = (t.cpu().numpy() for t in (virtual.images, virtual.corners, virtual.visible))
        summary = measure_radiographs(*arrays)
        versions[given.save or "now"] = summary
        if given.save:
            save_appearance(summary, given.save, how)
    sys.stdout.write(table(real_summary, versions))
    return 0


def _beside(given: argparse.Namespace) -> int:
    real = read_pack(_required(given.real))
    kept = np.flatnonzero(~real.facts["screened_out"].astype(bool))
    virtual = rendered_radiographs(given.count, given.seed, given.device, given.variant)
    images, corners = virtual.images.cpu().numpy(), virtual.corners.cpu().numpy()
    means = mean_radiograph(real.images[kept], real.corners[kept]), mean_radiograph(images, corners)
    given.out.mkdir(parents=True, exist_ok=True)
    write_png(given.out / "mean-radiographs.png", as_image(means))
    chosen = np.random.default_rng(given.seed).choice(kept, min(8, len(kept)), replace=False)
    pairs = ((images[:8], corners[:8]), (real.images[chosen], real.corners[chosen]))
    for level in given.level:
        rows = [close_ups(p, c, level) for p, c in pairs]
        width = min(row.shape[1] for row in rows)
        write_png(given.out / f"close-ups-{level:g}.png", np.concatenate([row[:, :width] for row in rows]))
    sys.stdout.write(mean_table(*means) + f"images in {given.out}: virtual above real, real left of virtual\n")
    return 0


def _default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _required(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}\n{NEEDS}")
    return path


if __name__ == "__main__":
    sys.exit(main())
