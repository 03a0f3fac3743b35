"""The subcommand ``demo``: the whole pipeline once on virtual patients, and what came of it."""

import json
import subprocess
import sys
from pathlib import Path

import click

from inference.value_table import interval_text, value_text
from orchestration.cli.options import workspace_option
from orchestration.cli.pipeline import prepare_workspace, run_pipeline, training_time
from orchestration.cli.terminal import errors, output, print_table
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from spine.measurement.registry import Measured

_SETTINGS = (
    "training.init_from=bundled",
    "training.heatmap_stride=4",
    "training.learning_rate=0.0001",
    "training.minutes=2",
)
"""Settings of a new demo workspace: training from the bundled model, whose landmarks and resolution it keeps."""

_TRIED = 8
"""Number of pairs that are measured at most, until one has every parameter."""


@click.command()
@workspace_option
@click.option("--minutes", type=float, help="Training time.  [2]")
@click.option("--patients", type=click.IntRange(20), help="Virtual patients.  [274, 50 of them in the test set]")
def demo(workspace: Path, minutes: float | None, patients: int | None) -> None:
    """Run the whole pipeline once on virtual patients, then measure one pair of radiographs with the result.

    Training starts from the bundled model. The gate may refuse the new model: the demo then shows the reasons, and its
    exit code is 0.

    \b
    Example:  plumbline demo
    """
    chosen = Workspace(workspace)
    settings: tuple[str, ...] = () if chosen.params_file.exists() else _SETTINGS
    settings += training_time(minutes)
    if patients:
        settings += (f"cohort.count={patients}", f"dataset.test_patients={max(5, patients // 5)}")
    if chosen.params_file.exists() and read_params(chosen.params_file).source.kind != "virtual":
        raise click.UsageError(
            f"{workspace} does not use virtual patients: use `plumbline run`, or name another workspace"
        )
    params = prepare_workspace(chosen, "virtual", None, settings)
    errors.print("Virtual patients -> DICOM -> studies -> landmarks -> dataset -> training -> gate -> measurement")
    errors.print(f"{params.cohort.count} patients, {params.training.minutes} minutes of training.")
    code = run_pipeline(chosen)
    if code in (0, 3):
        _measure_one(chosen, promoted=code == 0)
        _print_times(chosen)
        output.print(_what_was_trained(chosen))
        _print_what_next(chosen)
        code = 0
    raise SystemExit(code)


def _measure_one(workspace: Workspace, *, promoted: bool) -> None:
    """Measure a pair of the cohort whose every parameter is found, by running the command `plumbline measure`."""
    overlay, report = workspace.state / "measured" / "overlay.png", workspace.state / "measured" / "measurement.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    for case in _uncut_cases(workspace)[:_TRIED]:
        command = [sys.executable, "-m", "orchestration.cli.main", "measure", str(case / "frontal.dcm")]
        command += [str(case / "lateral.dcm"), "--overlay", str(overlay), "--out", str(report)]
        command += ["-w", str(workspace.root), *([] if promoted else ["--model", str(workspace.candidate)])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if all(p["value"] is not None for p in json.loads(report.read_text())["parameters"].values()):
            break
    print_table(f"Measured: {case.name} of the cohort", ("parameter", "value", "90 % interval"), _values(report))
    errors.print(done.stderr, end="", highlight=False)
    output.print(f"values: {report}")


def _values(report: Path) -> list[list[str]]:
    """Label, value and interval of each parameter, as `plumbline measure` prints them."""
    content = json.loads(report.read_text())
    rough = bool((content["intervals"] or {}).get("rough"))
    rows = []
    for found in content["parameters"].values():
        ends = found.get("interval_90")
        measured = Measured(
            found["value"],
            found["unit"],
            absent_reason=found.get("absent_reason"),
            absent_code=found.get("absent_code"),
            interval=tuple(ends) if ends else None,
        )
        rows.append([found["label"], value_text(measured), interval_text(measured, rough=rough)])
    return rows


def _uncut_cases(workspace: Workspace) -> list[Path]:
    """The folders of the cohort's pairs that show the whole spine and the hips; all folders if there is none."""
    cases = sorted(path.parent for path in workspace.drop.glob("*/reconstruction.json"))

    def is_uncut(case: Path) -> bool:
        facts = json.loads((case / "reconstruction.json").read_text()).get("facts", {})
        return bool(facts.get("field_of_view") == "full" and facts.get("condition") != "instrumented")

    return [case for case in cases if is_uncut(case)] or cases


def _print_times(workspace: Workspace) -> None:
    """Print the time of each step that ran, and its share of the run."""
    record = json.loads((workspace.state / "run.json").read_text())
    spent = {s["step"]: s["seconds"] + s["overhead_seconds"] for s in record["steps"] if not s["skipped"]}
    whole = max(record["seconds"], 1e-9)
    rows = [[step.replace("_", " "), f"{s:.0f} s", f"{100 * s / whole:.0f} %"] for step, s in spent.items()]
    rows.append(["whole run", f"{whole:.0f} s", "100 %"])
    print_table("Time", ("step", "time", "share"), rows)


def _what_was_trained(workspace: Workspace) -> str:
    """One sentence on the fit: steps, images, the start, and how far the weights moved from it."""
    from training.export.candidate import read_summary
    from training.export.weight_change import relative_change

    summary = read_summary(workspace.candidate)
    begin = summary.config.init_from
    text = f"Trained: {summary.steps} steps on {summary.images} images in {summary.seconds / 60:.1f} minutes"
    if begin is None:
        return f"{text}, from random weights."
    changed = 100 * relative_change(workspace.candidate, begin)
    return f"{text}, from the model {begin}, whose weights changed by {changed:.1f} %."


def _print_what_next(workspace: Workspace) -> None:
    plumbline = Path(sys.executable).with_name("plumbline")  # `make demo` activates no environment
    output.print("To look at the result:")
    output.print(f"  {plumbline} explain -w {workspace.root}      # why the gate decided so")
    output.print(f"  make up WORKSPACE={workspace.root}         # Dagster and MLflow in the browser")
    output.print(f"  {sys.executable} -m webbrowser {workspace.report_page.resolve().as_uri()}   # the report")
