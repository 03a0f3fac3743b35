"""Subcommands that train and bring home what was trained: ``train``, ``adopt``.

Contract: with a source, ``train`` is ``init`` and ``run`` with the settings of the model it starts from; with a data
set folder it is ``python -m training``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.pipeline import SOURCES, prepare_workspace, run_chain
from orchestration.cli.terminal import errors, print_step
from orchestration.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from inference.contract import ModelContract

_SMALL_STEPS = 1e-4
_LARGER_STEPS = 3e-4
"""Learning rates from fitted weights on: for images like those they know, and for radiographs of another kind."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--from", "start", help="What to start from: bundled, or the folder of a fitted model.")
@click.option("--source", type=SOURCES, help="Train in a workspace, on the studies of this source.")
@click.option("--location", type=click.Path(path_type=Path), help="Folder of the source (not for virtual).")
@click.option("--minutes", type=float, help="Training budget.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter, as for init.")
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
    """Train, from the bundled model or any fitted one, on one's own labelled studies.

    With --source, studies are taken in, checked and split in the workspace, the model is fitted, evaluated and judged,
    as `plumbline run` does; exit code 3 when the gate refuses. With --dataset FOLDER --out FOLDER (and any option of
    `python -m training`, see its --help) it fits a data set folder outside any workspace: with that data set's
    landmarks, and with network and learning rate that go with --from, unless options say otherwise.

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
            f"no such option with --source: {' '.join(arguments)}; parameters go with --set KEY=VALUE"
        )
    settings = (*_settings_of(start, source), *settings)
    settings += (f"training.minutes={minutes}",) if minutes is not None else ()
    chosen = Workspace(workspace)
    params = prepare_workspace(chosen, source, location, settings)
    errors.print(f"training from {start or 'nothing'} for {params.training.minutes} minutes on {source} studies")
    raise SystemExit(run_chain(chosen))


def _refuse_workspace_options(location: Path | None, settings: tuple[str, ...]) -> None:
    """Without a source there is no workspace, so nothing that is for one may be given in vain."""
    from click.core import ParameterSource

    workspace = click.get_current_context().get_parameter_source("workspace") is ParameterSource.COMMANDLINE
    given = {"--location": location is not None, "--set": bool(settings), "--workspace": workspace}
    if vain := [option for option, is_given in given.items() if is_given]:
        raise click.UsageError(
            f"{', '.join(vain)}: only with --source; with --dataset give options of `python -m training`, "
            "e.g. --learning-rate 1e-4"
        )


def _fit_folder(start: str | None, minutes: float | None, arguments: tuple[str, ...]) -> int:
    from training.__main__ import main

    given = list(arguments)
    given += ["--init-from", start] if start else []
    given += ["--minutes", str(minutes)] if minutes is not None else []
    if "--help" not in given:
        given += _implied(start, arguments)
    return main(given)


def _implied(start: str | None, arguments: tuple[str, ...]) -> list[str]:
    """Options of `python -m training` that follow from the start, where they were not given."""
    import argparse

    parser = argparse.ArgumentParser("plumbline train", add_help=False)
    for option in ("--dataset", "--heatmap-stride", "--input-shape", "--learning-rate"):
        parser.add_argument(option)
    given = vars(parser.parse_known_args(arguments)[0])
    if given["dataset"] is None:
        raise click.UsageError("give --source KIND (and --location FOLDER), or --dataset FOLDER --out FOLDER")
    if start is None:
        return []
    contract = _contract_of(start)
    implied = {
        "heatmap_stride": str(contract.heatmap_stride),
        "input_shape": "x".join(map(str, contract.input_shape)),
        "learning_rate": str(_SMALL_STEPS),
    }
    missing = {name: value for name, value in implied.items() if given[name] is None}
    return [text for name, value in missing.items() for text in (f"--{name.replace('_', '-')}", value)]


def _contract_of(start: str) -> "ModelContract":
    from inference.bundled import find_model_folder
    from inference.contract import read_contract

    return read_contract(find_model_folder(start))


def _settings_of(start: str | None, source: str) -> tuple[str, ...]:
    """Network, landmarks and steps that go with the start; ``--set`` overrules them."""
    if start is None:
        return ()
    bundled, contract = start == "bundled", _contract_of(start)
    radiographs = source == "aasce"
    chosen = (
        f"training.init_from={start if bundled else Path(start).expanduser().resolve()}",
        f"training.heatmap_stride={contract.heatmap_stride}",
        f"training.input_rows={contract.input_shape[0]}",
        f"training.input_columns={contract.input_shape[1]}",
        f"training.learning_rate={_LARGER_STEPS if radiographs else _SMALL_STEPS}",
    )
    # The corners of radiographs have a set of their own, and level names that are not consistent.
    return (*chosen, "training.label_shift=1" if radiographs else f"dataset.landmark_set={contract.landmark_set}")


@click.command()
@click.argument("candidate", type=click.Path(exists=True, file_okay=False, path_type=Path))
@workspace_option
def adopt(candidate: Path, workspace: Path) -> None:
    """Bring a candidate that was trained elsewhere (`python -m training`) on this workspace's data set.

    Its export is finished here; then `plumbline run` evaluates it, replays its journal into MLflow, judges it, and
    promotes or refuses it, without training again.

    \b
    Example:  plumbline adopt /mnt/gpu/candidate -w ws && plumbline run -w ws
    """
    from orchestration.pipeline.lock import chain_lock
    from orchestration.pipeline.steps import adopt_candidate

    chosen = Workspace(workspace)
    with chain_lock(chosen):
        print_step(adopt_candidate(chosen, candidate))
