"""The batch of ``plumbline measure --studies``: a folder of studies into one CSV table."""

from pathlib import Path

import click

from orchestration.cli.measured_files import MeasuredFiles
from orchestration.cli.model_choice import ChosenModel
from orchestration.cli.terminal import errors, output, progress_bar


def batch_of(
    folder: Path | None, csv: Path | None, files: tuple[Path, ...], outputs: MeasuredFiles
) -> tuple[Path, Path]:
    """The folder and the table of a batch.

    Raises:
        click.UsageError: one of both is missing, or files of a single study are named, too.
    """
    if folder is None or csv is None:
        raise click.UsageError("--studies FOLDER and --csv FILE belong together; give both")
    if files or outputs != MeasuredFiles(release=outputs.release):
        raise click.UsageError("--studies measures a folder into --csv; omit files and the options of a single study")
    if csv.is_symlink() or (csv.exists() and not csv.is_file()):
        raise click.UsageError(f"--csv {csv}: this is a link or a device; name a file")
    return folder, csv


def measure_studies(folder: Path, csv: Path, chosen: ChosenModel) -> None:
    """Measure every study of a folder that ``csv`` does not hold yet, and print the counts.

    Raises:
        click.exceptions.Exit: no study was measured; the exit code is 1.
    """
    from inference.batch import studies_below
    from inference.batch_table import BatchTable

    calibration = chosen.model.contract.calibration
    table = BatchTable(csv, chosen.model.digest, calibration.source if calibration else "no intervals")
    studies = studies_below(folder)
    held = {study.name for study in studies if table.holds(study.name, study.content())}
    table.begin(held)
    with progress_bar("studies") as progress:
        for done, study in enumerate((s for s in studies if s.name not in held), 1):
            table.add(study.measure(chosen.model))
            progress(done, len(studies) - len(held))
    table.finish(study.name for study in studies)
    refusals = table.counts()
    measured = refusals.pop("", 0)
    kept = f", {len(held)} of them from an earlier run" if held else ""
    output.print(f"{len(studies)} studies: {measured} measured, {refusals.total()} refused{kept}; table: {csv}")
    for code, number in sorted(refusals.items()):
        errors.print(f"  refused {number}: {code}", style="yellow")
    if measured == 0:
        raise click.exceptions.Exit(1)
