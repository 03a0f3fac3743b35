"""The subcommand ``plan``: writes the predetermined change control plan of a workspace's policy."""

from pathlib import Path

import click

from orchestration.cli.options import workspace_option
from orchestration.cli.terminal import output, print_text
from orchestration.pipeline.params import Params, existing_workspace, read_params
from orchestration.pipeline.policies import workspace_policy
from spine.storage import write_text_atomically
from training.config import config_to_json
from training.journal import flattened
from validation.review.change_plan import change_plan, planned_parameters
from validation.review.change_plan_text import plan_json, plan_markdown


@click.command()
@workspace_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [state/change_plan]")
def plan(workspace: Path, out: Path | None) -> None:
    """Write the predetermined change control plan: what retraining may change by itself, by which tests and limits.

    The plan follows from the policy that judges the workspace's candidates. It is written as change_plan.md and
    change_plan.json. A candidate outside the plan needs a person's approval, and its verdict says so.

    \b
    Example:  plumbline plan -w workspace/demo
    """
    chosen = existing_workspace(workspace)
    params = read_params(chosen.params_file)
    policy, folder = workspace_policy(params, chosen), out or chosen.change_plan
    made = change_plan(policy, facts_of_data(params))
    for name, text in (("change_plan.md", plan_markdown(made)), ("change_plan.json", plan_json(made))):
        write_text_atomically(folder / name, text)
        output.print(str(folder / name))
    print_text(f"policy {policy.name} version {policy.version}: {len(made.limits) + len(made.comparisons)} tests")
    if policy.change_control is None:
        print_text("the policy has no section change_control: no candidate is held for what was changed")
    outside = planned_parameters(policy, flattened(config_to_json(params.training_config)))
    outside += sources_outside(params, policy.change_control.sources) if policy.change_control else []
    if outside:
        print_text("params.yaml is outside the plan, so its next candidate needs an approval:")
        print_text("\n".join(f"- {line}" for line in outside))


def facts_of_data(params: Params) -> dict[str, str]:
    """The facts of the workspace's data for the plan: name -> text."""
    split, checks = params.dataset, params.validation
    return {
        "source of the studies": params.source.kind,
        "landmark set": split.landmark_set,
        "frozen test set": f"{split.test_patients} patients, split by patient; no training uses them",
        "checks of the data": f"expectations {checks.profile}; what happens to a bad study: {checks.on_bad_study}",
        "new studies that start a retraining": str(params.retrain.minimum_new_studies),
    }


def sources_outside(params: Params, permitted: list[str]) -> list[str]:
    """The workspace's source of studies, if the plan does not permit it."""
    if params.source.kind in permitted:
        return []
    return [f"source.kind is {params.source.kind}; the plan permits {', '.join(permitted)}"]
