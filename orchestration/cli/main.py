"""The ``plumbline`` command: its subcommands, errors and exit codes.

Contract: a subcommand's module is imported when the subcommand is used, so ``--help`` is instant and ``measure`` loads
neither torch nor Dagster. Exit codes: 0 done; 1 the work failed; 2 wrong usage or parameters; 3 the gate refused, or
evidence or a model is missing or altered; 4 another run uses the workspace; 130 interrupted.
"""

import importlib
import io
import logging
import sys

import click

from orchestration.environment import apply_quiet_environment
from orchestration.printable import printable
from orchestration.services.interruption import end_soon_after_sigterm
from orchestration.system_errors import describe_system_error
from spine.errors import PlumblineError

_COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Run the whole pipeline once on virtual patients."),
    "init": ("pipeline", "Make a workspace: params.yaml and dvc.yaml."),
    "run": ("pipeline", "Run the pipeline of a workspace, from studies to verdict and promotion."),
    "params": ("params", "List the parameters of params.yaml with default, range and meaning."),
    "stage": ("pipeline", "Run one stage (dvc.yaml calls this)."),
    "quarantine": ("quarantine", "List the studies that could not be used, with the reason and the remedy."),
    "accept": ("quarantine", "Accept studies that the second reader of the validation disagrees with."),
    "corrections": ("corrections", "List corrected measurements, and what became of each."),
    "measure": ("measuring", "Measure one or two radiographs with the champion."),
    "serve": ("serving", "Measure over HTTP with the champion, which is followed."),
    "watch": ("watching", "Measure the studies of a PACS over DICOMweb, and store the results there."),
    "shadow": ("serving", "Print what the shadow runs of a challenger found."),
    "calibrate": ("calibrating", "Calibrate the intervals of a model on labelled studies of your own."),
    "parameters": ("measuring", "List every parameter with definition, sign, unit and source."),
    "decoders": ("measuring", "List the DICOM transfer syntaxes this installation reads."),
    "read3d": ("measuring", "Read 3D reconstructions and list the parameters that can be computed from them."),
    "cohort": ("cohort", "Write virtual patients as DICOM and reconstruction files."),
    "adopt": ("training", "Copy a candidate that was trained on another machine into a workspace."),
    "release": ("training", "Write an evaluated candidate and its model card to a folder."),
    "train": ("training", "Train on labelled studies, from the bundled model or another model."),
    "seeds": ("seeds", "Fit the recipe with several seeds and print the spread of the results."),
    "verdict": ("verdicts", "Print the latest verdict as a table."),
    "explain": ("verdicts", "Explain a verdict."),
    "review": ("verdicts", "Write the report on the judged candidate."),
    "plan": ("planning", "Write the change control plan: what retraining may change by itself."),
    "promote": ("verdicts", "Promote the judged candidate, after verifying its evidence again."),
    "approve": ("registry", "Approve a verdict, as somebody other than the candidate's author."),
    "reject": ("registry", "Reject the model of a verdict for good."),
    "champion": ("registry", "Show challenger, champion and previous champion."),
    "history": ("registry", "Show, verify or repair the history of promotions."),
    "rollback": ("registry", "Return to the previous good model."),
    "reinstate": ("registry", "Permit a denied or rejected model to go into service again."),
    "status": ("status", "Show services, runs, champion and disk use of a workspace on one screen."),
    "backup": ("operations", "Write a workspace into an archive."),
    "restore": ("operations", "Restore a workspace from an archive, and verify it."),
    "clean": ("operations", "Remove what no model and no record needs."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported at first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"orchestration.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="plumbline")
def plumbline() -> None:
    """Find the spine on biplanar radiographs, measure its alignment, and decide which model may do this.

    \b
    Start here:   plumbline demo
    Then:         plumbline measure FRONTAL.dcm LATERAL.dcm --overlay overlay.png
    Settings:     plumbline params lists what --set and params.yaml accept
    Exit codes:   0 done, 1 failed, 2 wrong usage, 3 refused (gate, evidence, altered model), 4 busy, 130 interrupted
    """


def main() -> None:
    """Run the command group, and turn errors into messages and exit codes."""
    apply_quiet_environment()
    end_soon_after_sigterm()
    logging.getLogger("plumbline.alerts").addHandler(logging.NullHandler())  # the command prints the same
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may have bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = plumbline(standalone_mode=False)
        if isinstance(status, int):  # click returns the status of ``Exit`` instead of raising it
            sys.exit(status)
    except click.ClickException as error:
        error.show()
        sys.exit(2 if isinstance(error, click.UsageError) else error.exit_code)
    except PlumblineError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; finished work is kept. Run the command again to continue", err=True)
        sys.exit(130)
    except OSError as error:
        _print_error(describe_system_error(error))
        sys.exit(1)


def _print_error(text: str) -> None:
    click.secho(f"plumbline: {printable(text)}", fg="red", err=True)


if __name__ == "__main__":
    main()
