"""``python -m benchmarks.real_radiographs``; needs .carry/aasce.npz (from ``benchmarks.sim_to_real pack``).

split      write data set folders of the five folds, for ``python -m training``
zero-shot  the bundled model (or --model) on all radiographs: figures, and overlays of the ten worst; --mirrored
           averages each radiograph with its mirror image, as a model does that was trained with mirrored_average,
           but keeps the calibration
folds      five fine-tuned models, each on the radiographs of its fold; --models DIR has the folders fold0 .. fold4.
           Several DIRs are averaged; --mirrored as above
site-calibration   intervals of a model (the bundled one or --model), calibrated on radiographs of some patients
labels     the reliability of the labels; with --models, the errors of labels and models are estimated
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.real_radiographs.angles import smape_percent
from benchmarks.real_radiographs.ensemble import ensemble, with_mirrored_average
from benchmarks.real_radiographs.figures import RadiographFigures, summary
from benchmarks.real_radiographs.folds import FOLDS, fold_of, write_fold
from benchmarks.real_radiographs.intervals import by_shift, labelled, site_calibrations, spread
from benchmarks.real_radiographs.labels import own_deviation, twice_labelled
from benchmarks.real_radiographs.predictions import draw_worst, predict
from benchmarks.sim_to_real.pack import Pack, read_pack
from inference.bundled import BUNDLED
from inference.model import Model, load_model
from spine.dataset import SPLITS
from spine.prediction import Prediction
from spine.types import Floats
from training.export.interval_widths import Known

SITE_SIZES = (30, 45, 60)
PACKED = Path(".carry/aasce.npz")
_MIRRORED = "average each radiograph with its mirror image"

ModelRows = Sequence[tuple[Model, list[int]]]
"""Models, each with the rows of the radiographs on which it is evaluated."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 3 if the packed radiographs are missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_radiographs", description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=PACKED)
    commands = parser.add_subparsers(required=True)
    split = commands.add_parser("split", help="data set folders of the folds")
    split.add_argument("--out", type=Path, default=Path("bench/real-radiographs"))
    split.set_defaults(call=_split)
    zero = commands.add_parser("zero-shot", help="one model on all radiographs")
    zero.add_argument("--model", type=Path, default=BUNDLED, help="the bundled model by default")
    zero.add_argument("--mirrored", action="store_true", help=_MIRRORED)
    zero.add_argument("--out", type=Path, default=Path("bench/real-radiographs/zero-shot"))
    zero.set_defaults(call=_zero_shot)
    folds = commands.add_parser("folds", help="fine-tuned models, each on its fold")
    folds.add_argument("--models", type=Path, required=True, nargs="+")
    folds.add_argument("--mirrored", action="store_true", help=_MIRRORED)
    folds.add_argument("--out", type=Path, default=Path("bench/real-radiographs/folds"))
    folds.set_defaults(call=_folds)
    site = commands.add_parser("site-calibration", help="intervals calibrated on some of the radiographs")
    site.add_argument("--model", type=Path, default=BUNDLED, help="the bundled model by default")
    site.add_argument("--draws", type=int, default=50, help="random choices of the patients")
    site.set_defaults(call=_site_calibration)
    labels = commands.add_parser("labels", help="the reliability of the labels")
    labels.add_argument("--models", type=Path, nargs="+", help="fine-tuned models, as for folds")
    labels.set_defaults(call=_labels)
    given = parser.parse_args(arguments)
    if not given.real.is_file():
        sys.stderr.write(f"skipped: found no {given.real}; run `python -m benchmarks.sim_to_real pack` first\n")
        return 3
    return int(given.call(given, read_pack(given.real)))


def _split(given: argparse.Namespace, radiographs: Pack) -> int:
    for fold in range(FOLDS):
        manifest = write_fold(radiographs, fold, given.out / f"fold{fold}")
        counts = ", ".join(f"{manifest.count(s)} {s}" for s in SPLITS)
        sys.stdout.write(f"fold {fold}: {counts}\n")
    return 0


def _zero_shot(given: argparse.Namespace, radiographs: Pack) -> int:
    [(model, rows)] = _one_model(radiographs, given.model)
    return _report(radiographs, [(with_mirrored_average(model) if given.mirrored else model, rows)], given.out)


def _folds(given: argparse.Namespace, radiographs: Pack) -> int:
    return _report(radiographs, _fold_models(radiographs, given.models, given.mirrored), given.out)


def _site_calibration(given: argparse.Namespace, radiographs: Pack) -> int:
    [(model, rows)] = _one_model(radiographs, given.model)
    known = labelled(radiographs, predict(model, radiographs, rows)[1])
    for count in SITE_SIZES:
        figures = site_calibrations(model, known, count, given.draws)
        sys.stdout.write(
            f"{count} patients, {given.draws} draws; each figure on the radiographs of the other patients\n"
        )
        sys.stdout.write(f"  90 % intervals that contain the angle: {spread([f.share for f in figures])}\n")
        sys.stdout.write(f"  mean width, deg: {spread([f.width for f in figures])}\n")
        sys.stdout.write(f"  share without an interval: {spread([f.withheld / f.count for f in figures])}\n")
    return 0


