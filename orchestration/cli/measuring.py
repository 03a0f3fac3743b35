"""The subcommands about measuring: ``measure``, ``parameters``, ``decoders``, ``read3d``.

Contract: ``measure`` imports neither torch, MLflow nor Dagster. scipy and pydicom are imported in the functions that
read and measure, so that ``--help`` and usage errors do not wait for these imports.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.text import Text

from inference.inputs import ImageInput
from inference.measurement_json import report_json, report_text
from inference.overlay import draw_overlay, interval_lines, warnings_of
from inference.value_table import grouped_absences, value_rows
from orchestration.cli.measured_files import MeasuredFiles
from orchestration.cli.model_choice import ChosenModel, open_chosen_model, with_site_calibration
from orchestration.cli.options import workspace_option
from orchestration.cli.radiograph_files import NamedFiles, identification_of, input_of, open_radiographs
from orchestration.cli.terminal import errors, output, print_table, print_text
from orchestration.pipeline.workspace import Workspace
from spine.errors import InputRejected
from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS
from spine.prediction import Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--frontal", type=_FILE, help="The frontal radiograph, if its tags do not name the view.")
@click.option("--lateral", type=_FILE, help="The lateral radiograph, if its tags do not name the view.")
@click.option(
    "--facing",
    type=click.Choice(["left", "right"]),
    help="The side of the stored lateral image to which the patient faces, if no tag says it.  [the model reads it]",
)
@click.option(
    "--model",
    "model_folder",
    type=click.Path(path_type=Path),
    help="Model to use instead of the workspace's champion: a model folder, or bundled.",
)
@workspace_option
@click.option(
    "--calibration",
    "calibration_file",
    type=_FILE,
    help="Intervals of a site, from `plumbline calibrate`.  [the workspace's, if it is of this model]",
)
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Image file to write, with landmarks, construction lines and values.  [no image]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the measurements to, as JSON (docs/measurement-json.md).  [no file]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on a terminal also.  [a table; JSON into a pipe]")
@click.option("--identify", is_flag=True, help="Write study date and pseudonym of the patient on the overlay.")
def measure(
    files: tuple[Path, ...],
    frontal: Path | None,
    lateral: Path | None,
    facing: Literal["left", "right"] | None,
    model_folder: Path | None,
    workspace: Path,
    calibration_file: Path | None,
    overlay: Path | None,
    out: Path | None,
    as_json: bool,
    identify: bool,
) -> None:
    """Measure one or two radiographs (FRONTAL.dcm LATERAL.dcm, in any order) with the champion.

    If the workspace has no champion yet, the bundled model is used and a message is printed.

    The command prints a table, or JSON if the output goes into a pipe and --out names no file. It writes only the files
    that --overlay and --out name: both or, if the images are refused, neither. Every parameter has a value, with its
    90 % interval if the model is calibrated, or a reason for its absence. Not for diagnosis.

    \b
    Example:  plumbline measure frontal.dcm lateral.dcm --overlay overlay.png --out measurement.json
              plumbline measure --frontal a.dcm --lateral b.dcm --facing left
              plumbline measure frontal.dcm lateral.dcm | jq .parameters.cobb.value
    """
    from inference.facing import turned_to_canonical
    from inference.measure import measure_views

    place = Workspace(workspace)
    named = NamedFiles(files, frontal, lateral, facing)
    outputs = MeasuredFiles(overlay, out)
    outputs.require_safe(named.all)
    with outputs.replaced():
        opened = open_radiographs(named)
        identification = identification_of(opened, place) if identify else None
        chosen = with_site_calibration(open_chosen_model(model_folder, place), calibration_file, place)
        inputs = {view: input_of(view, each) for view, each in opened.items()}
        turned = [view for view, each in opened.items() if each.needs_facing]
        inputs |= {view: turned_to_canonical(chosen.model, inputs[view]) for view in turned}
        prediction = measure_views(chosen.model, inputs)
        _require_measurements(prediction, named.all)
        report = report_text(report_json(prediction, chosen.model, inputs))
        outputs.write(report, _draw(prediction, chosen, inputs, identification) if overlay else None)
    if as_json or not (out or _on_terminal()):
        click.echo(report)
    elif _on_terminal():
        _print_values(prediction, chosen)
    _print_basis(prediction, chosen, overlay)


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _print_values(prediction: Prediction, chosen: ChosenModel) -> None:
    calibration = chosen.model.contract.calibration
    rows = value_rows(prediction.parameters, rough=bool(calibration and calibration.rough))
    columns = {
        "parameter": [row.label for row in rows],
        "value": [row.value for row in rows],
        "90 % interval": [row.interval for row in rows],
        "remark": [row.remark for row in rows],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    rows_shown = list(zip(*shown.values(), strict=True))
    print_table("Measurement, not for diagnosis", tuple(shown), rows_shown, note=f"model: {chosen.text}")
    for line in grouped_absences(prediction.parameters):
        print_text(line)


def _draw(
    prediction: Prediction,
    chosen: ChosenModel,
    inputs: Mapping[ViewName, ImageInput],
    identification: str | None,
) -> "Image":
    return draw_overlay(
        inputs,
        prediction.points,
        prediction.parameters,
        title="Plumbline measurement",
        identification=identification,
        footer=f"{chosen.short}, Plumbline {version('plumbline')}, measured {datetime.now(UTC):%Y-%m-%d}",
        provenance="model trained on simulated data" if chosen.model.contract.simulated_training_data else None,
        rough_intervals=_remark(prediction, chosen),
        intervals=interval_lines(prediction),
        warnings=warnings_of(prediction),
        unscaled=prediction.lengths_withheld,
    )


def _remark(prediction: Prediction, chosen: ChosenModel) -> str | None:
    """What restricts the intervals, if there are any."""
    calibration = chosen.model.contract.calibration
    return calibration.remark if calibration and any(m.interval for m in prediction.parameters.values()) else None


def _print_basis(prediction: Prediction, chosen: ChosenModel, overlay: Path | None) -> None:
    """Print on the terminal what the intervals rest on, the model, and the path of the overlay."""
    for line in interval_lines(prediction):
        errors.print(line)
    if remark := _remark(prediction, chosen):
        errors.print(f"~ {remark}", style="yellow")  # the mark of these intervals in the table
    if not _on_terminal():
        errors.print(f"model: {chosen.text}")
    errors.print(f"overlay: {overlay}" if overlay else "no overlay: --overlay FILE draws landmarks, lines and values")


def _require_measurements(prediction: Prediction, files: tuple[Path, ...]) -> None:
    """Refuse files in which no spine was found or nothing was measured; print the warnings about all other files."""
    if prediction.refused and not any(prediction.points.values()):
        why = "; ".join(f"{view}: {reason}" for view, reason in prediction.refused.items())
        raise InputRejected(
            "NO_SPINE_FOUND",
            found=f"{', '.join(f.name for f in files)}: {why}",
            expected="frontal or lateral radiographs of the whole, the thoracolumbar or the lumbar spine",
            remedy="check that this is the right file and that the image is upright; nothing was measured",
        )
    if all(measured.is_absent for measured in prediction.parameters.values()):
        raise InputRejected(
            "NOTHING_MEASURED",
            found=f"{', '.join(f.name for f in files)}: {_describe_visible(prediction)}",
            expected="radiographs that show enough of an upright spine for at least one parameter",
            remedy="check that the image is upright, complete and not covered; nothing was measured",
        )
    for warning in warnings_of(prediction):
        errors.print(warning, style="yellow")


def _describe_visible(prediction: Prediction) -> str:
    """For each view, the number of landmarks that were found, or the reason why the view was refused."""
    seen = [f"{view}: {len(at)} landmarks" for view, at in prediction.points.items() if view not in prediction.refused]
    return "; ".join([*seen, *(f"{view}: refused, {why}" for view, why in prediction.refused.items())])


@click.command()
def parameters() -> None:
    """List every parameter with definition, sign, unit and source.

    \b
    Example:  plumbline parameters
    """
    for p in PARAMETERS.values():
        paper = ", in the paper" if p.in_paper else ""
        output.print(Text.assemble((p.name, "bold"), f"  {p.label}, {p.plane}, {p.unit}{paper}"))
        output.print(f"    {p.definition}; {p.sign}.")
        output.print(f"    {p.source}", style="dim")


@click.command()
def decoders() -> None:
    """List the DICOM transfer syntaxes that this installation reads, with their decoders.

    \b
    Example:  plumbline decoders
    """
    from spine.radiograph.decoders import decoder_matrix

    for name, uid, how in decoder_matrix():
        output.print(f"{name:<52} {uid:<26} {how}")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--one-study", is_flag=True, help="Read all files as one study, as intake does: point lists are joined.")
def read3d(files: tuple[Path, ...], one_study: bool) -> None:
    """Read 3D reconstructions and list the parameters that can be computed from them.

    Formats: Plumbline's JSON and CSV, 3D Slicer's .mrk.json and .fcsv, CT keypoints, VerSe centroids with spacing, and
    meshes of single vertebrae (OBJ, STL, PLY, VTP), of which a folder is one reconstruction.

    \b
    Example:  plumbline read3d reconstruction.json spine.mrk.json
              plumbline read3d --one-study spine.mrk.json pelvis.mrk.json
              plumbline read3d /data/ct_keypoints
    """
    from orchestration.pipeline.survey import survey_reconstructions

    survey = survey_reconstructions(files, one_study=one_study)
    if survey.counts["files"] == "0":
        raise click.UsageError("the arguments contain no file that looks like points or a mesh")
    print_table("3D reconstructions", ("", "count"), [[name, str(value)] for name, value in survey.counts.items()])
    for message in survey.refusals.values():
        output.print(message, markup=False)
    if not survey.parameters:
        raise click.exceptions.Exit(1)
    print_table("Parameters", ("parameter", "measured", "median", "5-95 %", "reason if absent"), survey.parameters)
