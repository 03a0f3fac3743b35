"""``python -m benchmarks.sim_to_real`` with a command below; the probe as a whole: ``make bench-sim-to-real``.

pack         the 481 real radiographs -> .carry/aasce.npz (git-ignored, travels with ``carry``)
run          virtual radiographs, 3 minutes of training, scores -> --out; under 6 minutes on one H100 or H200
draw         another contact sheet from what a run left: --out, --rows 3 17 250
diagnose     why the angle is off, from what a run left: --out
appearance   image statistics of 200 virtual radiographs against the real ones
beside       the mean virtual and real radiograph, straightened along the spine, and close-ups of a level: --out,
--level
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PACKED = Path(".carry/aasce.npz")
NEEDS = """The probe needs one NVIDIA GPU (made for an H100 or H200: 3 minutes of training, 7 in all at most), torch
with CUDA, numpy, scipy, and .carry/aasce.npz (`python -m benchmarks.sim_to_real pack` where the real radiographs are at
hand).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 3 where something it needs is not at hand."""
    given = _parser().parse_args(arguments)
    try:
        return given.call(given)
    except FileNotFoundError as error:
        sys.stderr.write(f"skipped: {error}\n")
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sim_to_real", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    pack = commands.add_parser("pack", help="pack the real radiographs")
    pack.add_argument("--if-absent", action="store_true", help="keep a pack that is there")
    pack.set_defaults(call=_pack)
    run = commands.add_parser("run", help="train and score")
    run.add_argument("--out", type=Path, default=Path("bench/sim-to-real"))
    run.add_argument("--real", type=Path, default=PACKED)
    run.add_argument("--pool", type=Path, help="train on a stored pack instead of rendering")
    run.add_argument("--pool-count", type=int, default=8192)
    run.add_argument("--variant", default="all", help="of simulation.stream.radiographs.frontal_radiographs")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--minutes", type=float, default=3.0, help="of training; 3 is the yardstick")
    run.add_argument("--device", default=None, help="cuda where there is one")
    run.add_argument("--dry-run", action="store_true", help="tiny, seconds on a CPU; its figures say nothing")
    run.add_argument("--weights", action="store_true", help="keep the weights, half precision")
    run.set_defaults(call=_run)
    draw = commands.add_parser("draw", help="contact sheet of chosen radiographs")
    draw.add_argument("--out", type=Path, default=Path("bench/sim-to-real"))
    draw.add_argument("--real", type=Path, default=PACKED)
    draw.add_argument("--rows", type=int, nargs="*", help="rows of the pack; best 4, median 4, worst 8 if not given")
    draw.add_argument("--to", type=Path, help="file; contact.png beside the run's if not given")
    draw.set_defaults(call=_draw)
    diagnose = commands.add_parser("diagnose", help="why the angle is off")
    diagnose.add_argument("--out", type=Path, default=Path("bench/sim-to-real"))
    diagnose.add_argument("--real", type=Path, default=PACKED)
    diagnose.set_defaults(call=_diagnose)
    looks = commands.add_parser("appearance", help="image statistics")
    looks.add_argument("--real", type=Path, default=PACKED)
    looks.add_argument("--pool", type=Path, help="a stored pack instead of rendering")
    looks.add_argument("--variant", default="all")
    looks.add_argument("--count", type=int, default=200)
    looks.add_argument("--seed", type=int, default=77)
    looks.add_argument("--device", default=None)
    looks.add_argument("--save", metavar="NAME", help="store this version's statistics as docs/appearance/NAME.json")
    looks.add_argument("--against", metavar="NAME", nargs="*", default=[], help="stored versions beside it")
    looks.add_argument("--stored-only", action="store_true", help="the table of --against alone, nothing rendered")
    looks.set_defaults(call=_appearance)
    beside = commands.add_parser("beside", help="mean radiographs and close-ups, to look at")
    beside.add_argument("--out", type=Path, default=Path("bench/sim-to-real"))
    beside.add_argument("--real", type=Path, default=PACKED)
    beside.add_argument("--variant", default="all")
    beside.add_argument("--count", type=int, default=72)
    beside.add_argument("--seed", type=int, default=78)
    beside.add_argument("--device", default=None)
    beside.add_argument("--level", type=float, nargs="*", default=[2, 7, 12, 16], help="of the close-ups, 0 = T1")
    beside.set_defaults(call=_beside)
    return parser


def _pack(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.pack_real import pack_radiographs

    if not (given.if_absent and PACKED.is_file()):
        pack_radiographs(PACKED)
    return 0


def _run(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.probe import Plan, run_probe, say

    device, dry = _device(given.device), given.dry_run
    if device == "cpu" and not dry:
        say(NEEDS + "There is no such device here: what follows is the dry run, whose figures say nothing.")
        dry = True
    _needed(given.real)
    run_probe(
        Plan(given.out, given.real, given.pool, given.pool_count, given.variant, given.seed, given.minutes, device, dry,
             given.weights)
    )  # fmt: skip
    return 0


def _draw(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.level_matching import major_cobb_deg
    from benchmarks.sim_to_real.pack import read_pack
    from benchmarks.sim_to_real.reports import CONTACT, FOUND, contact_rows, draw_contact_sheet

    real = read_pack(_needed(given.real))
    with np.load(_needed(given.out / FOUND)) as stored:
        found = stored["found"].astype(np.float64)
    angles = [major_cobb_deg(f, v) for f, v in zip(found, real.visible, strict=False)]
    rows = given.rows or contact_rows(np.array(angles) - real.facts["angle_deg"][: len(found), 0])
    draw_contact_sheet(given.to or given.out / CONTACT, real, found, rows)
    return 0


def _diagnose(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.diagnosis import diagnosis
    from benchmarks.sim_to_real.pack import read_pack
    from benchmarks.sim_to_real.reports import FOUND

    real = read_pack(_needed(given.real))
    with np.load(_needed(given.out / FOUND)) as stored:
        found = stored["found"].astype(np.float64)
    figures = diagnosis(found, real.corners.astype(np.float64), real.visible, real.facts["angle_deg"][:, 0])
    for name, value in figures.items():
        sys.stdout.write(f"{name}: {value}\n")
    return 0


def _appearance(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.appearance import load_appearance, measure_radiographs, save_appearance, table
    from benchmarks.sim_to_real.pack import read_pack
    from benchmarks.sim_to_real.pools import rendered_radiographs, stored_radiographs

    versions = {name: load_appearance(name) for name in given.against}
    if given.real.is_file():
        radiographs = read_pack(given.real)
        real = measure_radiographs(radiographs.images, radiographs.corners, radiographs.visible)
    else:
        real = load_appearance("real-radiographs")
    if not given.stored_only:
        device = _device(given.device)
        if given.pool is not None:
            made, how = (
                stored_radiographs(_needed(given.pool), "cpu", given.count),
                f"stored radiographs of {given.pool.name}",
            )
        else:
            made = rendered_radiographs(given.count, given.seed, device, given.variant)
            how = f"simulation.stream, variant {given.variant}, seed {given.seed}"
        now = measure_radiographs(made.images.cpu().numpy(), made.corners.cpu().numpy(), made.visible.cpu().numpy())
        versions[given.save or "now"] = now
        if given.save:
            save_appearance(now, given.save, how)
    sys.stdout.write(table(real, versions))
    return 0


def _beside(given: argparse.Namespace) -> int:
    from benchmarks.sim_to_real.pack import read_pack
    from benchmarks.sim_to_real.pools import rendered_radiographs
    from benchmarks.sim_to_real.reports import write_png
    from benchmarks.sim_to_real.side_by_side import as_image, close_ups, mean_radiograph, mean_table

    real = read_pack(_needed(given.real))
    kept = np.flatnonzero(~real.facts["screened_out"].astype(bool))
    made = rendered_radiographs(given.count, given.seed, _device(given.device), given.variant)
    images, corners = made.images.cpu().numpy(), made.corners.cpu().numpy()
    means = mean_radiograph(real.images[kept], real.corners[kept]), mean_radiograph(images, corners)
    given.out.mkdir(parents=True, exist_ok=True)
    write_png(given.out / "mean-radiographs.png", as_image(means))
    chosen = np.random.default_rng(given.seed).choice(kept, min(8, len(kept)), replace=False)
    for level in given.level:
        rows = [close_ups(p, c, level) for p, c in ((images[:8], corners[:8]),
                                                    (real.images[chosen], real.corners[chosen]))]  # fmt: skip
        width = min(row.shape[1] for row in rows)
        write_png(given.out / f"close-ups-{level:g}.png", np.concatenate([row[:, :width] for row in rows]))
    sys.stdout.write(mean_table(*means) + f"images in {given.out}: virtual above real, real left of virtual\n")
    return 0


def _device(wanted: str | None) -> str:
    import torch

    return wanted or ("cuda" if torch.cuda.is_available() else "cpu")


def _needed(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}\n{NEEDS}")
    return path


if __name__ == "__main__":
    sys.exit(main())
