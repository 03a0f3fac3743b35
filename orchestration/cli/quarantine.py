"""The subcommands ``quarantine``, which lists the studies in quarantine, and ``accept``, which accepts a study.

Contract: names of folders and files in the source may identify patients. They are printed, and never written.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.pipeline.intake import (
    FILE_COUNTS,
    PASSED_OVER_TABLE,
    STUDY_COUNTS,
    WAITING_TABLE,
    latest_intake,
    quarantined_studies,
)
from orchestration.pipeline.params import change_params, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.printable import printable_name
from spine.study import study_ids


@click.command()
@workspace_option
def quarantine(workspace: Path) -> None:
    """List the studies in quarantine, with reason and remedy, and what became of every file of the last intake.

    Names in the source may identify patients, so quarantine does not store them. This command finds the names again
    with the workspace's pseudonym key. Treat its output as confidential.

    \b
    Example:  plumbline quarantine -w ws
    """
    chosen = Workspace(workspace)
    listed = quarantined_studies(chosen, read_params(chosen.params_file))
    for study in listed:
        for location, name in study.origins:
            click.secho(f"{printable_name(name)}  (in {printable_name(str(location))})", bold=True)
        if not study.origins:
            click.secho("no longer in the source under this name, or the source itself is gone", bold=True)
            click.echo("    (delete the folder below if nobody needs the study)")
        click.echo(f"    {study.code}: found {study.found}; expected {study.expected}; {study.remedy}")
        if study.file:
            click.echo(f"    because of {printable_name(study.file)}")
        click.echo(f"    {study.folder}")
    click.echo(f"{len(listed)} in quarantine")
    _print_counts(chosen)


@click.command()
@click.argument("studies", nargs=-1, required=True)
@click.option("--reason", required=True, help="why the labels are right; it is shown in reports, so name no patient")
@workspace_option
def accept(studies: tuple[str, ...], reason: str, workspace: Path) -> None:
    """Accept STUDIES (their ids) with whose labels the second reader of the validation disagrees.

    A model reads every image again and finds wrong images and labels. It can be wrong itself. The report of the
    validation shows its findings with pictures. An accepted study is used; the finding remains as a warning.

    A study in quarantine with BURNED_IN_TEXT is accepted by the name of its folder there, if its text identifies
    nobody.

    \b
    Example:  plumbline accept 5a8c0f21b6e9d374 --reason "six lumbar vertebrae, labels checked" -w ws
    """
    chosen = Workspace(workspace)
    stored = set(study_ids(chosen.studies))
    with_text = {path.parent.name for path in chosen.quarantine.glob("*/reason.json") if _has_text(path)}
    if not reason.strip():
        raise click.UsageError("the reason is empty")
    if unknown := [study for study in studies if study not in stored | with_text]:
        raise click.UsageError(_why_unknown(chosen, unknown[0]))
    params, reason = read_params(chosen.params_file), " ".join(reason.split())
    labels = _accepted(params.validation.accepted, [s for s in studies if s in stored], reason)
    texts = _accepted(params.source.accepted_text, [s for s in studies if s in with_text], reason)
    changes = {"validation": {"accepted": labels}, "source": {"accepted_text": texts}}
    change_params(chosen.params_file, changes, "the reason")
    click.echo(f"{len(studies)} accepted. `plumbline run -w {workspace}` uses them.")


def _why_unknown(workspace: Workspace, study: str) -> str:
    if (workspace.quarantine / study / "reason.json").is_file():
        return f"study {study!r} is in quarantine, and not for BURNED_IN_TEXT: `plumbline quarantine` has the remedy"
    reports = "data/validation/report.html and data/screening/report.html"
    return f"no study {study!r} in this workspace; {reports} list the ids"


def _has_text(reason_file: Path) -> bool:
    return bool(json.loads(reason_file.read_text())["code"] == "BURNED_IN_TEXT")


def _accepted(former: Sequence[str], studies: Sequence[str], reason: str) -> list[str]:
    """The entries of params.yaml with the new ones in place of those for the same studies."""
    return [*(entry for entry in former if entry[:16] not in studies), *(f"{study}: {reason}" for study in studies)]


def _print_counts(workspace: Workspace) -> None:
    """What became of every study and file in the last intake."""
    report = latest_intake(workspace)
    if report is None:
        return
    for what, names in (("studies", STUDY_COUNTS), ("files", FILE_COUNTS)):
        counts = ", ".join(f"{report.figures.get(name, 0)} {name.removeprefix('files ')}" for name in names)
        click.echo(f"the last intake, {what}: {counts}")
    for title in (WAITING_TABLE, PASSED_OVER_TABLE):
        kinds = [f"{count} {kind}" for kind, count in (row.values() for row in report.tables.get(title, ()))]
        if kinds:
            click.echo(f"    {title}: {', '.join(kinds)}")
