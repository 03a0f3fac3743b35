"""The subcommands that train a model, or import or export a trained model: ``train``, ``adopt``, ``release``.

Contract: with ``--source``, ``train`` calls the functions of ``init`` and ``run``, with the settings of the model that
it starts from. With ``--dataset``, it calls the function of ``python -m training``.
"""

import argparse
from pathlib import Path

import click
from click.core import ParameterSource

from orchestration.cli.options import SOURCES, location_option, setting_option, workspace_option
from orchestration.cli.pipeline import prepare_workspace, run_pipeline, training_time
from orchestration.cli.start_model import implied_parameters, settings_from
from orchestration.cli.terminal import errors, output, print_step
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.steps import adopt_candidate
from orchestration.pipeline.workspace import Workspace
from training.__main__ import main
from training.export.release import release as write_release


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--from",
    "start",
    help="The model to start from: bundled (the default in a new workspace with --source), or a fitted model's folder.",
)
@click.option("--source", type=SOURCES, help="Train in a workspace, on the studies of this source.")
@location_option
@click.option("--minutes", type=float, help="Training time.")
@setting_option
@workspace_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(
    start: str | None,
    source: str | None,
    location: Path | None,
    minutes: float | None,
    settings: tuple[str, ...],
    workspace: Path,
    arguments: tuple[str, ...],
) -> None:
    """Train on your own labelled studies, from the bundled model or another fitted model.

    With --source, this command works in the workspace, as `plumbline run` does: it takes in, checks and splits the
    studies, then fits, evaluates and judges the model. The exit code is 3 when the gate refuses.

    With --dataset FOLDER --out FOLDER it fits a dataset folder outside any workspace. All options of
    `python -m training` are accepted (see its --help). The fit uses the dataset's landmarks. Input size, resolution and
    learning rate follow from the model of --from; options override them.

    \b
    Example:  plumbline train --from bundled --source folder --location /data/studies -w ws --minutes 30
              plumbline train --from bundled --source aasce --location /data/aasce_training -w radiographs --minutes 20
              plumbline train --dataset ws/data/dataset --out /tmp/candidate --minutes 5
    """
    if source is None:
        _refuse_workspace_options(location, settings)
        raise SystemExit(_fit_folder(start, minutes, arguments))
    if arguments:
        raise click.UsageError(
            f"no such option with --source: {' '.join(arguments)}; set parameters with --set KEY=VALUE"
        )
    settings = (*(settings_from(start, source) if start else ()), *settings, *training_time(minutes))
    chosen = Workspace(workspace)
    params = prepare_workspace(chosen, source, location, settings)
    begin = params.training.init_from or "random weights"
    errors.print(f"training for {params.training.minutes} minutes on {source} studies, from {begin}")
    raise SystemExit(run_pipeline(chosen))


def _refuse_workspace_options(location: Path | None, settings: tuple[str, ...]) -> None:
    """Refuse options that need a workspace."""
    workspace = click.get_current_context().get_parameter_source("workspace") is ParameterSource.COMMANDLINE
    given = {"--location": location is not None, "--set": bool(settings), "--workspace": workspace}
    if unused := [option for option, is_given in given.items() if is_given]:
        raise click.UsageError(
            f"{', '.join(unused)}: only with --source; with --dataset use options of `python -m training`, "
            "e.g. --learning-rate 1e-4"
        )


def _fit_folder(start: str | None, minutes: float | None, arguments: tuple[str, ...]) -> int:
    known = argparse.ArgumentParser(add_help=False)
    known.add_argument("--dataset")
    if known.parse_known_args(arguments)[0].dataset is None and "--help" not in arguments:
        raise click.UsageError("give --source KIND (and --location FOLDER), or --dataset FOLDER --out FOLDER")
    given = [*arguments, *(["--minutes", str(minutes)] if minutes is not None else [])]
    return main([*given, *(["--init-from", start] if start else [])], implied_parameters(start) if start else {})


@click.command()
@click.argument("candidate", type=click.Path(exists=True, file_okay=False, path_type=Path))
@workspace_option
def adopt(candidate: Path, workspace: Path) -> None:
    """Copy a candidate that another machine trained on the same dataset (`python -m training`) into the workspace.

    This command finishes export and calibration, and writes the parameters of the fit into params.yaml. Afterwards
    `plumbline run` evaluates, registers and judges the candidate without training again.

    \b
    Example:  plumbline adopt /mnt/gpu/candidate -w ws && plumbline run -w ws
    """
    chosen = Workspace(workspace)
    with workspace_lock(chosen):
        print_step(adopt_candidate(chosen, candidate))


@click.command()
@workspace_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--wider",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An evaluation record of the same model on more patients, for the figures by subgroup.",
)
def release(workspace: Path, out: Path, wider: Path | None) -> None:
    """Write the workspace's evaluated candidate and its model card to a folder.

    This is the last step of the recipe `bundled`, which makes the bundled model. The candidate must have been evaluated
    on virtual patients. It does not have to be promoted.

    \b
    Example:  plumbline release -w bundled --out inference/weights
    """
    chosen = Workspace(workspace)
    digest = write_release(chosen.candidate, chosen.evaluation / "record.json", out, wider)
    output.print(f"released {digest[:12]} into {out}")
