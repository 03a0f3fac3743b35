"""Groups runs that differ only in their seed under one MLflow parent run, which shows their spread.

Contract: the recipe is the dataset and every logged parameter except the seed. A single run has no parent. The parent
has no model and is not evidence.
"""

import hashlib
import json
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECIPE_TAG, KIND_TAG, PARENT_TAG = "plumbline.recipe", "plumbline.kind", "mlflow.parentRunId"
SEEDS = "seeds"
_SPREAD_OF = ("test/", "validation/best_")


def recipe_of(run: Any) -> str:
    """Digest of a run's recipe: the run's parameters without the seed, and the run's dataset."""
    params = {name: value for name, value in run.data.params.items() if name != "seed"}
    payload = json.dumps([sorted(params.items()), run.data.tags.get("plumbline.dataset")])
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


def group_seeds(client: "MlflowClient", run: Any) -> str | None:
    """Put the run under the parent run of its recipe, if it has two or more seeds; return the parent's id or None."""
    recipe, experiment = recipe_of(run), run.info.experiment_id
    client.set_tag(run.info.run_id, RECIPE_TAG, recipe)
    same = client.search_runs([experiment], filter_string=f"tags.`{RECIPE_TAG}` = '{recipe}'")
    children = [r for r in same if r.info.status == "FINISHED" and r.data.tags.get(KIND_TAG) != SEEDS]
    if len({r.data.params.get("seed") for r in children}) < 2:
        return None
    known = [r for r in same if r.data.tags.get(KIND_TAG) == SEEDS]
    parent = known[0] if known else _make_parent(client, experiment, recipe, children)
    parent_id = str(parent.info.run_id)
    for child in children:
        client.set_tag(child.info.run_id, PARENT_TAG, parent_id)
    _log_spread(client, parent, children)
    return parent_id


def _make_parent(client: "MlflowClient", experiment: str, recipe: str, children: Sequence[Any]) -> Any:
    preset = children[0].data.tags.get("plumbline.preset", "candidate")
    tags = {RECIPE_TAG: recipe, KIND_TAG: SEEDS}
    parent = client.create_run(experiment, run_name=f"{preset} seeds {recipe[:8]}", tags=tags)
    if children[0].inputs.dataset_inputs:
        client.log_inputs(parent.info.run_id, children[0].inputs.dataset_inputs)  # all children have one dataset
    client.set_terminated(parent.info.run_id, "FINISHED")
    return parent


def _log_spread(client: "MlflowClient", parent: Any, children: Sequence[Any]) -> None:
    """Log mean and standard deviation over the seeds, for each test figure that all runs have."""
    from mlflow.entities import Metric

    shared = set.intersection(*({n for n in c.data.metrics if n.startswith(_SPREAD_OF)} for c in children))
    figures = {"seeds/count": float(len(children))}
    for name in sorted(shared):
        values = [c.data.metrics[name] for c in children]
        figures |= {f"seeds/{name}/mean": mean(values), f"seeds/{name}/sd": stdev(values)}
    at = max(int(c.info.end_time or c.info.start_time) for c in children)
    new = [Metric(n, v, at, len(children)) for n, v in figures.items() if parent.data.metrics.get(n) != v]
    for start in range(0, len(new), 500):
        client.log_batch(parent.info.run_id, metrics=new[start : start + 500])
    seeds = ", ".join(sorted(str(c.data.params.get("seed")) for c in children))
    note = (
        f"{len(children)} runs that differ only in their seed ({seeds}). `seeds/…/sd` is the standard deviation "
        "between seeds. A smaller difference between two models is not meaningful."
    )
    note += "\n\n| run | decision |\n|---|---|\n"
    rows = sorted((str(c.info.run_name), c.data.tags.get("plumbline.decision", "not judged")) for c in children)
    note += "".join(f"| {name} | {decision} |\n" for name, decision in rows)
    client.set_tag(parent.info.run_id, "mlflow.note.content", note)
