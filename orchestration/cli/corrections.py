"""The subcommand ``corrections``, which lists the corrected measurements of a workspace.

Contract: names of cases and reviewers are printed for a person, and never written.
"""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_table
from orchestration.pipeline.corrections import ListedCorrection, listed_corrections, waiting_corrections
from orchestration.pipeline.params import existing_workspace, read_params
from orchestration.printable import printable_name
from spine.times import to_the_minute


@click.command()
@workspace_option
def corrections(workspace: Path) -> None:
    """List the measurements that a person accepted, corrected, rejected or annotated, and what became of each.

    The names of cases may identify patients. Treat the output as confidential.

    \b
    Example:  plumbline corrections -w ws
    """
    chosen = existing_workspace(workspace)
    params = read_params(chosen.params_file)
    listed = listed_corrections(chosen)
    if listed:
        print_table(
            "corrections", ("case", "when", "decision", "by", "proposed by", "state"), [_row(c) for c in listed]
        )
    used, waiting = sum(c.used for c in listed), len(waiting_corrections(chosen))
    output.print(
        f"corrections: {len(listed)}, used in the present dataset: {used}, waiting for the next intake: {waiting}"
    )
    output.print(f"a retraining starts at {params.retrain.minimum_new_studies} new studies and corrections")


def _row(correction: ListedCorrection) -> tuple[str, ...]:
    when = to_the_minute(correction.when) if correction.when else ""
    by, proposer = printable_name(correction.who), correction.proposed_by[:12]
    return printable_name(correction.case), when, correction.decision, by, proposer, correction.state
