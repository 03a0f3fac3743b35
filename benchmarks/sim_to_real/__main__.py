"""``python -m benchmarks.sim_to_real``; the whole benchmark is ``make bench-sim-to-real``.

pack         pack the 481 real radiographs into .carry/aasce.npz (git-ignored)
run          render virtual radiographs, train for 3 minutes, score; less than 6 minutes on one H100 or H200
diagnose     print causes of the angle errors, from the files of a run
appearance   print image statistics of 200 virtual radiographs and of the real ones
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.sim_to_real.appearance import load_appearance, measure_radiographs, save_appearance, table
from benchmarks.sim_to_real.diagnosis import diagnosis
from benchmarks.sim_to_real.pack import read_pack
from benchmarks.sim_to_real.pack_real import PACKED, pack_radiographs
from benchmarks.sim_to_real.pools import rendered_radiographs
from benchmarks.sim_to_real.probe import FOUND, Plan, run_probe, say

OUT = Path("bench/sim-to-real")
NEEDS = """The benchmark needs one NVIDIA GPU (an H100 or H200 takes at most 7 minutes), torch with CUDA, numpy, scipy,
and .carry/aasce.npz. `python -m benchmarks.sim_to_real pack` writes this file on a machine that has the real
radiographs.
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
    run.add_argument("--count", type=int, default=8192, help="virtual radiographs to train on")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--minutes", type=float, default=3.0, help="time for training; the standard is 3")
    run.add_argument("--device", default=_default_device())
    run.add_argument("--dry-run", action="store_true", help="a run of seconds on a CPU, with meaningless figures")

    run.set_defaults(call=_run)

    diagnose = commands.add_parser("diagnose", help="causes of the angle errors")
    diagnose.add_argument("--out", type=Path, default=OUT)
    diagnose.add_argument("--real", type=Path, default=PACKED)
    diagnose.set_defaults(call=_diagnose)
    statistics = commands.add_parser("appearance", help="image statistics")
    statistics.add_argument("--real", type=Path, default=PACKED)

    statistics.add_argument("--count", type=int, default=200)
    statistics.add_argument("--seed", type=int, default=77)
    statistics.add_argument("--device", default=_default_device())
    statistics.add_argument("--save", metavar="NAME", help="store the statistics as stored_appearance/NAME.json")
    statistics.add_argument("--against", metavar="NAME", nargs="*", default=[], help="stored versions to compare with")

    statistics.set_defaults(call=_appearance)

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
    run_probe(Plan(given.out, _required(given.real), given.count, given.seed, given.minutes, given.device, dry))
    return 0


def _diagnose(given: argparse.Namespace) -> int:
    real = read_pack(_required(given.real))
    with np.load(_required(given.out / FOUND)) as stored:
        found = stored["found"].astype(np.float64)
    published_deg = real.facts["angle_deg"][:, 0].astype(np.float64)
    figures = diagnosis(found, real.corners.astype(np.float64), real.visible, published_deg)
    for name, value in figures.items():
        sys.stdout.write(f"{name}: {value}\n")
    return 0


def _appearance(given: argparse.Namespace) -> int:
    versions = {name: load_appearance(name) for name in given.against}
    if given.real.is_file():
        real = read_pack(given.real)
        real_summary = measure_radiographs(real.images, real.corners, real.visible)
    else:
        real_summary = load_appearance("real-radiographs")
    virtual = rendered_radiographs(given.count, given.seed, given.device)
    arrays = (t.cpu().numpy() for t in (virtual.images, virtual.corners, virtual.visible))
    summary = measure_radiographs(*arrays)
    versions[given.save or "now"] = summary
    if given.save:
        save_appearance(summary, given.save, f"simulation.stream, seed {given.seed}")
    sys.stdout.write(table(real_summary, versions))
    return 0


def _default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _required(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"found no {path}\n{NEEDS}")
    return path


if __name__ == "__main__":
    sys.exit(main())
