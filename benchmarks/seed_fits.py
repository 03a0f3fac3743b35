"""Fits one recipe with several seeds on a GPU machine; ``seeds`` evaluates the fits.

    python -m benchmarks.seed_fits pack WORKSPACE/data/dataset FILE
    python -m benchmarks.seed_fits fit --dataset FILE --out FOLDER --seeds 1,2 --minutes 1.83 [-- OPTIONS]

``pack`` runs where the data set is, ``fit`` on the GPU machine. ``OPTIONS`` are those of ``python -m training``; by
default they are the recipe *default* of docs/landmark-model.md.

Contract: ``fit`` needs only torch, lightning, numpy and scipy. It writes each fit when it is finished, and does not
repeat finished fits. Before the fits, one epoch fills the compiler's cache, so that no fit includes compilation.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spine.dataset import read_manifest
from spine.dataset_writing import write_manifest

RECIPE = (
    "--landmark-set margins175 --heatmap-stride 4 --batch-size 64 --learning-rate 2e-3 --augment rotation_deg=6 "
    "--augment scale=0.15 --virtual-pairs 448 --reuse 0 --workers 14 --device cuda"
)
"""The row *default* of docs/landmark-model.md, without budget and seed."""
KEPT = ("weights.safetensors", "weights.pt", "contract.json", "fit.json", "fitted.json", "journal.jsonl", "history.csv")
WARM_UP_EPOCHS = "1"
WITHOUT_EXPORT = "import sys; sys.modules['onnx'] = None; from training.__main__ import main; sys.exit(main())"
"""A fit without the export to ONNX; ``seeds`` exports the model."""
VALIDATION_STUDIES = 24
"""With more studies, validation takes longer than training in a fit of two minutes."""


def pack(dataset: Path, out: Path, count: int = VALIDATION_STUDIES) -> int:
    """Write the images of ``count`` validation studies into a gzipped tar, without training and test images."""
    manifest = read_manifest(dataset)
    validation, train = manifest.in_split("validation")[:count], manifest.in_split("train")[:1]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(out, "w:gz") as archive:
        write_manifest(Path(scratch), manifest.landmark_set, manifest.split_seed, (*train, *validation))
        archive.add(scratch, ".")
        for image in sorted({v.image for e in validation for v in e.views.values()}):
            archive.add(dataset / image, image)
    sys.stdout.write(f"{out}: {len(validation)} validation studies, {out.stat().st_size / 2**20:.1f} MiB\n")
    return 0


def fit_seeds(dataset: Path, out: Path, seeds: Sequence[int], budget: Sequence[str], given: argparse.Namespace) -> int:
    """Fit each seed that is not in ``out``, ``given.gpus`` at a time; return 1 if a fit failed, else 0."""
    options = given.options or RECIPE.split()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "dataset"
        with tarfile.open(dataset) as archive:
            archive.extractall(folder, filter="data")
        out.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in seeds if not (out / f"seed{seed}.tar").is_file()]
        if missing:
            warm = [*options, "--dataset", str(folder), "--out", f"{scratch}/warm", "--epochs", WARM_UP_EPOCHS]
            _run(warm, 0, "warm-up")
        shares = [missing[k :: given.gpus] for k in range(given.gpus)]
        with ThreadPoolExecutor(given.gpus) as pool:
            done = pool.map(
                lambda k: [_fit(folder, out, Path(scratch), s, budget, options, k) for s in shares[k]],
                range(given.gpus),
            )
        return int(not all(ok for share in done for ok in share))


def _fit(
    dataset: Path, out: Path, scratch: Path, seed: int, budget: Sequence[str], options: Sequence[str], gpu: int
) -> bool:
    """Fit one seed and write it as ``seedN.tar``, under another name until it is complete."""
    fitted = scratch / f"seed{seed}"
    arguments = [*options, "--dataset", str(dataset), "--out", str(fitted), "--seed", str(seed), *budget]
    if not _run(arguments, gpu, f"seed {seed}"):
        return False
    partial = scratch / f"seed{seed}.tar"
    with tarfile.open(partial, "w") as archive:
        for name in KEPT:
            if (fitted / name).is_file():
                archive.add(fitted / name, name)
    shutil.move(partial, out / f"seed{seed}.tar")
    return True


def _run(arguments: Sequence[str], gpu: int, what: str) -> bool:
    """Run one fit as a process, so that fits share no state; return whether it succeeded."""
    started = time.monotonic()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(gpu)}
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXPORT, *arguments, "--quiet"], env=environment, check=False)
    sys.stdout.write(f"{what}: exit {done.returncode} after {time.monotonic() - started:.0f} s\n")
    sys.stdout.flush()
    return done.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Run ``pack`` or ``fit``; return the exit status."""
    given = _parser().parse_args(arguments)
    if given.command == "pack":
        return pack(given.dataset, given.out, given.validation)
    budget = [x for n in ("minutes", "epochs") if (v := getattr(given, n)) for x in (f"--{n}", v)]
    return fit_seeds(given.dataset, given.out, [int(s) for s in given.seeds.split(",")], budget, given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed_fits", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the data for the GPU machine, where the data set is")
    packing.add_argument("dataset", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--validation", type=int, default=VALIDATION_STUDIES, help="number of validation studies")
    fitting = commands.add_parser("fit", help="fit the seeds, on the GPU machine")
    fitting.add_argument("--dataset", type=Path, required=True, help="file written by `pack`")
    fitting.add_argument("--out", type=Path, required=True)
    fitting.add_argument("--seeds", required=True, help="separated by commas")
    fitting.add_argument("--minutes")
    fitting.add_argument("--epochs")
    fitting.add_argument("--gpus", type=int, default=1, help="number of fits at a time, one on each GPU")
    fitting.add_argument("options", nargs="*", help="after --: options of python -m training, instead of the recipe")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
