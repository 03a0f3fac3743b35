"""The subcommands about measuring: ``measure``, ``parameters``, ``decoders``, ``read3d``.

Contract: ``measure`` imports neither torch, MLflow nor Dagster. scipy and pydicom are imported in the functions that
read and measure, so that ``--help`` and usage errors do not wait for these imports.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.text import Text

from inference.measurement_json import report_text
from inference.overlay import interval_lines, warnings_of
from inference.value_table import class_lines, grouped_absences, value_rows
from orchestration.cli.batch import batch_of, measure_studies
from orchestration.cli.measured_files import MeasuredFiles
from orchestration.cli.model_choice import ChosenModel, open_chosen_model, with_site_calibration
from orchestration.cli.options import workspace_option
from orchestration.cli.radiograph_files import NamedFiles, identification_of
from orchestration.cli.terminal import errors, output, print_table, print_text
from orchestration.pipeline.workspace import Workspace
from serving.results.fhir_codes import Release
from spine.measurement.classes import CLASSES
from spine.measurement.registry import PARAMETERS
from spine.prediction import Prediction

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

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
    "--spacing",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MM",
    help="Size of a pixel in the patient, for a picture (PNG, JPEG).  [unknown: angles only]",
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
@click.option(
    "--dicom-out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for DICOM results: structured report, overlay, presentation states, PDF.  [no DICOM results]",
)
@click.option(
    "--fhir", type=click.Path(dir_okay=False, path_type=Path), help="File for a FHIR transaction bundle.  [no bundle]"
)
@click.option(
    "--fhir-release",
    type=click.Choice([each.value for each in Release]),
    default=Release.R4B.value,
    show_default=True,
    help="Release of FHIR of the bundle.",
)
@click.option(
    "--studies",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of studies to measure, instead of FILES; the table goes to --csv.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Table to write with --studies: one row a study. A later call goes on with it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on a terminal also.  [a table; JSON into a pipe]")
@click.option("--identify", is_flag=True, help="Write study date and pseudonym of the patient on the overlay.")
def measure(
    files: tuple[Path, ...],
    frontal: Path | None,
    lateral: Path | None,
    facing: Literal["left", "right"] | None,
    spacing: float | None,
    model_folder: Path | None,
    workspace: Path,
    calibration_file: Path | None,
    overlay: Path | None,
    out: Path | None,
    dicom_out: Path | None,
    fhir: Path | None,
    fhir_release: str,
    studies: Path | None,
    csv_file: Path | None,
    as_json: bool,
    identify: bool,
) -> None:
    """Measure one or two radiographs (FRONTAL.dcm LATERAL.dcm, in any order) with the champion.

    If the workspace has no champion yet, the bundled model is used and a message is printed.

    The command prints a table, or JSON if the output goes into a pipe and --out names no file. It writes only the files
    that --overlay, --out, --dicom-out and --fhir name: all or, if the images are refused, none. Every parameter has
    a value, with its 90 % interval if the model is calibrated, or a reason for its absence. Not for diagnosis.

    \b
    Example:  plumbline measure frontal.dcm lateral.dcm --overlay overlay.png --out measurement.json
              plumbline measure --frontal a.dcm --lateral b.dcm --facing left
              plumbline measure frontal.dcm lateral.dcm --dicom-out results --fhir results/bundle.json
              plumbline measure --frontal a.png --lateral b.jpg --spacing 0.4
              plumbline measure --studies folder --csv table.csv
              plumbline measure frontal.dcm lateral.dcm | jq .parameters.cobb.value
    """
    from inference.measured_study import measure_radiographs
    from inference.radiograph_files import open_radiographs

    place = Workspace(workspace)
    named = NamedFiles(files, frontal, lateral, facing, spacing)
    outputs = MeasuredFiles(overlay, out, dicom_out, fhir, Release(fhir_release))
    if studies is not None or csv_file is not None:
        folder, table = batch_of(studies, csv_file, named.all, outputs)
        chosen = with_site_calibration(open_chosen_model(model_folder, place), calibration_file, place)
        measure_studies(folder, table, chosen)
        return
    outputs.require_safe(named.all)
    outputs.require_installed()
    with outputs.replaced():
        opened = open_radiographs(named.to_measure())
        identification = identification_of(opened, place) if identify else None
        chosen = with_site_calibration(open_chosen_model(model_folder, place), calibration_file, place)
        study = measure_radiographs(chosen.model, opened)
        for warning in warnings_of(study.prediction):
            errors.print(warning, style="yellow")
        report = report_text(study.report())
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        image = study.overlay(model=chosen.short, identification=identification, measured_on=today) if overlay else None
        outputs.write(report, image, outputs.results_of(study))
    if as_json or not (out or _on_terminal()):
        click.echo(report)
    elif _on_terminal():
        _print_values(study.prediction, chosen)
    _print_basis(study, chosen, overlay)


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
    for line in (*class_lines(prediction.classes), *grouped_absences(prediction.parameters)):
        print_text(line)


def _print_basis(study: "MeasuredStudy", chosen: ChosenModel, overlay: Path | None) -> None:
    """Print on the terminal what the intervals rest on, the model, and the path of the overlay."""
    for line in interval_lines(study.prediction):
        errors.print(line)
    if remark := study.interval_remark:
        errors.print(f"~ {remark}", style="yellow")  # the mark of these intervals in the table
    if not _on_terminal():
        errors.print(f"model: {chosen.text}")
    errors.print(f"overlay: {overlay}" if overlay else "no overlay: --overlay FILE draws landmarks, lines and values")


@click.command()
def parameters() -> None:
    """List every parameter with definition, sign, unit and source, then every class that follows from them.

    \b
    Example:  plumbline parameters
    """
    for p in PARAMETERS.values():
        paper = ", in the paper" if p.in_paper else ""
        output.print(Text.assemble((p.name, "bold"), f"  {p.label}, {p.plane}, {p.unit}{paper}"))
        output.print(f"    {p.definition}; {p.sign}.")
        output.print(f"    {p.source}", style="dim")
    for c in CLASSES.values():
        output.print(Text.assemble((c.name, "bold"), f"  {c.label}, class"))
        output.print(f"    {c.definition}.")
        output.print(f"    {c.source}", style="dim")


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
