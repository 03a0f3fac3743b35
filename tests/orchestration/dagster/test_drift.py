"""Drift in the pipeline: new studies that differ are named in the check, in MLflow and by the sensor."""

from datetime import UTC, datetime

import dagster as dg
import numpy as np
import pytest

from orchestration.alerts import alerts_since
from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.checks import population_is_stable
from orchestration.dagster.resources import WorkspacePaths
from orchestration.dagster.sensors import enough_new_studies
from orchestration.pipeline.drift import compare_with_training, latest_drift
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.drift_history import EXPERIMENT, log_drift, metric_name
from spine.landmarks import LANDMARK_SETS
from spine.projection import write_landmarks
from tests.validation.dataset.constructed_datasets import add_study, spine_points
from validation.dataset.build import DatasetConfig, build_dataset
from validation.registry.client import open_registry

SETTINGS = (
    "validation.second_reader=none",
    "dataset.landmark_set=galbusera39",
    "drift.minimum_studies=8",
    "retrain.on_drift=true",
)


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose dataset has 24 studies; the store gets new studies in each test."""
    made = Workspace(tmp_path / "ws")
    prepare_workspace(made, "virtual", None, SETTINGS)
    random = np.random.default_rng(0)
    for number in range(24):
        add_study(made.studies, number, points=spine_points(curve_mm=random.uniform(-20, 20)))
    write_landmarks(made.studies, made.landmarks, LANDMARK_SETS["galbusera39"])
    config = DatasetConfig(landmark_set="galbusera39", test_patients=4, validation_fraction=0.1)
    build_dataset(made.studies, made.landmarks, made.dataset, config)
    return made


def arrive(workspace, count, curve_mm, width_mm=3.0):
    random = np.random.default_rng(1)
    for number in range(100, 100 + count):
        curve = random.uniform(curve_mm - width_mm, curve_mm + width_mm)
        if not (workspace.studies / f"{number:016x}").exists():
            add_study(workspace.studies, number, points=spine_points(curve_mm=curve))
    return compare_with_training(workspace, read_params(workspace.params_file))


def sensed(workspace):
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        return enough_new_studies(context, paths=WorkspacePaths(root=str(workspace.root)))


def check(workspace):
    return population_is_stable(WorkspacePaths(root=str(workspace.root)))


def test_severe_new_curves_are_drift(workspace):
    report = arrive(workspace, 10, 90.0)
    assert (report.figures["outcome"], report.figures["new studies"]) == ("drifted", 10)
    assert "cobb (deg)" in latest_drift(workspace).drifted
    result = check(workspace)
    assert not result.passed and result.severity == dg.AssetCheckSeverity.WARN
    assert [a.kind for a in alerts_since(workspace, datetime(2026, 1, 1, tzinfo=UTC))] == ["drift"]
    request = sensed(workspace)
    assert isinstance(request, dg.RunRequest) and request.run_key.endswith("+drift")
    assert "cobb (deg)" in (workspace.drift / "report.html").read_text()


def test_drift_asks_for_nothing_once_a_dataset_has_the_new_studies(workspace):
    arrive(workspace, 10, 90.0)
    write_landmarks(workspace.studies, workspace.landmarks, LANDMARK_SETS["galbusera39"])
    config = DatasetConfig(landmark_set="galbusera39", test_patients=4, validation_fraction=0.1)
    build_dataset(workspace.studies, workspace.landmarks, workspace.dataset, config)
    assert latest_drift(workspace).outcome == "drifted"
    assert isinstance(sensed(workspace), dg.SkipReason)


def test_new_studies_like_the_known_ones_are_stable(workspace):
    assert arrive(workspace, 10, 0.0, width_mm=20.0).figures["outcome"] == "stable"
    assert check(workspace).passed
    assert isinstance(sensed(workspace), dg.SkipReason)


def test_few_new_studies_are_not_compared_and_ask_for_nothing(workspace):
    assert arrive(workspace, 3, 90.0).figures["outcome"] == "too few studies"
    assert "too few" in check(workspace).description
    assert isinstance(sensed(workspace), dg.SkipReason)
    assert not log_drift(workspace)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_each_comparison_is_a_step_of_one_run_in_mlflow(workspace):
    client = open_registry(workspace.tracking_uri, make=True)
    for count in (10, 14):
        arrive(workspace, count, 90.0)
        assert log_drift(workspace)
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    history = client.get_metric_history(run.info.run_id, f"distance/{metric_name('cobb (deg)')}")
    assert [m.step for m in history] == [1, 2]
    assert all(0.5 < m.value <= 1 for m in history)


def test_a_registry_that_is_down_is_no_failure(workspace, monkeypatch):
    arrive(workspace, 10, 90.0)
    monkeypatch.setattr("orchestration.tracking.drift_history.open_registry", lambda _: 1 / 0)
    assert not log_drift(workspace)
