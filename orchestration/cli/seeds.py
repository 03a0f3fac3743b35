"""The subcommand ``seeds``: compares the differences between seeds alone with the policy's margins."""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import errors, output, print_table, print_text, progress_bar
from orchestration.lifecycle.seed_fits import measure_seeds
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import read_params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from validation.gates.seed_spread import describe_few_fits, spread_rows, spread_tables


@click.command()
@workspace_option
@click.option("--seeds", "listed", default="", metavar="N,N,...", help="The seeds.")
@click.option("--count", type=click.IntRange(min=2), help="Number of seeds; the first seed is training.seed.  [3]")
def seeds(workspace: Path, listed: str, count: int | None) -> None:
    """Fit and evaluate the workspace's recipe with several seeds, and print the spread of the results.

    Every seed is an MLflow run under one parent run. No fit is promoted. Finished seeds are not fitted again. After an
    interruption the same command continues. The gate uses these fits when it judges candidates of the same recipe.

    \b
    Example:  plumbline seeds -w ws --count 4
    """
    chosen = Workspace(workspace)
    params = read_params(chosen.params_file)
    policy = workspace_policy(params, chosen)
    wanted = _wanted(listed, count, params.training.seed)
    with workspace_lock(chosen), progress_bar("seeds") as progress:
        fits = measure_seeds(
            chosen, params, wanted, lambda seed, done: errors.print(f"  seed {seed}: {done}"), progress
        )
    kind = f"{fits.records[0].n_patients} {fits.records[0].patients_are}"
    output.print(f"Seeds {', '.join(map(str, fits.seeds))} of one recipe, {kind}, policy {policy.name}\n")
    rows = spread_rows(policy, fits.records)
    for table in spread_tables(rows):
        print_table(table.title, table.columns, table.rows)
        output.print()
    if few := describe_few_fits(rows):
        print_text(few)
    output.print(f"MLflow: parent run {fits.parent}")


def _wanted(listed: str, count: int | None, first: int) -> list[int]:
    if listed and count:
        raise click.UsageError("give --seeds or --count, not both")
    if not listed:
        return [first + k for k in range(count or 3)]
    try:
        return [int(text) for text in listed.split(",")]
    except ValueError as error:
        raise ParametersRejected(
            "SEEDS_INVALID",
            found=f"--seeds {listed}",
            expected="whole numbers separated by commas",
            remedy="correct --seeds",
        ) from error
