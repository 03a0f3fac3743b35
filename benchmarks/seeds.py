"""The spread between seeds: one recipe is fitted several times on a GPU machine and evaluated here on one test set.

    python -m benchmarks.seeds pack WORKSPACE/data/dataset FILE       here: one file with the data for the GPU machine
    python -m benchmarks.seeds fit --dataset FILE --out FOLDER --seeds 1,2,3,4 --minutes 1.83 [-- OPTIONS]    there
    python -m benchmarks seeds -w WORKSPACE seed1=FOLDER/seed1.tar seed2=FOLDER/seed2.tar ...       here: the table

``OPTIONS`` are those of ``python -m training``; the default is the default recipe of docs/landmark-model.md.

Contract: ``fit`` needs only torch, lightning, numpy and scipy. It writes each fit when it is finished, and does not
repeat finished fits. A first fit of one epoch fills the compiler's cache, so that no seed includes compilation. Every
evaluation is a read of the test set and is recorded in the workspace's ledger.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING

from spine.dataset import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from validation.evaluation.record import EvaluationRecord
    from validation.gates.policy import Policy

RECIPE = (
    "--landmark-set margins175 --heatmap-stride 4 --batch-size 64 --learning-rate 2e-3 --augment rotation_deg=6 "
    "--augment scale=0.15 --virtual-pairs 448 --reuse 0 --workers 14 --device cuda"
)
"""The row *default* of docs/landmark-model.md, "Beside the paper's method", without budget and seed."""
KEPT = ("weights.safetensors", "weights.pt", "contract.json", "fit.json", "fitted.json", "journal.jsonl", "history.csv")
WARM_UP_EPOCHS = "1"
WITHOUT_EXPORT = "import sys; sys.modules['onnx'] = None; from training.__main__ import main; sys.exit(main())"
"""The fit without the export, which needs only a CPU and is done here."""
VALIDATION_STUDIES = 24
"""With more studies, validation takes longer than training in a fit of two minutes."""


def pack(dataset: Path, out: Path, count: int = VALIDATION_STUDIES) -> int:
    """Write a gzipped tar with the images of ``count`` validation studies, without training and test images."""
    manifest = read_manifest(dataset)
    validation, train = manifest.in_split("validation")[:count], manifest.in_split("train")[:1]
    small = Manifest(manifest.landmark_set, manifest.split_seed, (*train, *validation))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(out, "w:gz") as archive:
        write_manifest(small, Path(scratch))
        archive.add(Path(scratch) / "manifest.json", "manifest.json")
        for image in sorted({v.image for e in validation for v in e.views.values()}):
            archive.add(dataset / image, image)
    sys.stdout.write(f"{out}: {len(validation)} validation studies, {out.stat().st_size / 2**20:.1f} MiB\n")
    return 0


def fit_seeds(dataset: Path, out: Path, seeds: Sequence[int], budget: Sequence[str], given: argparse.Namespace) -> int:
    """Fit each seed that is not in ``out``, ``given.gpus`` at a time; return 1 if one failed."""
    options = given.options or RECIPE.split()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "dataset"
        with tarfile.open(dataset) as archive:
            archive.extractall(folder, filter="data")
        out.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in seeds if not (out / f"seed{seed}.tar").is_file()]
        if missing:
            warm = [*options, "--dataset", str(folder), "--out", f"{scratch}/warm", "--epochs", WARM_UP_EPOCHS]
            _run(warm, 0, "the warm-up")
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
    """Fit one seed and pack it into ``seedN.tar``, which is complete once it has that name."""
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
    """Run a fit as a subprocess, so that seeds share no state."""
    started = time.monotonic()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(gpu)}
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXPORT, *arguments, "--quiet"], env=environment, check=False)
    sys.stdout.write(f"{what}: exit {done.returncode} after {time.monotonic() - started:.0f} s\n")
    sys.stdout.flush()
    return done.returncode == 0


def spread(workspace_folder: Path, fits: Mapping[str, Path], kept: Path) -> int:
    """Evaluate every fit on the workspace's frozen test set and print the spread beside the policy's margins."""
    from orchestration.pipeline.params import read_params
    from orchestration.pipeline.policies import policy_path
    from orchestration.pipeline.workspace import Workspace
    from training.export.candidate import FITTED_FILE, read_summary
    from validation.gates.policy import read_policy
    from validation.gates.seed_spread import spread_rows, spread_table

    workspace = Workspace(workspace_folder)
    manifest = read_manifest(workspace.dataset)
    policy = read_policy(policy_path(read_params(workspace.params_file), workspace))
    folders = [_unpacked(fit, kept / name) for name, fit in fits.items()]
    records = [_record_of(workspace_folder, manifest, folder) for folder in folders]
    sys.stdout.write(f"{records[0].n_patients} {records[0].patients_are}, policy {policy.name}\n\n")
    sys.stdout.write("| fit | seed | steps | seconds | validation | on |\n|---|---|---|---|---|---|\n")
    for folder in folders:
        s = read_summary(folder, FITTED_FILE)
        error = f"{s.validation_error:.2f} {s.error_unit}"
        sys.stdout.write(f"| {folder.name} | {s.config.seed} | {s.steps} | {s.seconds:.0f} | {error} | {s.device} |\n")
    sys.stdout.write("\n" + spread_table(spread_rows(policy, records)) + "\n" + gains_by_seed(policy, records) + "\n")
    return 0


def gains_by_seed(policy: "Policy", records: Sequence["EvaluationRecord"]) -> str:
    """The effect of the seed on the loss over all parameters, and how often the gate would count it as a gain."""
    from validation.gates.paired import pooled_difference

    pairs = [pooled_difference(ours, other, policy.comparison) for ours, other in permutations(records, 2)]
    found = [difference for difference in pairs if difference is not None]
    against_first = [0.0, *(d.mean for d in found[:: len(records) - 1][1:])]
    wanted = policy.comparison.required_gain
    gains = {gain: sum(d.high < -gain for d in found) for gain in (0.0, wanted)}
    counts = ", ".join(f"{count} at a required gain of {gain:g}" for gain, count in gains.items())
    return (
        f"All parameters together: SD between fits {stdev(against_first):.3f} margins. Of {len(found)} ordered pairs "
        f"of fits with different seeds, better by more than chance: {counts}."
    )


def _unpacked(fit: Path, folder: Path) -> Path:
    """Unpack a fit into a writable folder; files from a GPU machine may be read-only."""
    if not (folder / "fitted.json").is_file():
        if fit.is_dir():
            shutil.copytree(fit, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        else:
            with tarfile.open(fit) as archive:
                archive.extractall(folder, filter="data")
    return folder


def _record_of(workspace: Path, manifest: Manifest, folder: Path) -> "EvaluationRecord":
    """Export and calibrate the fit, and evaluate it once for each test set."""
    from benchmarks.comparison import evaluate_model
    from orchestration.pipeline.workspace import Workspace
    from spine.errors import EvidenceRejected
    from training.export.onnx_export import finish_export
    from validation.evaluation.record import read_record, write_record

    summary = finish_export(folder, Workspace(workspace).dataset)
    path = folder / f"record-{manifest.test_digest[:12]}.json"
    try:
        record = read_record(path)
        if (record.model_digest, record.test_digest) == (summary.model_digest, manifest.test_digest):
            return record
    except EvidenceRejected:
        pass  # not evaluated yet, or by another version
    record = evaluate_model(Workspace(workspace), manifest, folder)
    write_record(record, path)
    return record


def main(arguments: Sequence[str]) -> int:
    """``pack``, ``fit`` or ``spread``."""
    given = _parser().parse_args(arguments)
    if given.command == "pack":
        return pack(given.dataset, given.out, given.validation)
    if given.command == "fit":
        budget = [x for n in ("minutes", "epochs") if (v := getattr(given, n)) for x in (f"--{n}", v)]
        return fit_seeds(given.dataset, given.out, [int(s) for s in given.seeds.split(",")], budget, given)
    fits = {name: Path(path) for name, _, path in (text.partition("=") for text in given.fits)}
    return spread(given.workspace, fits, given.kept)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="here: the data for the GPU machine")
    packing.add_argument("dataset", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--validation", type=int, default=VALIDATION_STUDIES, help="number of validation studies")
    fitting = commands.add_parser("fit", help="on the GPU machine")
    fitting.add_argument("--dataset", type=Path, required=True, help="file from `pack`")
    fitting.add_argument("--out", type=Path, required=True)
    fitting.add_argument("--seeds", required=True, help="comma separated")
    fitting.add_argument("--minutes")
    fitting.add_argument("--epochs")
    fitting.add_argument("--gpus", type=int, default=1, help="fits at a time, one for each GPU")
    fitting.add_argument("options", nargs="*", help="after --: options of python -m training instead of the recipe")
    spreading = commands.add_parser("spread", help="here: the table")
    spreading.add_argument("-w", "--workspace", type=Path, required=True)
    spreading.add_argument("fits", nargs="+", metavar="NAME=PATH", help="seedN.tar, or the folder of a fit")
    spreading.add_argument("--kept", type=Path, default=Path("bench/seeds"), help="folder for fits and records")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
