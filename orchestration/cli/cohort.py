"""The subcommand ``cohort``, which makes data outside a workspace."""

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from orchestration.cli.population_table import draw_population, print_population
from orchestration.cli.terminal import output, progress_bar
from orchestration.services.interruption import interruptible
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from simulation.population.statistics import population_rows, survey
from spine.scanner import NATIVE_SPACING_MM
from spine.work import LocalWork

_WRITTEN, _SURVEYED, _ROWS = 10, 2000, 512
MIN_ROWS = 256
"""With fewer rows the pixels are so large that intake refuses the images (``spine.radiograph.spacing.SPACING_MM``)."""


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--count", type=click.IntRange(1), help=f"Number of patients.  [{_WRITTEN}; with --stats {_SURVEYED}]")
@click.option(
    "--seed", type=click.IntRange(0), default=2019, show_default=True, help="The same seed gives the same patients."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Number of processes.")
@click.option("--rows", type=click.IntRange(MIN_ROWS, 4096), default=_ROWS, show_default=True, help="Rows of an image.")
@click.option("--columns", type=click.IntRange(64, 4096), help="Columns of an image.  [half of --rows]")
@click.option(
    "--appearance",
    type=click.Choice(["scanner", "mixed"]),
    default="scanner",
    show_default=True,
    help="scanner: slot scanner only; mixed: also plates, screen films, low and high contrast. "
    "6 % of all images are inverted.",
)
@click.option(
    "--with",
    "extras",
    type=click.Choice(["markups", "meshes"]),
    multiple=True,
    help="Also write 3D Slicer markups, or a mesh of every bone, into each patient's extras/. May be repeated.",
)
@click.option("--mesh-format", type=click.Choice(["obj", "stl"]), help="File format of the meshes.  [obj]")
@click.option(
    "--patient-motion",
    "patient_motion_mm",
    type=float,
    default=0.0,
    help="SD in mm of the patient's motion between the views.  [none; at most 20]",
)
@click.option("--replace", is_flag=True, help="Permit the command to replace or remove finished patients.")
@click.option("--stats", is_flag=True, help="Compare the population with published figures. No images are drawn.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="With --stats: PNG of the comparison.")
def cohort(out: Path | None, count: int | None, seed: int, stats: bool, figure: Path | None, **drawing: Any) -> None:
    """Write virtual patients as DICOM pairs with their 3D reconstructions.

    A full-length image covers 735 mm from top to bottom; more --rows give smaller pixels. If you repeat the command,
    it keeps finished patients and writes the missing patients. A larger --count adds patients. Other settings or a
    smaller --count need --replace, because they replace or remove finished patients. With --stats the exit code is 1 if
    a figure is outside its tolerance, or if there are too few patients to check any figure.

    \b
    Example:  plumbline cohort --out /tmp/virtual --count 20
              plumbline init --workspace ws --source folder --location /tmp/virtual
              plumbline cohort --out /tmp/large --rows 768 --columns 384
              plumbline cohort --out /tmp/bones --with markups --with meshes --mesh-format stl
              plumbline cohort --out /tmp/moving --patient-motion 2.0
              plumbline cohort --stats --figure population.png
    """
    if out is None and not stats:
        raise click.UsageError("name a folder with --out, or compare the population with --stats")
    if figure is not None and not stats:
        raise click.UsageError("--figure needs --stats")
    if drawing["mesh_format"] is not None and "meshes" not in drawing["extras"]:
        raise click.UsageError("--mesh-format needs --with meshes")
    if stats and out is not None:
        raise click.UsageError("--stats draws no images, so it cannot be combined with --out; use two commands")
    if stats:
        _check_survey(figure)
        _compare(count or _SURVEYED, seed, figure)
    elif out is not None:
        _write(out, count or _WRITTEN, seed, **drawing)


def _check_survey(figure: Path | None) -> None:
    """Refuse options that ``--stats`` would ignore, and a figure that cannot be written."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in ("out", "count", "seed", "stats", "figure")
        and context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: used only to draw images, but --stats draws no images; omit it")
    if figure is not None and figure.suffix.lower() != ".png":
        raise click.UsageError(f"--figure {figure.name}: the name must end in .png")
    if figure is not None and not os.access(figure.parent, os.W_OK):
        raise click.UsageError(f"--figure {figure}: {figure.parent} is not a writable folder; make it first")


def _write(
    out: Path, count: int, seed: int, *, rows: int, columns: int | None, replace: bool, workers: int, **settings: Any
) -> None:
    settings |= {"shape": (rows, columns or rows // 2), "spacing_mm": NATIVE_SPACING_MM * 8 * _ROWS / rows}
    settings["mesh_format"] = settings["mesh_format"] or "obj"
    config = CohortConfig(count=count, seed=seed, **settings)
    with interruptible(), progress_bar("virtual patients") as progress:
        done = write_cohort(out, config, progress, may_replace=replace, work=LocalWork(workers))
    parts = {"drawn": done.written, "kept": done.kept, "of these replaced": done.replaced, "removed": done.removed}
    counts = ", ".join(f"{number} {name}" for name, number in parts.items() if number)
    output.print(f"{count} virtual patients in {out}: {counts}")


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
