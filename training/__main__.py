"""``python -m training``: a fit from the command line of a machine that has nothing but torch and lightning.

Contract: exit code 0 with a finished fit, that of the error class with its reason on stderr.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from spine.errors import ParametersRejected, PlumblineError
from training.config import Augmentation, TrainingConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a fit; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        from training.fit_context import require_data_set

        require_data_set(options.dataset)
        config = _config(options)
        from training.fitting.fit import fit  # not before --help and the configuration's own errors
        from training.process_group import process_group_of

        is_leader = process_group_of(config.devices).is_leader
        summary = fit(options.dataset, options.out, config, None if options.quiet or not is_leader else _show)
    except PlumblineError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    if not is_leader:
        return 0
    sys.stderr.write(
        f"\nvalidation landmark error {summary.validation_error:.2f} {summary.error_unit} "
        f"after {summary.epochs} whole epochs ({summary.steps} steps), {summary.seconds:.0f} s "
        f"at {summary.images_per_second:.1f} images/s on {summary.device}\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    default = TrainingConfig(epochs=1)
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Fit a landmark model on a data set folder.",
        epilog="example: python -m training --dataset data/dataset --out candidate --minutes 5",
    )
    parser.add_argument("--dataset", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--out", type=Path, required=True, help="folder of the candidate; an unfinished fit goes on")
    parser.add_argument("--minutes", type=float, help="budget in minutes")
    parser.add_argument("--epochs", type=int, help="budget in epochs; with both, whichever ends first")
    parser.add_argument("--preset", choices=("shared", "galbusera2019"), default=default.preset)
    parser.add_argument("--landmark-set", help="the data set's, unless named (then it has to be the same)")
    parser.add_argument("--landmarks", default="", help="comma separated subset; empty for all")
    parser.add_argument("--input-shape", default="x".join(map(str, default.input_shape)), help="HxW in pixels")
    parser.add_argument("--heatmap-stride", type=int, choices=(4, 8), default=default.heatmap_stride)
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--coordinate-weight", type=float, default=default.coordinate_weight)
    parser.add_argument("--width", type=float, default=default.width)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default=default.device)
    parser.add_argument("--precision", choices=("auto", "32", "bf16-mixed"), default=default.precision)
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--seed", type=int, default=default.seed)
    _add_source(parser, default)
    parser.add_argument("--preload", action="store_true", help="keep the data set's images on the training device")
    parser.add_argument("--label-shift", type=int, default=0, help="levels the labels' names may be off as a whole")
    parser.add_argument("--init-from", help="folder of a fitted model to start from, or: bundled")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    return parser


def _add_source(parser: argparse.ArgumentParser, default: TrainingConfig) -> None:
    """Virtual patients instead of the data set's, and how many processes draw and learn from them."""
    parser.add_argument(
        "--augment",
        action="append",
        default=[],
        metavar="NAME=STRENGTH",
        help="strength of one augmentation, e.g. rotation_deg=6 (see training.config); may be given again",
    )
    parser.add_argument(
        "--virtual-pairs", type=int, default=0, help="learn from this many virtual patients at a time, drawn here"
    )
    parser.add_argument(
        "--virtual-frontals", type=int, default=0, help="and from this many virtual frontal radiographs at a time"
    )
    parser.add_argument("--devices", type=int, default=1, help="GPUs; start one process each with torchrun")
    parser.add_argument(
        "--reuse", type=int, default=default.reuse, help="epochs a virtual patient stays; 0: all of them"
    )


def _config(options: argparse.Namespace) -> TrainingConfig:
    height, _, width = options.input_shape.partition("x")
    if not (height.isdigit() and (width or height).isdigit()):
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"--input-shape {options.input_shape}",
            expected="rows x columns in pixels, e.g. 512x256",
            remedy="correct the option",
        )
    from spine.dataset import read_manifest

    return TrainingConfig(
        preset=options.preset,
        landmark_set=options.landmark_set or read_manifest(options.dataset).landmark_set,
        landmark_subset=tuple(n for n in options.landmarks.split(",") if n) or None,
        input_shape=(int(height), int(width or height)),
        heatmap_stride=options.heatmap_stride,
        epochs=options.epochs,
        minutes=options.minutes,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        coordinate_weight=options.coordinate_weight,
        width=options.width,
        device=options.device,
        precision=options.precision,
        workers=options.workers,
        seed=options.seed,
        virtual_pairs=options.virtual_pairs,
        virtual_frontals=options.virtual_frontals,
        devices=options.devices,
        reuse=options.reuse,
        preload=options.preload,
        label_shift=options.label_shift,
        init_from=options.init_from,
        augmentation=_augmentation(options.augment),
    )


def _augmentation(given: Sequence[str]) -> Augmentation:
    known = {f.name for f in dataclasses.fields(Augmentation)}
    strengths: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            strengths[name] = float(number)
        except ValueError:
            strengths[""] = 0.0
    if set(strengths) - known:
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"--augment {' '.join(given)}",
            expected=f"NAME=NUMBER, the names being {', '.join(sorted(known))}",
            remedy="correct the option",
        )
    return Augmentation(**strengths)


def _show(done: int, total: int) -> None:
    filled = 40 * done // total
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (40 - filled)}] {done / total:6.1%}")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
