"""What MLflow's table of runs shows: the short name of a run, and a saved view with the decision and the six errors.

Contract: the table shows the whole name in the saved view, in a window of 1280 pixels. The saved view is written once,
so that a change by a person stays.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spine.measurement.registry import COMPARED_PARAMETERS
from training.config import TrainingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "decisions"
"""The name of the view in an address: ``viewStateShareKey=decisions``."""

VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""MLflow 3.17 stores a saved view of the runs in a tag of the experiment."""

_DECISION = ": "
"""What separates the decision from the rest of a run's name."""

_NAME, _CREATED = "attributes.`Run Name`", "runDateAndNestInfo"
_WIDTHS = {_NAME: 326, _CREATED: 122, "duration": 80}
_ERROR_WIDTH, _OTHER_WIDTH = 78, 120


def run_name(finished: datetime, data_version: str, config: TrainingConfig) -> str:
    """Date of the fit, short data version, and what differs: the rate, the start, and a seed that is not the usual one.

    The decision is added later. The data version stands for the patients.
    """
    start = Path(config.init_from).name if config.init_from else "scratch"
    usual = TrainingConfig.__dataclass_fields__["seed"].default
    seed = "" if config.seed == usual else f" seed {config.seed}"
    data = data_version.removeprefix("md5:")[:6]
    return f"{finished:%m-%d %H:%M} {data} lr {_short(config.learning_rate)} {start}{seed}"


def _short(rate: float) -> str:
    """A learning rate such as ``1e-4`` or ``1.5e-3``."""
    digits, exponent = f"{rate:e}".split("e")
    return f"{float(digits):.3g}e{int(exponent)}"


def named_with(name: str, decision: str) -> str:
    """The name of a run with the decision at its end, in the place of an earlier one."""
    return f"{name.partition(_DECISION)[0]}{_DECISION}{decision}"


def save_view(client: "MlflowClient", experiment_id: str) -> None:
    """Write the saved view "Decision and six errors" to the experiment, if the experiment does not have it."""
    if VIEW_TAG not in client.get_experiment(experiment_id).tags:
        view = {"name": "Decision and six errors", "createdAt": 0, "state": json.dumps(_columns())}
        client.set_experiment_tag(experiment_id, VIEW_TAG, json.dumps(view))


def _columns() -> dict[str, object]:
    """The columns of the view in the form of MLflow's page: which are shown, their order and their widths."""
    errors = [f"metrics.`test/{name}/mae`" for name in COMPARED_PARAMETERS]
    others = ["tags.`plumbline.decision`", "params.`learning_rate`"]
    widths = {**_WIDTHS, **dict.fromkeys(errors, _ERROR_WIDTH), **dict.fromkeys(others, _OTHER_WIDTH)}
    order = [_NAME, _CREATED, *errors, *others, "duration"]
    return {"selectedColumns": [*errors, *others], "columnOrder": order, "columnWidths": widths}
