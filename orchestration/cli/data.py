"""Subcommands that make data and models outside a workspace, and bring them in: ``cohort``, ``train``, ``adopt``.

What belongs here: options and their help. What does not: the work (``spine.phantom``, ``training``).
"""

from pathlib import Path

import click

from orchestration.chain.workspace import Workspace
from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_step, progress_bar


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="How many patients.")
@click.option("--seed", type=int, default=2019, show_default=True, help="A seed always gives the same patients.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def cohort(out: Path, count: int, seed: int, workers: int) -> None:
    """Write virtual patients as DICOM pairs with their 3D reconstructions.

    \b
    Example:  plumbline cohort --out /tmp/virtual --count 20
              plumbline init --workspace ws --source folder --location /tmp/virtual
    """
    from spine.phantom.cohort import CohortConfig, write_cohort

    with progress_bar("virtual patients") as progress:
        write_cohort(out, CohortConfig(count=count, seed=seed, workers=workers), progress)
    output.print(f"{count} virtual patients in {out}")


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train on a data set folder; the same as ``python -m training``, which needs torch, lightning and numpy only.

    \b
    Example:  plumbline train --dataset ws/data/dataset --out /tmp/candidate --minutes 5
    """
    from training.__main__ import main

    raise SystemExit(main(list(arguments)))


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
    from orchestration.chain.lock import chain_lock
    from orchestration.chain.steps import adopt_candidate

    chosen = Workspace(workspace)
    with chain_lock(chosen):
        print_step(adopt_candidate(chosen, candidate))
