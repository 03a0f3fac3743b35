"""``retrain`` over the real steps on a tiny cohort: what Dagster keeps of it, and promotion alone."""

import time

import dagster as dg
import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import open_instance
from orchestration.dagster.jobs import PROMOTION
from orchestration.dagster.resources import resources_for
from orchestration.dagster.run import RunOutcome, run_retrain
from orchestration.environment import quiet_environment
from orchestration.pipeline.stages import STAGE_NAMES
from orchestration.pipeline.workspace import Workspace

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

TINY = (
    "cohort.count=26", "cohort.rows=256", "cohort.columns=128", "cohort.downsample=15",
    "dataset.test_patients=5", "dataset.validation_fraction=0.1",
    "training.epochs=1", "training.batch_size=4", "training.input_shape=[128, 64]",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Workspace, RunOutcome]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        made = Workspace(tmp_path_factory.mktemp("real"))
        prepare_workspace(made, "virtual", None, TINY)
        return made, run_retrain(made, lambda report: None)


def launch_promotion(workspace: Workspace) -> str:
    """Launch ``champion`` alone; returns the code of its refusal."""
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(PROMOTION)
    with open_instance(workspace, in_process=True) as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    failure = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    return failure.user_failure_data.metadata["code"].value


def test_promotion_alone_in_an_empty_workspace_refuses(workspace):
    assert launch_promotion(workspace) == "VERDICT_ABSENT"


@pytest.mark.slow
def test_the_gate_refuses_a_hardly_trained_model(tiny):
    _, outcome = tiny
    assert outcome.refused, outcome.reason  # no bug on the way: it ended at the gate
    assert outcome.verdict_reached
    assert outcome.code in {"INSUFFICIENT", "REJECT"}
    assert "TOO_FEW_PATIENTS" in outcome.reason
    assert set(STAGE_NAMES) < set(outcome.reports)


@pytest.mark.slow
def test_dagster_keeps_figures_images_versions_and_links(tiny):
    workspace, _ = tiny
    with open_instance(workspace) as instance:
        kept = {
            name: instance.get_latest_materialization_event(dg.AssetKey(name)).asset_materialization
            for name in (*STAGE_NAMES, "registered_candidate", "verdict")
        }
        assert instance.get_latest_materialization_event(dg.AssetKey("champion")) is None
    assert kept["studies"].metadata["received"].value == 26
    assert kept["evaluation"].metadata["image: worst"].value.startswith("![worst](data:image/png;base64,")
    assert kept["registered_candidate"].metadata["MLflow run"].value.startswith("http://127.0.0.1:5000/#/experiments/")
    versions = {name: (kept[name].tags or {}).get("dagster/data_version", "") for name in STAGE_NAMES}
    assert all(version.startswith("md5:") for version in versions.values()), versions


@pytest.mark.slow
def test_a_second_run_computes_nothing_again(tiny):
    workspace, first = tiny
    started = time.perf_counter()
    second = run_retrain(workspace, lambda report: None)
    assert all(second.reports[name].skipped for name in STAGE_NAMES)
    assert second.code == first.code
    assert time.perf_counter() - started < 60


@pytest.mark.slow
def test_promotion_alone_over_a_refusing_verdict_refuses(tiny):
    workspace, outcome = tiny
    assert launch_promotion(workspace) == f"VERDICT_{outcome.code}"