def _one_model(radiographs: Pack, folder: Path) -> ModelRows:
    return [(load_model(folder), list(range(len(radiographs.images))))]


def _fold_models(radiographs: Pack, folders: Sequence[Path], mirrored: bool) -> ModelRows:
    """The model of each fold, with the rows of its test radiographs."""
    fold = fold_of(radiographs.facts["patient"].astype(np.str_))
    by_fold = [[load_model(folder / f"fold{k}") for folder in folders] for k in range(FOLDS)]
    models = [with_mirrored_average(ensemble(m)) if mirrored else ensemble(m) for m in by_fold]
    return [(model, np.flatnonzero(fold == k).tolist()) for k, model in enumerate(models)]


def _labels(given: argparse.Namespace, radiographs: Pack) -> int:
    angles = radiographs.facts["angle_deg"].astype(np.float64)
    pairs = twice_labelled(radiographs)
    first, second = (angles[[pair[k] for pair in pairs]] for k in (0, 1))
    apart = np.abs(first - second)[:, 0]
    sys.stdout.write(f"{len(pairs)} exposures have two labels, rows {pairs}\n")
    sys.stdout.write(
        f"the major angles of the two labels differ by {apart.mean():.1f} deg in the mean, {np.median(apart):.1f} in "
        f"the median, {apart.max():.1f} at most; SMAPE of three angles {smape_percent(first, second):.1f} %\n"
    )
    return 0 if given.models is None else _compare_with_models(radiographs, angles, given.models)


def _compare_with_models(radiographs: Pack, angles: Floats, folders: Sequence[Path]) -> int:
    models = (_one_model(radiographs, BUNDLED), _fold_models(radiographs, folders, False))
    zero, tuned = (_major_angles(radiographs, each) for each in models)
    label = angles[:, 0]
    known = np.isfinite(zero) & np.isfinite(tuned)
    readings = {"the labels": label[known], "zero shot": zero[known], "fine-tuned": tuned[known]}
    for name, own in readings.items():
        others = [r for n, r in readings.items() if n != name]
        sys.stdout.write(f"SD of the errors of {name:<12}{own_deviation(own, *others):6.1f} deg\n")
    for low, high in ((0, 15), (15, 30), (30, 45), (45, 60), (60, 180)):
        there = known & (label >= low) & (label < high)
        cells = "".join(
            f"{np.abs(r - label)[there].mean():8.1f}{(r - label)[there].mean():+8.1f}" for r in (zero, tuned)
        )
        sys.stdout.write(
            f"{low:>3} to {high:<3} deg, {there.sum():>3} radiographs; mean error and bias, zero shot and fine-tuned: "
            f"{cells}\n"
        )
    return 0


def _major_angles(radiographs: Pack, models: ModelRows) -> Floats:
    found = {i: f.found[0] for model, rows in models for i, f in predict(model, radiographs, rows)[0].items()}
    return np.array([found[i] for i in range(len(radiographs.images))])


def _report(radiographs: Pack, models: ModelRows, out: Path) -> int:
    """Print the figures of all radiographs, and of those that the data set validation accepts; draw the worst."""
    figures: dict[int, RadiographFigures] = {}
    predictions: dict[int, Prediction] = {}
    for model, rows in models:
        some_figures, some_predictions = predict(model, radiographs, rows)
        figures |= some_figures
        predictions |= some_predictions
    passed = [f for i, f in sorted(figures.items()) if not radiographs.facts["screened_out"][i]]
    columns = summary([f for _, f in sorted(figures.items())]), summary(passed)
    sys.stdout.write(f"{'':<36}{'all':>14}{'screened':>14}\n")
    for name in columns[0]:
        cells = [f"{c[name]:.3f}" if isinstance(c[name], float) else str(c[name]) for c in columns]
        sys.stdout.write(f"{name:<36}{cells[0]:>14}{cells[1]:>14}\n" if name != "shifts" else f"{name}: {cells[0]}\n")
    for model, _ in models[:1] if len(models) == 1 else ():
        _report_by_shift(model, labelled(radiographs, predictions))
    worst = draw_worst(radiographs, figures, predictions, out)
    sys.stdout.write(f"overlays of rows {worst} in {out}\n")
    return 0


def _report_by_shift(model: Model, known: Known) -> None:
    if model.contract.calibration is None:
        return
    for upper, figures in by_shift(model.contract.calibration, [each for each in known if each[0].interval_basis]):
        shifts = f"shift up to {upper:.3f}" if np.isfinite(upper) else "larger shifts"
        held = f", {figures.share:.3f} of the intervals contain the angle, mean width {figures.width:.1f} deg"
        kept = figures.count > figures.withheld
        sys.stdout.write(f"{shifts}: {figures.count} angles, {figures.withheld} withheld{held if kept else ''}\n")


if __name__ == "__main__":
    sys.exit(main())
