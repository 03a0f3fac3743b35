"""The spread between seeds: fits of ``seed_fits`` are evaluated on one test set.

python -m benchmarks seeds -w WORKSPACE seed1=FOLDER/seed1.tar seed2=FOLDER/seed2.tar ...

Contract: every evaluation is a read of the test set and is recorded in the workspace's ledger.
"""

import argparse
import shutil
import sys
import tarfile
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import stdev

from benchmarks.comparison import evaluate_model
from orchestration.pipeline.params import read_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Manifest, read_manifest
from spine.errors import EvidenceRejected
from training.export.candidate import FITTED_FILE, read_summary
from training.export.onnx_export import finish_export
from validation.evaluation.record import EvaluationRecord, read_record, write_record
from validation.gates.paired import pooled_difference
from validation.gates.policy import Policy
from validation.gates.seed_spread import spread_rows, spread_table


def spread(workspace_folder: Path, fits: Mapping[str, Path], kept: Path) -> int:
    """Evaluate every fit on the workspace's frozen test set and print the spread beside the policy's margins."""
    workspace = Workspace(workspace_folder)
    manifest = read_manifest(workspace.dataset)
    policy = workspace_policy(read_params(workspace.params_file), workspace)
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


def gains_by_seed(policy: Policy, records: Sequence[EvaluationRecord]) -> str:
    """The effect of the seed on the loss over all parameters, and how often the gate would count it as a gain."""
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


def _record_of(workspace: Path, manifest: Manifest, folder: Path) -> EvaluationRecord:
    """Export and calibrate the fit, and evaluate it once for each test set."""
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
    """Print the table of some fits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks seeds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("fits", nargs="+", metavar="NAME=PATH", help="seedN.tar, or the folder of a fit")
    parser.add_argument("--kept", type=Path, default=Path("bench/seeds"), help="folder for fits and records")
    given = parser.parse_args(arguments)
    fits = {name: Path(path) for name, _, path in (text.partition("=") for text in given.fits)}
    return spread(given.workspace, fits, given.kept)
