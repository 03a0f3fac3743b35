"""The spread between seeds: evaluates fits of ``seed_fits`` on one test set.

python -m benchmarks seeds -w WORKSPACE seed1=FOLDER/seed1.tar seed2=FOLDER/seed2.tar ...

Contract: every evaluation reads the test set, which the workspace's ledger records.
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
from benchmarks.figures import print_table
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
from validation.gates.seed_spread import spread_rows, spread_tables


def spread(workspace_folder: Path, fits: Mapping[str, Path], kept: Path) -> int:
    """Evaluate every fit on the frozen test set of the workspace; print the spread and the margins of the policy."""
    workspace = Workspace(workspace_folder)
    manifest = read_manifest(workspace.dataset)
    policy = workspace_policy(read_params(workspace.params_file), workspace)
    folders = [_unpacked(fit, kept / name) for name, fit in fits.items()]
    records = [_record_of(workspace_folder, manifest, folder) for folder in folders]
    sys.stdout.write(f"{records[0].n_patients} {records[0].patients_are}, policy {policy.name}\n\n")
    summaries = [(folder.name, read_summary(folder, FITTED_FILE)) for folder in folders]
    rows = [
        (n, str(s.config.seed), str(s.steps), f"{s.seconds:.0f}", f"{s.validation_error:.2f} {s.error_unit}", s.device)
        for n, s in summaries
    ]
    print_table(("fit", "seed", "steps", "seconds", "validation", "on"), rows)
    tables = [table.markdown for table in spread_tables(spread_rows(policy, records))]
    sys.stdout.write("\n" + "\n".join([*tables, gains_by_seed(policy, records)]) + "\n")
    return 0


def gains_by_seed(policy: Policy, records: Sequence[EvaluationRecord]) -> str:
    """A sentence: how much the loss over all parameters depends on the seed, and how often it looks like a gain."""
    pairs = [pooled_difference(ours, other, policy.comparison) for ours, other in permutations(records, 2)]
    found = [difference for difference in pairs if difference is not None]
    against_first = [0.0, *(d.mean for d in found[:: len(records) - 1][1:])]
    wanted = policy.comparison.required_gain
    gains = {gain: sum(d.high < -gain for d in found) for gain in (0.0, wanted)}
    counts = ", ".join(f"{count} with a required gain of {gain:g}" for gain, count in gains.items())
    return (
        f"All parameters together: SD between fits {stdev(against_first):.3f} margins. Of {len(found)} ordered pairs "
        f"of fits, the first is better by more than chance in {counts}."
    )


def _unpacked(fit: Path, folder: Path) -> Path:
    """The fit, unpacked into a writable folder, because files from a GPU machine can be read-only."""
    if not (folder / "fitted.json").is_file():
        if fit.is_dir():
            shutil.copytree(fit, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        else:
            with tarfile.open(fit) as archive:
                archive.extractall(folder, filter="data")
    return folder


def _record_of(workspace: Path, manifest: Manifest, folder: Path) -> EvaluationRecord:
    """The record of a fit. The model is exported and calibrated, and evaluated if this test set has no record yet."""
    summary = finish_export(folder, Workspace(workspace).dataset)
    path = folder / f"record-{manifest.test_digest[:12]}.json"
    try:
        record = read_record(path)
        if (record.model_digest, record.test_digest) == (summary.model_digest, manifest.test_digest):
            return record
    except EvidenceRejected:
        pass  # no record yet, or a record by another version
    record = evaluate_model(Workspace(workspace), manifest, folder)
    write_record(record, path)
    return record


def main(arguments: Sequence[str]) -> int:
    """Print the tables and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks seeds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("fits", nargs="+", metavar="NAME=PATH", help="seedN.tar, or the folder of a fit")
    parser.add_argument("--kept", type=Path, default=Path("bench/seeds"), help="folder for fits and records")
    given = parser.parse_args(arguments)
    fits = {name: Path(path) for name, _, path in (text.partition("=") for text in given.fits)}
    return spread(given.workspace, fits, given.kept)
