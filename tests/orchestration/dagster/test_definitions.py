"""What Dagster loads: names, edges and descriptions. Loading is fast and has no side effects."""

import subprocess
import sys

import dagster as dg
import yaml

from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import WRITER_TAG
from orchestration.dagster.jobs import INGEST_BATCH, PROMOTION, RETRAIN
from orchestration.dagster.resources import resources_for
from orchestration.pipeline.params import Params
from orchestration.pipeline.stages import STAGE_NAMES, dvc_yaml

DEFINITIONS = definitions_with(resources_for("/nowhere"))
GRAPH = DEFINITIONS.resolve_asset_graph()
ASSETS = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}
OUTSIDE_DVC = {"batch", "drift", "registered_candidate", "champion_evaluation", "verdict", "champion"}


def upstream(name: str) -> set[str]:
    return {key.to_user_string() for key in GRAPH.get(dg.AssetKey(name)).parent_keys}


def edges_of_dvc(stages: dict) -> set[tuple[str, str]]:
    made_by = {}
    for name, stage in stages.items():
        for out in stage["outs"]:
            made_by[next(iter(out)) if isinstance(out, dict) else out] = name
    return {(made_by[d], name) for name, stage in stages.items() for d in stage.get("deps", ()) if d in made_by}


def test_dvc_yaml_draws_the_same_graph():
    stages = yaml.safe_load(dvc_yaml(Params()))["stages"]
    assert set(stages) == set(STAGE_NAMES) == ASSETS - OUTSIDE_DVC
    assert edges_of_dvc(stages) == {(up, name) for name in stages for up in upstream(name) & set(stages)}
    assert all(stage["cmd"] == f"plumbline stage {name}" for name, stage in stages.items())


def test_promotion_depends_on_everything_that_was_judged():
    assert upstream("registered_candidate") == {"evaluation"}
    assert upstream("champion_evaluation") == {"dataset", "validation", "evaluation"}
    assert upstream("verdict") == {"evaluation", "champion_evaluation", "registered_candidate"}
    assert upstream("champion") == {"verdict", "registered_candidate"}


def test_every_asset_has_description_owner_group_and_kind():
    for key in GRAPH.get_all_asset_keys():
        node = GRAPH.get(key)
        assert node.description and len(node.description) > 60, key
        assert node.owners and node.group_name in {"data", "model", "gate"} and node.kinds, key
        assert node.code_version == "1"


def test_each_job_selects_its_assets():
    for name, assets in ((RETRAIN, ASSETS - {"batch"}), (PROMOTION, {"champion"}), (INGEST_BATCH, {"batch", "drift"})):
        job = DEFINITIONS.resolve_job_def(name)
        assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == assets
        assert job.tags[WRITER_TAG] == "workspace"
    assert DEFINITIONS.resolve_job_def(INGEST_BATCH).partitions_def.name == "batches"


def test_each_check_belongs_to_the_asset_that_it_guards():
    where = {key.name: key.asset_key.to_user_string() for key in GRAPH.asset_check_keys}
    assert where == {
        "batch_is_usable": "batch",
        "nothing_lost": "studies",
        "population_is_stable": "drift",
        "dataset_is_valid": "validation",
        "retraining_is_recent": "candidate",
        "gate_promotes": "verdict",
    }


def test_schedule_is_weekly_and_sensors_run_without_being_asked():
    schedule = DEFINITIONS.resolve_schedule_def("retrain_weekly")
    assert schedule.cron_schedule == "0 3 * * 1"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for name, job in (("inbox", INGEST_BATCH), ("enough_new_studies", RETRAIN)):
        sensor = DEFINITIONS.resolve_sensor_def(name)
        assert sensor.job_name == job
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_definitions_are_loadable():
    dg.Definitions.validate_loadable(definitions_with(resources_for("/nowhere")))


HEAVY = ("torch", "lightning", "mlflow", "pandas", "great_expectations", "matplotlib", "dvc", "onnxruntime")


def test_loading_imports_nothing_heavy_reads_no_environment_and_makes_no_file(tmp_path):
    code = (
        "import sys, orchestration.dagster.definitions as d; d.defs().resolve_asset_graph();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.rglob("*")) == []
