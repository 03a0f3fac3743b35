"""The subcommand ``calibrate``: a site's own intervals, from its labelled studies.

Contract: the command measures every study of a data set and writes one file. It changes no model and no data set.
"""

from datetime import date
from pathlib import Path

import click

from inference.bundled import BUNDLED, BUNDLED_NAME
from inference.site_calibration import write_site_calibration
from orchestration.cli.model_choice import open_chosen_model
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import errors, output, print_table
from orchestration.lifecycle.local_champion import local_champion
from orchestration.pipeline.steps import require_valid_dataset
from orchestration.pipeline.workspace import Workspace
from spine.measurement.registry import PARAMETERS
from training.export.site_calibration import calibrate_site, require_unseen
from training.fit_context import require_data_set


def _one_line(context: click.Context, option: click.Parameter, name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise click.BadParameter("found an empty name or a line break; expected one line of text")
    return name.strip()


@click.command()
@click.option(
    "--dataset",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of a data set with the site's labelled studies.",
)
@click.option("--name", required=True, callback=_one_line, help="Name of the site; every interval states it.")
@click.option(
    "--model",
    "model_folder",
    type=click.Path(path_type=Path),
    help="Model to calibrate instead of the workspace's champion: a model folder, or bundled.",
)
@workspace_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [state/site_calibration.json in the workspace]",
)
def calibrate(dataset: Path, name: str, model_folder: Path | None, workspace: Path, out: Path | None) -> None:
    """Calibrate the intervals of a model on at least 30 labelled studies of your own site.

    The command measures every study of the data set and compares the values with the labelled ones. Afterwards
    `plumbline measure` uses these intervals for the same model: in this workspace, or elsewhere with --calibration.
    Only intervals change, never values. The model must not have learnt from these studies, so build the data set in a
    workspace of its own (plumbline init, then plumbline stage studies, landmarks and dataset).

    \b
    Example:  plumbline calibrate --dataset site/data/dataset --name "St. Elsewhere" -w ws
              plumbline measure frontal.dcm lateral.dcm -w ws
    """
    chosen = Workspace(workspace)
    if out is None and not chosen.params_file.is_file():
        raise click.UsageError(f"--out is missing, and {workspace} is not a workspace; give --out FILE or -w WORKSPACE")
    require_data_set(dataset)
    require_valid_dataset(dataset, dataset.parent / "validation")
    model = open_chosen_model(model_folder, chosen).model
    require_unseen(_folder_of(model_folder, chosen), dataset)
    site = calibrate_site(model, dataset, name, date.today())
    path = out or chosen.site_calibration
    write_site_calibration(site, path)
    rows = [
        [PARAMETERS[p].label, f"{half:.1f} {PARAMETERS[p].unit}", f"{100 * site.coverage[p]:.0f} %"]
        for p, half in site.half_widths.items()
    ]
    print_table("Intervals", ("parameter", "mean half width", "contain the label, patients left out"), rows)
    output.print(f"{site.patients} patients; calibration of model {site.model_digest[:12]}: {path}")
    absent = [PARAMETERS[p].label for p in PARAMETERS if p not in site.widths]
    if absent:
        errors.print(f"too few patients, so no intervals: {', '.join(absent)}", style="yellow")


def _folder_of(model_folder: Path | None, workspace: Workspace) -> Path:
    """The folder of the model that ``open_chosen_model`` opens."""
    if model_folder is None:
        return BUNDLED if local_champion(workspace) is None else workspace.champion
    return BUNDLED if str(model_folder) == BUNDLED_NAME and not model_folder.is_dir() else model_folder
