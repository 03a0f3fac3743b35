"""The subcommands that run the pipeline: ``init``, ``run``, ``stage``."""

import time
from contextlib import AbstractContextManager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml
from rich.text import Text

from orchestration.cli.options import parameter_options, workspace_option
from orchestration.cli.run_cost import sampled_memory, write_run_record
from orchestration.cli.start_model import default_start
from orchestration.cli.terminal import errors, output, print_step, print_text, progress_bar
from orchestration.cli.verdicts import print_verdict
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import Params, parse_params, read_params, write_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.remote import checked_remote, write_remote
from orchestration.pipeline.stages import STAGE_NAMES, dvc_yaml
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.versioning import dvc_repository
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.intake.sources import open_source
from spine.storage import write_text_atomically
from spine.types import Progress
from training.fields import merged
from training.journal import flattened, latest_figures
from training.recipe import read_recipes

if TYPE_CHECKING:
    from orchestration.dagster.run import RunOutcome

_RADIOGRAPH_DEFAULTS: dict[str, dict[str, Any]] = {
    "dataset": {"landmark_set": "corners68", "validation_fraction": 0.1, "test_patients": 60},
    "validation": {"profile": "frontal_radiographs", "on_bad_study": "exclude"},
    "gate": {"policy": "frontal_radiographs"},
}


@click.command()
@workspace_option
@parameter_options
@click.option("--remote", metavar="URL", help="Where `dvc push` copies the data: s3://BUCKET/PREFIX, or a folder.")
@click.option("--remote-endpoint", metavar="URL", default="", help="The object store, if it is not Amazon's.")
def init(workspace: Path, remote: str | None, remote_endpoint: str, **parameters: Any) -> None:
    """Make a workspace: a params.yaml with every parameter, and a dvc.yaml. With --remote, check it and keep it.

    \b
    Example:  plumbline init -w ws --source folder --location /data/studies --set training.minutes=20
              plumbline init -w bundled --recipe bundled
              plumbline init -w ws --remote s3://studies/ws --remote-endpoint https://store.example
    """
    chosen = Workspace(workspace)
    checked = checked_remote(remote, remote_endpoint) if remote is not None else None
    prepare_workspace(chosen, **parameters)
    if checked is not None:
        write_remote(chosen, checked)
    output.print(f"{chosen.params_file}\n{chosen.pipeline_file}")


def prepare_workspace(
    workspace: Workspace,
    source: str | None,
    location: Path | None,
    settings: tuple[str, ...],
    recipes: tuple[str, ...] = (),
) -> Params:
    """Write params.yaml and dvc.yaml. Settings override recipes, which override the source and existing values."""
    for path in (workspace.root, location or workspace.root):
        _require_text(path)
    known, recipe = workspace.params_file.exists(), read_recipes(recipes)
    content = read_params(workspace.params_file).plain() if known else Params().plain()
    _choose_source(content, source, location)
    content = merged(content, recipe)
    start = () if known else default_start(content["source"]["kind"], settings, recipe)
    if start:
        errors.print("training will start from the bundled model; for random weights: --set training.init_from=null")
    for setting in (*start, *settings):
        _apply(content, setting)
    # The file's own values were validated by read_params, so an invalid value comes from an option.
    origin = "the option that set it (--recipe, --set, --minutes, --patients); nothing was written"
    params = parse_params(content, origin)
    workspace_policy(params, workspace)  # refuses a missing or invalid policy before anything is trained
    workspace.prepare()
    write_params(params, workspace.params_file)
    write_text_atomically(workspace.pipeline_file, dvc_yaml(params))
    with dvc_repository(workspace):  # so that `dvc repro` works before the first run
        return params


def _require_text(path: Path) -> None:
    """Refuse a path that params.yaml and DVC's files cannot contain: control characters, or bytes that are no UTF-8."""
    if not str(path).isprintable():
        raise ParametersRejected(
            "PATH_NOT_TEXT",
            found=repr(str(path)),
            expected="a path of printable characters in UTF-8",
            remedy="rename the folder, or use a link to it with another name; folders inside it may have any name",
        )


def _choose_source(content: dict[str, Any], source: str | None, location: Path | None) -> None:
    before = content["source"]["kind"]
    kind = source or before
    if kind == "virtual":
        if location is not None:
            raise click.UsageError("--location needs --source folder, aasce or ct-keypoints")
        content["source"] = Params().plain()["source"]
    elif location is not None:
        folder = location.expanduser().resolve()
        open_source(kind, folder)  # refuses a missing folder before anything is written
        content["source"] |= {"kind": kind, "location": str(folder)}
    elif kind != before:
        raise click.UsageError(f"--source {kind} needs --location FOLDER")
    if kind == "aasce" and before != "aasce":
        for section, values in _RADIOGRAPH_DEFAULTS.items():
            content[section] |= values


