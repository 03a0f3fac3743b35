"""Subcommands around measuring: ``measure``, ``parameters``, ``decoders``, ``read3d``.

Contract: ``measure`` imports neither torch, MLflow nor Dagster; it answers within seconds of its start.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.model import Model
from inference.model_folder import RECORDS, open_model_folder, recorded_digests
from inference.overlay import draw_overlay, report_json, warnings_of
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import errors, output, print_table
from orchestration.lifecycle.local_champion import local_champion, open_champion
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
@click.option("--view", type=VIEW_CHOICE, help="The view of a single file whose tags do not say.")
@click.option(
    "--model",
    "model_folder",
    type=click.Path(path_type=Path),
    help="A model folder, or: bundled, instead of the workspace's champion.",
)
@workspace_option
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    default="overlay.png",
    show_default=True,
    help="Where the image with landmarks and angles goes.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Where the measurements go (docs/measurement-json.md); standard output when left out.")  # fmt: skip
def measure(
    files: tuple[Path, ...],
    view: ViewName | None,
    model_folder: Path | None,
    workspace: Path,
    overlay: Path,
    json_file: Path | None,
) -> None:
    """Measure one or two radiographs (FRONTAL.dcm LATERAL.dcm, in any order) with the champion.

    Where nothing has been promoted yet, the bundled model measures, and a line says so.

    \b
    Writes JSON (landmarks in px, and in mm in 3D when both views are calibrated; every parameter, absent ones
    with their reason) and an overlay image. Not for diagnosis.

    \b
    Example:  plumbline measure frontal.dcm lateral.dcm --overlay overlay.png > measurement.json
    """
    from inference.measure import measure_views

    _require_safe_outputs(files, overlay, json_file)
    radiographs = _read_radiographs(files, view)
    model = _open_model(model_folder, Workspace(workspace))
    inputs = {
        name: ImageInput(r.image, r.spacing_mm, r.calibration, r.geometry, path.name, r.identity.sop_uid or None)
        for name, (path, r) in radiographs.items()
    }
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
        {name: given.image for name, given in inputs.items()},
        prediction.points,
        prediction.parameters,
        title="Plumbline measurement",
        provenance="model trained on simulated data" if model.contract.simulated_training_data else None,
        rough_intervals=remark,
        warnings=warnings_of(prediction),
    )
    overlay.parent.mkdir(parents=True, exist_ok=True)
    image.save(overlay)
    if remark:
        errors.print(f"[yellow]{remark}[/yellow]")
    errors.print(f"overlay: {overlay}   model: {model.digest[:12]}")


def _read_radiographs(files: tuple[Path, ...], view: ViewName | None) -> "dict[ViewName, tuple[Path, Radiograph]]":
    from spine.intake.pairing import require_one_examination
    from spine.radiograph.read import read_radiograph

    if len(files) > 2 or (view and len(files) != 1):
        raise click.UsageError("give one file, or one frontal and one lateral file; --view goes with a single file")
    found: dict[ViewName, tuple[Path, Radiograph]] = {}
    for file in files:
        try:
            radiograph = read_radiograph(file)
        except InputRejected as error:
            what = f"{file.name}: {error.found}"
            raise type(error)(error.code, found=what, expected=error.expected, remedy=error.remedy) from error
        if view and radiograph.view and view != radiograph.view:
            raise click.UsageError(f"--view {view}: the tags of {file.name} say {radiograph.view}; leave --view out")
        name = radiograph.view or view
        if name is None or name in found:
            known = "another file is of the same view" if name else "its tags do not say which view it is"
            raise ParametersRejected(
                "VIEW_UNCLEAR",
                found=f"{file.name}: {known}",
                expected="one frontal and/or one lateral file",
                remedy="give one file of each view" if name else "measure it alone and name its view with --view",
            )
        found[name] = file, radiograph
    require_one_examination({name: radiograph for name, (_, radiograph) in found.items()})
    return found


def _require_measurements(prediction: Prediction, files: tuple[Path, ...]) -> None:
    """Refuse files none of which shows a spine or yields a figure; say it where one of two does not."""

    if prediction.refused and not any(prediction.points.values()):
        why = "; ".join(f"{view}: {reason}" for view, reason in prediction.refused.items())
        raise InputRejected(
            "NOT_A_WHOLE_SPINE",
            found=f"{', '.join(f.name for f in files)}: {why}",
            expected="frontal and/or lateral radiographs of the whole spine, thoracolumbar at least",
            remedy="check that the right image was given, and the right way up; nothing was measured",
        )
    if all(measured.is_absent for measured in prediction.parameters.values()):
        raise InputRejected(
            "NOTHING_MEASURED",
            found=f"{', '.join(f.name for f in files)}: {_describe_visible(prediction)}",
            expected="radiographs that show enough of an upright spine for one parameter at least",
            remedy="check that the image is upright, not cut off and not covered; nothing was measured",
        )
    for warning in warnings_of(prediction):
        errors.print(f"[yellow]{warning}[/yellow]")


def _describe_visible(prediction: Prediction) -> str:
    """How much of each view, in words."""
    seen = [f"{view}: {len(at)} landmarks" for view, at in prediction.points.items() if view not in prediction.refused]
    return "; ".join([*seen, *(f"{view}: refused, {why}" for view, why in prediction.refused.items())])


def _require_safe_outputs(files: tuple[Path, ...], overlay: Path, json_file: Path | None) -> None:
    """An output never replaces a file, and the overlay is an image."""
    inputs = {file.resolve() for file in files}
    for option, path in (("--overlay", overlay), ("--json", json_file)):
        if path is not None and path.resolve() in inputs:
            raise click.UsageError(f"{option} {path}: that is one of the files")
    if json_file is not None and json_file.resolve() == overlay.resolve():
        raise click.UsageError(f"--json and --overlay both name {overlay}: one would replace the other")
    if json_file is not None and str(json_file) == "-":
        raise click.UsageError("--json -: leave --json out, and the measurements go to standard output")
    if overlay.suffix.lower() not in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        raise click.UsageError(f"--overlay {overlay}: give it the name of an image, e.g. overlay.png")


def _open_model(folder: Path | None, workspace: Workspace) -> Model:
    if folder is not None and str(folder) == "bundled" and not folder.is_dir():
        return open_bundled()
    if folder is not None:
        if not folder.is_dir():
            raise click.UsageError(f"--model {folder}: no such folder; name a model folder, or: bundled")

        errors.print("[yellow]measuring with a model named by hand, not with a promoted one[/yellow]")
        model = open_model_folder(folder)
        if not recorded_digests(folder):
            errors.print(f"[yellow]nothing vouches for this model: no {' or '.join(RECORDS)} names its digest[/yellow]")
        return model

    if local_champion(workspace) is None:
        where = f"nothing promoted in {workspace.root.name}/"
        if not workspace.root.exists():
            where = f"there is no workspace {workspace.root}/"
        errors.print(f"[yellow]{where}: measuring with the bundled model, learnt from virtual patients only[/yellow]")
        return open_bundled()
    return open_champion(workspace)


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
    """List the DICOM transfer syntaxes this installation reads, and with which decoder.

    \b
    Example:  plumbline decoders
    """
    from spine.radiograph.decoders import decoder_matrix

    for name, uid, how in decoder_matrix():
        output.print(f"{name:<52} {uid:<26} {how}")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def read3d(files: tuple[Path, ...]) -> None:
    """Read 3D reconstructions (our JSON and CSV, Slicer .mrk.json, CT keypoints) and say what they can yield.

    \b
    Example:  plumbline read3d reconstruction.json spine.mrk.json
              plumbline read3d /data/ct_keypoints
    """
    from orchestration.pipeline.survey import survey_reconstructions

    survey = survey_reconstructions(files)
    if survey.counts["files"] == "0":
        raise click.UsageError("no .json or .csv file among what was named")
    print_table("3D reconstructions", ("what", "count"), [[name, str(value)] for name, value in survey.counts.items()])
    print_table("Parameters", ("parameter", "yielded", "median", "5-95 %", "if absent, why"), survey.parameters)
