"""Compares models on one frozen test set: the published figures, the paper's method, our models.

    python -m benchmarks.comparison -w WORKSPACE galbusera2019=FOLDER ours=FOLDER ...

For each of the paper's parameters, the table has the standard error of the estimate with its 95 % interval, the bias
and the answered share. It also has the distances of plate centres. The lines below it show the cost of each fit, and
the time at which its validation error was as small as the final error of the first model. Contract: every call reads
the test set, which the workspace's ledger records. The published figures are those of real patients, the others those
of virtual patients.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import print_table
from inference.decoding import expectation, pixels_from_normalised
from inference.measure import predict_examples
from inference.model import Model, load_model
from inference.preprocessing import prepare
from orchestration.pipeline.evaluate import code_version
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Manifest, load_example_image, read_manifest
from spine.landmarks import LANDMARK_SETS, PLATES, VIEWS
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from spine.storage import sha256_of_bytes
from validation.evaluation.record import EvaluationRecord, evaluate
from validation.evaluation.test_set_ledger import record_read

PAPER = {"pelvic_tilt": "2.7", "lumbar_lordosis_l1_l5": "11.5"}
"""Smallest and largest standard error of the estimate in Galbusera 2019, degrees. The others were not published."""


def joined_model(folder: Path) -> Model:
    """The model in ``folder``; if there is a model in ``folder/replacement``, with the heat maps of that model.

    The paper's method has one network for each landmark, and some networks can be fitted again separately.
    """
    model = load_model(folder)
    if not (folder / "replacement").is_dir():
        return model
    other = load_model(folder / "replacement")
    at = [model.contract.names.index(name) for name in other.contract.names]
    digest = sha256_of_bytes(f"{model.digest} {other.digest}".encode())
    return replace(model, session=_Joined(model.session, other.session, at), digest=digest)


class _Joined:
    """An onnxruntime session that takes some heat maps from another session."""

    def __init__(self, whole: Any, part: Any, at: Sequence[int]) -> None:
        self.whole, self.part, self.at = whole, part, list(at)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        whole, part = (session.run(outputs, inputs) for session in (self.whole, self.part))
        for every, some in zip(whole, part, strict=True):
            every[:, self.at] = some
        return list(whole)


def evaluate_model(workspace: Workspace, manifest: Manifest, folder: Path) -> EvaluationRecord:
    """The evaluation record of one model on the frozen test split."""
    model, now = joined_model(folder), datetime.now(UTC)
    record_read(workspace.test_set_ledger, manifest.test_digest, model.digest, "challenger", now)
    commit, dirty = code_version()
    examples = manifest.in_split("test")
    return evaluate(
        predict_examples(model, workspace.dataset, examples),
        examples,
        model_digest=model.digest,
        model_role="challenger",
        landmark_set=manifest.landmark_set,
        test_digest=manifest.test_digest,
        dataset_digest=manifest.digest,
        dvc_version=None,
        code_commit=commit,
        code_dirty=dirty,
        evaluated_at=now,
    )


def centres_mm(record: EvaluationRecord, space: str) -> tuple[float, float, float]:
    """Median and 95th percentile of the distances of plate centres in mm, and the share of centres that were found."""
    every = (e for study in record.studies for e in study.landmarks if e.space == space and e.name in PLATES)
    rows = [e for e in every if e.state in ("found", "missed")]
    found = np.array([e.error_mm for e in rows if e.error_mm is not None])
    if not len(found):
        return float("nan"), float("nan"), 0.0
    return float(np.median(found)), float(np.quantile(found, 0.95)), len(found) / max(len(rows), 1)


def learning_curve(folder: Path) -> list[tuple[float, float]]:
    """(seconds since the start, validation error) of a fit after each validation, from its journal."""
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    points = [
        (float(entry["time_s"]), float(error))
        for entry in entries
        for name, error in entry.get("values", {}).items()
        if name in ("validation/landmark_error_mm", "validation/landmark_error_px")
    ]
    started = points[-1][0] - float(json.loads((folder / "fitted.json").read_text())["seconds"])
    return [(at - started, error) for at, error in points]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison", description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    given = parser.parse_args(arguments)
    folders = {name: Path(path) for name, _, path in (text.partition("=") for text in given.models)}
    workspace = Workspace(given.workspace)
    manifest = read_manifest(workspace.dataset)
    records = {name: evaluate_model(workspace, manifest, folder) for name, folder in folders.items()}
    _print_figures(records)
    _print_cost(folders, validation_mm(workspace, manifest, next(iter(folders.values()))))
    return 0


def _print_figures(records: dict[str, EvaluationRecord]) -> None:
    first, every = next(iter(records.values())), list(records.values())
    sys.stdout.write(f"{len(first.studies)} {first.patients_are}, frozen test set {first.test_digest[:12]}\n\n")
    rows = [
        [PARAMETERS[n].label, PAPER.get(n, "not published"), *(_agreement(record, n) for record in every)]
        for n in PAPER_PARAMETERS
    ]
    shifts = (record.level_shift_rate for record in every)
    cells = ("-" if s.value is None else f"{s.value:.1%} [{s.low:.1%}, {s.high:.1%}]" for s in shifts)
    rows.append(["images with a level shift", "not published", *cells])
    for space in (*VIEWS, "3d"):
        found = (centres_mm(record, space) for record in every)
        cells = (f"median {median:.2f}, 95 % {high:.2f}, {share:.1%} found" for median, high, share in found)
        rows.append([f"plate centres, {space}, mm", "not published", *cells])
    print_table(["standard error, deg", "the paper, real patients", *records], rows)


def _agreement(record: EvaluationRecord, parameter: str) -> str:
    figures = record.statistics[parameter].figures
    see, bias, answered = (figures[n] for n in ("standard_error_of_estimate", "bias", "coverage"))
    if see.value is None or see.low is None or see.high is None or bias.value is None or answered.value is None:
        return f"absent: {see.absent_reason}"
    interval = f"{see.value:.2f} [{see.low:.2f}, {see.high:.2f}]"
    return f"{interval}, bias {bias.value:+.2f}, {answered.value:.0%} answered"


def validation_mm(workspace: Workspace, manifest: Manifest, folder: Path) -> float:
    """Mean distance in mm of all landmarks of the validation split, which also selects checkpoints."""
    model, distances = joined_model(folder), []
    shape = model.contract.input_shape
    for example in manifest.in_split("validation"):
        for view in (v for v in VIEWS if v in example.views):
            given = example.views[view]
            prepared = prepare(load_example_image(workspace.dataset, given), shape, spacing_mm=given.spacing_mm)
            maps = model.run(prepared.pixels[None], [view]).heatmaps[0].astype(np.float64)
            places = prepared.affine.inverse.apply(pixels_from_normalised(expectation(maps)[0], shape))
            found = dict(zip(model.contract.names, places, strict=True))
            step = (given.spacing_mm or (1.0, 1.0))[0]
            sought = LANDMARK_SETS[model.contract.landmark_set].names_in(view)
            distances += [float(np.hypot(*(found[n] - given.points[n]))) * step for n in sought if n in given.points]
    return float(np.mean(distances))


def _print_cost(folders: dict[str, Path], goal: float) -> None:
    fits = {n: f for n, f in folders.items() if (f / "journal.jsonl").is_file() and (f / "fitted.json").is_file()}
    if not fits:
        return
    curves = {name: learning_curve(folder) for name, folder in fits.items()}
    reference = next(iter(curves))
    sys.stdout.write("\n")
    for name, points in curves.items():
        summary = json.loads((fits[name] / "fitted.json").read_text())
        reached = next((seconds for seconds, error in points if error <= goal), None)
        sys.stdout.write(
            f"{name}: {summary['epochs']} epochs, {summary['steps']} steps, {summary['seconds']:.0f} s on "
            f"{summary['device']}, validation {summary['validation_error']:.2f} mm; "
            f"{goal:.2f} mm (final error of {reference}) "
            + (f"reached after {reached:.0f} s\n" if reached is not None else "never reached\n")
        )


if __name__ == "__main__":
    sys.exit(main())
