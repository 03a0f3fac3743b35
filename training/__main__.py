"""`python -m training` runs a fit on a machine that has only torch, lightning, numpy and scipy.

Contract: the exit code is 0 after a finished fit, 130 after Ctrl-C, otherwise the exit code of the error class. The
reason is on stderr.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spine.dataset import read_manifest
from spine.errors import PlumblineError
from training.arguments import add_parameters, given_parameters
from training.config import TrainingConfig, config_from_json
from training.fields import merged
from training.recipe import read_recipes


def main(arguments: Sequence[str] | None = None, implied: Mapping[str, Any] | None = None) -> int:
    """Run a fit; returns the exit code.

    Args:
        arguments: arguments of the command line.
        implied: default parameters. Recipes and options override these defaults.
    """
    options = parser().parse_args(arguments)
    try:
        # torch takes seconds to load, so --help and usage errors come first.
        from training.fit_context import require_data_set
        from training.fitting.fit import fit
        from training.process_group import process_group_of

        require_data_set(options.dataset)
        config = config_of(options, implied or {})
        leads = process_group_of(config.devices).is_leader
        summary = fit(options.dataset, options.out, config, None if options.quiet or not leads else _show)
    except PlumblineError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    except KeyboardInterrupt as stopped:
        sys.stderr.write(f"\ninterrupted: {stopped.__cause__ or 'start the same command again to continue'}\n")
        return 130
    if leads:
        sys.stderr.write(
            f"\nvalidation landmark error {summary.validation_error:.2f} {summary.error_unit} "
            f"after {summary.epochs} complete epochs ({summary.steps} steps), {summary.seconds:.0f} s "
            f"at {summary.images_per_second:.1f} images/s on {summary.device}\n"
        )
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m training",
        allow_abbrev=False,
        description="Fit a landmark model to a data set, for the landmark set of this data set.",
        epilog="example: python -m training --dataset data/dataset --out candidate --minutes 5",
    )
    made.add_argument("--dataset", type=Path, required=True, help="folder of the data set")
    made.add_argument("--out", type=Path, required=True, help="folder of the candidate; an unfinished fit is continued")
    made.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME",
        help="use the parameters of a recipe: bundled, or the path of a TOML file; later recipes and the other options "
        "override these parameters",
    )
    made.add_argument("--quiet", action="store_true", help="do not show the progress line")
    add_parameters(made)
    return made


def config_of(options: argparse.Namespace, implied: Mapping[str, Any]) -> TrainingConfig:
    """The config that the recipes and options give, for the landmark set of the data set.

    Raises:
        ParametersRejected: a recipe is unknown, or a parameter is invalid.
    """
    recipe = read_recipes(options.recipe)
    values = merged(merged(implied, recipe.get("training", {})), given_parameters(options))
    landmark_set = recipe.get("dataset", {}).get("landmark_set") or read_manifest(options.dataset).landmark_set
    return config_from_json({**values, "landmark_set": landmark_set})


def _show(done: int, total: int) -> None:
    filled = 40 * done // total
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (40 - filled)}] {done / total:6.1%}")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
