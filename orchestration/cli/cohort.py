"""Subcommands that make data outside a workspace: ``cohort``."""

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from orchestration.cli.population_table import draw_population, print_population
from orchestration.cli.terminal import output, progress_bar
from orchestration.services.interruption import interruptible
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import AppearanceMix, CohortConfig, Extra, MeshFormat
from simulation.population.statistics import population_rows, survey
from spine.scanner import NATIVE_SPACING_MM

_WRITTEN, _SURVEYED, _ROWS = 10, 2000, 512


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--count", type=click.IntRange(1), help=f"How many patients.  [{_WRITTEN}; with --stats {_SURVEYED}]")
@click.option("--seed", type=click.IntRange(0), default=2019, show_default=True, help="A seed gives the same patients.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--rows", type=click.IntRange(64, 4096), default=_ROWS, show_default=True, help="Pixels, full length.")
@click.option("--columns", type=click.IntRange(64, 4096), help="Pixels across.  [half of --rows]")
@click.option(
    "--appearance",
    type=click.Choice(["scanner", "mixed"]),
    default="scanner",
    show_default=True,
    help="Slot scanner only, or also plates, screen films, low and high contrast. 6 % of all images are inverted.",
)
@click.option(
    "--with",
    "extras",
    type=click.Choice(["markups", "meshes"]),
    multiple=True,
    help="Also write 3D Slicer markups, or a mesh of every bone, into each patient's extras/. May be given twice.",
)
@click.option("--mesh-format", type=click.Choice(["obj", "stl"]), help="Of the meshes.  [obj]")
@click.option(
    "--patient-motion",
    type=float,
    default=0.0,
    help="SD in mm of the patient's motion between the views.  [none; at most 20]",
)
@click.option(
    "--replace", is_flag=True, help="Finished patients that other settings or a smaller --count leave over may go."
)
@click.option("--stats", is_flag=True, help="Compare the population with the published one; draws no images.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="With --stats: draw it into this PNG.")
def cohort(out: Path | None, count: int | None, seed: int, stats: bool, figure: Path | None, **drawing: Any) -> None:
    """Write virtual patients as DICOM pairs with their 3D reconstructions.

    A full-length image shows the same 735 mm from top to bottom whatever its --rows: more rows are smaller pixels.
    The same command again keeps what is there and finishes what is missing, a larger --count adds patients. Other
    settings or fewer patients would cost finished ones: --replace allows it. --stats ends with 1 where a figure is
    off, or where there are too few patients to tell any.

    \b
    Example:  plumbline cohort --out /tmp/virtual --count 20
              plumbline init --workspace ws --source folder --location /tmp/virtual
              plumbline cohort --out /tmp/large --rows 768 --columns 384
              plumbline cohort --out /tmp/bones --with markups --with meshes --mesh-format stl
              plumbline cohort --out /tmp/moving --patient-motion 2.0
              plumbline cohort --stats --figure population.png
    """
    if out is None and not stats:
        raise click.UsageError("where to? Name a folder with --out, or ask for --stats")
    if figure is not None and not stats:
        raise click.UsageError("--figure shows what --stats compares: name both")
    if drawing["mesh_format"] is not None and "meshes" not in drawing["extras"]:
        raise click.UsageError("--mesh-format is of the meshes: ask for them with --with meshes")
    if stats and out is not None:
        raise click.UsageError("--stats draws no images and --out writes some: two commands, please")
    if stats:
        _check_survey(figure)
        _compare(count or _SURVEYED, seed, figure)
    elif out is not None:
        _write(out, count or _WRITTEN, seed, **drawing)


def _check_survey(figure: Path | None) -> None:
    """Refuse what ``--stats`` would not heed, before it draws."""
    context = click.get_current_context()
    given = [
        f"--{'with' if name == 'extras' else name.replace('_', '-')}"
        for name in ("workers", "rows", "columns", "appearance", "extras", "mesh_format", "patient_motion", "replace")
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)} says how images are drawn, and --stats draws none: leave it out")
    if figure is not None and figure.suffix.lower() != ".png":
        raise click.UsageError(f"--figure {figure.name} is no PNG: name it like population.png")
    if figure is not None and not os.access(figure.parent, os.W_OK):
        raise click.UsageError(f"--figure {figure}: {figure.parent} is no folder that can be written to; make it first")


def _write(
    out: Path,
    count: int,
    seed: int,
    *,
    workers: int,
    rows: int,
    columns: int | None,
    extras: tuple[Extra, ...],
    mesh_format: MeshFormat | None,
    patient_motion: float,
    appearance: AppearanceMix,
    replace: bool,
) -> None:

    config = CohortConfig(
        count=count,
        seed=seed,
        shape=(rows, columns or rows // 2),
        spacing_mm=NATIVE_SPACING_MM * 8 * _ROWS / rows,
        workers=workers,
        extras=extras,
        mesh_format=mesh_format or "obj",
        patient_motion_mm=patient_motion,
        appearance=appearance,
    )
    with interruptible(), progress_bar("virtual patients") as progress:
        done = write_cohort(out, config, progress, may_replace=replace)
    parts = {"drawn": done.written, "kept": done.kept, "of these replaced": done.replaced, "removed": done.removed}
    told = ", ".join(f"{number} {word}" for word, number in parts.items() if number)
    output.print(f"{count} virtual patients in {out}: {told}")


def _compare(count: int, seed: int, figure: Path | None) -> None:

    with progress_bar("virtual patients") as progress:
        people = survey(count, seed, progress)
    rows = population_rows(people)
    print_population(rows, count)
    if figure is not None:
        draw_population(rows, people, figure)
        output.print(f"figure in {figure}")
    if all(row.agreement == "too few" for row in rows) or any(row.agreement == "off" for row in rows):
        raise SystemExit(1)