def _apply(content: dict[str, Any], setting: str) -> None:
    key, separator, text = setting.partition("=")
    *sections, name = key.split(".")
    place: Any = content
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not separator:
        raise click.UsageError(f"--set {setting}: write KEY=VALUE, e.g. training.minutes=3")
    if not isinstance(place, dict) or name not in place:
        near = get_close_matches(key, flattened(content), n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise click.UsageError(f"--set {setting}: no such parameter{meant}; `plumbline params` lists them")
    try:
        place[name] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise click.UsageError(f"--set {setting}: the value is not YAML ({error.__class__.__name__})") from error


@click.command()
@workspace_option
@parameter_options
@click.option("--minutes", type=float, help="Training time.")
def run(workspace: Path, minutes: float | None, settings: tuple[str, ...], **parameters: Any) -> None:
    """Run the pipeline through Dagster, from studies to verdict and promotion. The exit code is 3 if the gate refuses.

    Unchanged steps are skipped. After an interruption, the same command continues. Parameters that no option names keep
    their values.

    \b
    Example:  plumbline run -w radiographs --source aasce --location /data/aasce_training --minutes 4
              plumbline run -w ws --source folder --location /data/studies --set dataset.test_patients=20
              plumbline run -w bundled --recipe bundled
    """
    chosen = Workspace(workspace)
    if not chosen.params_file.exists() and not (parameters["source"] or parameters["recipes"]):
        raise click.UsageError(
            f"{workspace} has no params.yaml. Name a workspace with -w, or say what a new one reads: --source folder "
            "--location FOLDER, --source virtual, or --recipe NAME"
        )
    prepare_workspace(chosen, settings=settings + training_time(minutes), **parameters)
    raise SystemExit(run_pipeline(chosen))


def training_time(minutes: float | None) -> tuple[str, ...]:
    """The setting of training.minutes from ``--minutes``; empty if the option is missing."""
    return () if minutes is None else (f"training.minutes={minutes}",)


def run_pipeline(workspace: Workspace) -> int:
    """Run the job ``retrain`` in this process, show its progress, print the verdict, and return the exit code."""
    from orchestration.dagster.run import run_retrain  # takes 0.6 s, so not for `init` and `--help`

    started = time.perf_counter()
    with sampled_memory() as peak:
        outcome = run_retrain(workspace, on_step=print_step, progress=partial(_progress_of, workspace))
    write_run_record(workspace, outcome.reports, started, peak)
    errors.print(f"pipeline: {time.perf_counter() - started:.0f} s, peak memory {peak.mib / 1024:.1f} GiB", style="dim")
    if outcome.verdict_reached:
        print_verdict(workspace)
        output.print(f"report: {workspace.report_page}")
    if outcome.promoted:
        measure = f"`plumbline measure FRONTAL.dcm LATERAL.dcm -w {workspace.root}`"
        output.print(Text.assemble(("promoted", "green"), f": {measure} now uses this model"))
        return 0
    if outcome.refused:
        output.print(Text.assemble(("not promoted", "yellow"), f" ({outcome.code})"))
        print_text(_reason(workspace, outcome))
        return 3
    output.print(Text.assemble(("stopped", "red"), f" in {outcome.failed_step}: {outcome.reason}"))
    return outcome.exit_code


def _progress_of(workspace: Workspace, step: str) -> AbstractContextManager[Progress]:
    """The progress bar of a step; training also shows its loss and its validation error."""
    title = step.replace("_", " ")
    return (
        progress_bar(title, partial(latest_figures, workspace.candidate, since=time.time()))
        if step == "candidate"
        else progress_bar(title)
    )


def _reason(workspace: Workspace, outcome: "RunOutcome") -> str:
    """The reason for a refusal: the command that explains the verdict, or the error of a refused promotion."""
    if outcome.failed_step == "verdict" and outcome.verdict_reached:
        return f"`plumbline explain -w {workspace.root}` explains the reasons"
    return outcome.reason.removeprefix(f"{outcome.code}: ")


@click.command()
@click.argument("name", type=click.Choice(STAGE_NAMES))
@click.option("--workspace", "-w", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True)
def stage(name: str, workspace: Path) -> None:
    """Run one stage of the workspace in the current folder. The stages of dvc.yaml call this command.

    \b
    Example:  cd ws && dvc repro dataset      # calls `plumbline stage dataset` if an input changed
    """
    chosen = Workspace(workspace)
    read_params(chosen.params_file)  # refuses a folder that is not a workspace before anything is made in it
    with workspace_lock(chosen), progress_bar(name) as progress:
        report = compute_step(name, chosen, progress)
    print_step(report)
