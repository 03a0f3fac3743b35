"""The names of runs are short and in a fixed order, and the saved view of the runs is written once."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestration.tracking.run_table import VIEW_TAG, named_with, run_name, save_view
from training.config import TrainingConfig

AT = datetime(2026, 11, 30, 14, 5, 59, tzinfo=UTC)

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (TrainingConfig(minutes=1.0, learning_rate=3e-4), "11-30 14:05 21e8c3 lr 3e-4 scratch"),
        (
            TrainingConfig(minutes=1.0, learning_rate=0.0015, init_from="models/bundled"),
            "11-30 14:05 21e8c3 lr 1.5e-3 bundled",
        ),
        (TrainingConfig(minutes=1.0, learning_rate=1e-4, seed=7), "11-30 14:05 21e8c3 lr 1e-4 scratch seed 7"),
    ],
)
def test_a_name_has_date_data_and_what_differs(config: TrainingConfig, name: str) -> None:
    assert run_name(AT, "md5:21e8c3d4e5.dir", config) == name


def test_a_new_decision_replaces_the_earlier_one() -> None:
    name = run_name(AT, "21e8c3d4", TrainingConfig(minutes=1.0, learning_rate=1e-4))
    assert named_with(named_with(name, "HOLD"), "PROMOTE") == f"{name}: PROMOTE"


def test_the_view_shows_decision_and_six_errors_and_keeps_a_persons_change(
    tmp_path: Path, empty_mlflow_database: Path
) -> None:
    shutil.copy(empty_mlflow_database, tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("runs")
    save_view(client, experiment)
    view = json.loads(client.get_experiment(experiment).tags[VIEW_TAG])
    shown = json.loads(view["state"])
    assert len([c for c in shown["selectedColumns"] if c.startswith("metrics.`test/") and c.endswith("/mae`")]) == 6
    assert "tags.`plumbline.decision`" in shown["selectedColumns"]
    assert set(shown["columnOrder"]) == set(shown["columnWidths"]) >= set(shown["selectedColumns"])
    client.set_experiment_tag(experiment, VIEW_TAG, "changed by a person")
    save_view(client, experiment)
    assert client.get_experiment(experiment).tags[VIEW_TAG] == "changed by a person"
