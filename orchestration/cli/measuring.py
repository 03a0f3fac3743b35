"""The subcommands about measuring: ``measure``, ``parameters``, ``decoders``, ``read3d``.

Contract: ``measure`` imports neither torch, MLflow nor Dagster. scipy and pydicom are imported in the functions that
read and measure, so that ``--help`` and usage errors do not wait for these imports.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inference.inputs import ImageInput
from inference.measurement_json import report_json
from inference.overlay import draw_overlay, interval_lines, warnings_of
from orchestration.cli.model_choice import open_chosen_model, with_site_calibration
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import errors, output, print_table
from orchestration.pipeline.workspace import Workspace
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS
from spine.prediction import Prediction

if TYPE_CHECKING:
    from spine.radiograph.read import Radiograph

VIEW_CHOICE = click.Choice(["frontal", "lateral"])


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--view", type=VIEW_CHOICE, help="The view of a single file, if its DICOM tags do not name the view.")
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
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Intervals of a site, from `plumbline calibrate`.  [the workspace's, if it is of this model]",
)
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    default="overlay.png",
    show_default=True,
    help="Image file to write, with landmarks and angles.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the measurements to (docs/measurement-json.md).  [standard output]",
)
def measure(
    files: tuple[Path, ...],
    view: ViewName | None,
    model_folder: Path | None,
    workspace: Path,
    calibration_file: Path | None,
    overlay: Path,
    json_file: Path | None,
) -> None:
    """Measure one or two radiographs (FRONTAL.dcm LATERAL.dcm, in any order) with the champion.

    If the workspace has no champion yet, the bundled model is used and a message is printed.

    The command writes JSON and an overlay image. The JSON has landmarks in px, 3D landmarks in mm if both views are
    calibrated, and every parameter. An absent parameter has a reason. Not for diagnosis.

    \b
    Example:  plumbline measure frontal.dcm lateral.dcm --overlay overlay.png > measurement.json
    """
    from inference.measure import measure_views

    _require_safe_outputs(files, overlay, json_file)
    radiographs = _read_radiographs(files, view)
    model = open_chosen_model(model_folder, Workspace(workspace))
    model = with_site_calibration(model, calibration_file, Workspace(workspace))
    inputs = {name: _input_of(path, radiograph) for name, (path, radiograph) in radiographs.items()}
    prediction = measure_views(model, inputs)
    _require_measurements(prediction, files)
    report = json.dumps(report_json(prediction, model, inputs), indent=1, allow_nan=False)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(report + "\n")
    else:
        click.echo(report)
    calibration = model.contract.calibration
    remark = calibration.remark if calibration else None
    image = draw_overlay(
        inputs,
        prediction.points,
        prediction.parameters,
        title="Plumbline measurement",
        provenance="model trained on simulated data" if model.contract.simulated_training_data else None,
        rough_intervals=remark,
        intervals=interval_lines(prediction),
        warnings=warnings_of(prediction),
        unscaled=prediction.lengths_withheld,
    )
    overlay.parent.mkdir(parents=True, exist_ok=True)
    image.save(overlay)
    for line in interval_lines(prediction):
        errors.print(line)
    if remark:
        errors.print(f"[yellow]{remark}[/yellow]")
    errors.print(f"overlay: {overlay}   model: {model.digest[:12]}")


def _input_of(path: Path, radiograph: "Radiograph") -> ImageInput:
    return ImageInput(
        radiograph.image,
        radiograph.spacing_mm,
        radiograph.calibration,
        radiograph.geometry,
        path.name,
        radiograph.identity.sop_uid or None,
        radiograph.facts.get("body_part"),
    )


def _read_radiographs(files: tuple[Path, ...], view: ViewName | None) -> "dict[ViewName, tuple[Path, Radiograph]]":
    from spine.intake.pairing import require_one_examination
    from spine.radiograph.read import read_radiograph

    if len(files) > 2 or (view and len(files) != 1):
        raise click.UsageError("give one file, or one frontal and one lateral file; --view needs a single file")
    found: dict[ViewName, tuple[Path, Radiograph]] = {}
    for file in files:
        try:
            radiograph = read_radiograph(file)
        except InputRejected as error:
            what = f"{file.name}: {error.found}"
            raise type(error)(error.code, found=what, expected=error.expected, remedy=error.remedy) from error
        if view and radiograph.view and view != radiograph.view:
            raise click.UsageError(f"--view {view}: the tags of {file.name} say {radiograph.view}; omit --view")
        name = radiograph.view or view
        if name is None or name in found:
            known = "another file has the same view" if name else "its tags do not name the view"
            raise ParametersRejected(
                "VIEW_UNCLEAR",
                found=f"{file.name}: {known}",
                expected="one frontal file, one lateral file, or one file of each view",
                remedy="give one file of each view" if name else "measure this file alone, with --view",
            )
        found[name] = file, radiograph
    require_one_examination({name: radiograph for name, (_, radiograph) in found.items()})
    return found


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
        errors.print(f"[yellow]{warning}[/yellow]")


def _describe_visible(prediction: Prediction) -> str:
    """For each view, the number of landmarks that were found, or the reason why the view was refused."""
    seen = [f"{view}: {len(at)} landmarks" for view, at in prediction.points.items() if view not in prediction.refused]
    return "; ".join([*seen, *(f"{view}: refused, {why}" for view, why in prediction.refused.items())])


def _require_safe_outputs(files: tuple[Path, ...], overlay: Path, json_file: Path | None) -> None:
    """Refuse outputs that would replace an input or each other, and an overlay that is not an image."""
    inputs = {file.resolve() for file in files}
    for option, path in (("--overlay", overlay), ("--json", json_file)):
        if path is not None and path.resolve() in inputs:
            raise click.UsageError(f"{option} {path}: this is an input file; name another file")
    if json_file is not None and json_file.resolve() == overlay.resolve():
        raise click.UsageError(f"--json and --overlay both name {overlay}; name two files")
    if json_file is not None and str(json_file) == "-":
        raise click.UsageError("--json -: omit --json to print the measurements on standard output")
    if overlay.suffix.lower() not in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        raise click.UsageError(f"--overlay {overlay}: name an image file, e.g. overlay.png")


@click.command()
def parameters() -> None:
    """List every parameter with definition, sign, unit and source.

    \b
    Example:  plumbline parameters
    """
    for p in PARAMETERS.values():
        output.print(f"[bold]{p.name}[/bold]  {p.label}, {p.plane}, {p.unit}{', in the paper' if p.in_paper else ''}")
        output.print(f"    {p.definition}; {p.sign}.\n    [dim]{p.source}[/dim]")


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
def read3d(files: tuple[Path, ...]) -> None:
    """Read 3D reconstructions and list the parameters that can be computed from them.

    Formats: Plumbline's JSON and CSV, 3D Slicer's .mrk.json, CT keypoints.

    \b
    Example:  plumbline read3d reconstruction.json spine.mrk.json
              plumbline read3d /data/ct_keypoints
    """
    from orchestration.pipeline.survey import survey_reconstructions

    survey = survey_reconstructions(files)
    if survey.counts["files"] == "0":
        raise click.UsageError("the arguments contain no .json or .csv file")
    print_table("3D reconstructions", ("", "count"), [[name, str(value)] for name, value in survey.counts.items()])
    print_table("Parameters", ("parameter", "measured", "median", "5-95 %", "reason if absent"), survey.parameters)
