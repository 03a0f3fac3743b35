"""The pipeline end to end: rendered patients, a trained network, MLflow, DVC, the gate and its refusals.

The tests share one workspace, because a run is expensive. They are in the order of a model's life, and each restores
what it changes unless a later test needs the change.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import open_instance
from orchestration.dagster.jobs import PROMOTION
from orchestration.dagster.resources import resources_for
from orchestration.dagster.run import run_retrain
from orchestration.lifecycle.backup import restore_backup, write_backup
from orchestration.lifecycle.history import verify_workspace
from orchestration.lifecycle.judging import judge_candidate, rescore_champion
from orchestration.lifecycle.local_champion import local_champion, open_champion
from orchestration.lifecycle.promotion import promote_champion
from orchestration.lifecycle.registration import register_candidate
from orchestration.pipeline.cache import CACHE, files_of
from orchestration.pipeline.intake import finished_batches, ingest_batch
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import FORMAT, read_params
from orchestration.pipeline.stages import STAGE_NAMES
from orchestration.pipeline.steps import adopt_candidate, compute_step, run_step
from orchestration.pipeline.versioning import data_version, is_up_to_date
from orchestration.pipeline.workspace import Workspace
from orchestration.services.cleaning import clean
from orchestration.tracking.registry import history_state
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import example_to_json, read_manifest
from spine.errors import GateRefused, ParametersRejected, PlumblineError
from spine.measurement.registry import COMPARED_PARAMETERS, PARAMETERS
from spine.scanner import NATIVE_SPACING_MM
from tests.pipeline.conftest import FinishedRun, loosened_policy
from validation.evaluation.record import read_record
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import read_verdict
from validation.registry.client import open_registry, versions_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_every_step_ran_and_the_count_adds_up(finished: FinishedRun):
    assert set(STAGE_NAMES) < set(finished.outcome.reports)
    studies: Any = finished.outcome.reports["studies"].figures
    assert studies["received"] == 36 == studies["used"] + studies["already present"] + studies["quarantined"]
    manifest = read_manifest(finished.workspace.dataset)
    patients = [{e.patient for e in manifest.in_split(s)} for s in ("train", "validation", "test")]
    assert len(patients[2]) == 8
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])


def test_the_first_model_is_promoted_under_a_policy_it_keeps(finished: FinishedRun):
    verdict = read_verdict(finished.workspace.verdict_file)
    assert finished.outcome.promoted, f"{finished.outcome.code}: {verdict.refusals}"
    champion = history_state(finished.workspace).champion
    assert verdict.decision == "PROMOTE"
    assert champion.digest == verdict.challenger_model == local_champion(finished.workspace).digest
    (version,) = versions_of(open_registry(finished.workspace.tracking_uri), PRODUCTION_MODEL)
    assert (str(version.version), version.tags["plumbline.simulated"]) == (champion.version, "true")


def test_mlflow_holds_the_run_once_with_its_lineage(finished: FinishedRun):
    client = open_registry(finished.workspace.tracking_uri)
    (version,) = versions_of(client, CANDIDATES_MODEL)
    run = client.get_run(version.run_id)
    record = read_record(finished.workspace.evaluation / "record.json")
    assert run.info.status == "FINISHED"
    assert run.data.tags["plumbline.model_digest"] == record.model_digest
    assert "git.commit" in run.data.tags
    assert run.data.metrics["test/pelvic_tilt/mae"] == record.statistics["pelvic_tilt"].figures["mae"].value
    assert len(run.data.metrics) <= 40 and run.info.run_name.endswith(": PROMOTE")
    assert any("dvc" in key for key in {**run.data.tags, **run.data.params}) or run.inputs.dataset_inputs
    digests = {t.value: i.dataset.digest for i in run.inputs.dataset_inputs for t in i.tags if "context" in t.key}
    assert digests == {"training": record.dataset_digest[:36], "testing": record.test_digest[:36]}
    assert {a.path for a in client.list_artifacts(run.info.run_id)} >= {"evaluation", "report", "data"}
    register_candidate(finished.workspace, read_params(finished.workspace.params_file))
    assert len(versions_of(client, CANDIDATES_MODEL)) == 1, "registering twice must not log twice"
    runs = [r for e in client.search_experiments() for r in client.search_runs([e.experiment_id])]
    assert {r.info.status for r in runs} == {"FINISHED"}, "no run is left running"


def test_dagster_keeps_figures_images_versions_and_links(finished: FinishedRun):
    with open_instance(finished.workspace) as instance:
        kept: dict[str, Any] = {
            name: instance.get_latest_materialization_event(dg.AssetKey(name)).asset_materialization
            for name in (*STAGE_NAMES, "registered_candidate", "verdict")
        }
    assert kept["studies"].metadata["received"].value == 36
    assert [r.data["condition"] for r in kept["cohort"].metadata["conditions"].records].count("healthy adult") == 1
    errors = [record.data for record in kept["evaluation"].metadata["errors"].records]
    assert [e["parameter"] for e in errors] == [PARAMETERS[name].label for name in COMPARED_PARAMETERS]
    assert {e["standard error"].rpartition(" ")[2] for e in errors} <= {"deg", "absent"}
    assert kept["evaluation"].metadata["image: worst"].value.startswith("![worst](data:image/png;base64,")
    assert kept["registered_candidate"].metadata["MLflow run"].value.startswith("/mlflow/experiments/")
    versions = {name: (kept[name].tags or {}).get("dagster/data_version", "") for name in STAGE_NAMES}
    assert all(version.startswith("md5:") for version in versions.values()), versions


def test_dagster_and_dvc_do_not_compute_anything_twice(finished: FinishedRun):
    assert all(is_up_to_date(finished.workspace, name) for name in STAGE_NAMES)
    again = run_step("dataset", finished.workspace)
    assert again.skipped
    assert again.figures == finished.outcome.reports["dataset"].figures
    dvc = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=finished.workspace.root, capture_output=True, text=True, check=True
    )
    assert dvc.stdout.count("didn't change, skipping") == len(STAGE_NAMES), dvc.stdout
    assert data_version(finished.workspace).startswith("md5:")


def test_a_second_run_computes_nothing_again_and_the_default_policy_refuses_with_reasons(finished: FinishedRun):
    """The same model under stricter limits: the run ends at the gate, and so does a promotion launched alone."""
    kept = finished.workspace.params_file.read_text()
    finished.workspace.params_file.write_text(kept.replace("policy: loose.yaml", "policy: default"))
    try:
        second = run_retrain(finished.workspace, on_step=lambda report: None)
        assert second.refused and second.verdict_reached, second.reason
        assert second.code in {"REJECT", "INSUFFICIENT"}
        assert "TOO_FEW_PATIENTS" in second.reason
        assert [name for name in STAGE_NAMES if not second.reports[name].skipped] == []
        assert refusal_of_promotion_alone(finished.workspace) == f"VERDICT_{second.code}"
        with open_instance(finished.workspace) as instance:
            champion = instance.get_latest_materialization_event(dg.AssetKey("champion"))
        assert champion.run_id == finished.outcome.run_id, "no later run promoted"
    finally:
        finished.workspace.params_file.write_text(kept)


def refusal_of_promotion_alone(workspace: Workspace) -> str:
    """Launch ``champion`` alone in Dagster; the code of its refusal."""
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(PROMOTION)
    with open_instance(workspace, in_process=True) as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    failure = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    return str(failure.user_failure_data.metadata["code"].value)


def test_what_dvc_ran_is_not_run_again(finished: FinishedRun, tmp_path):
    """`dvc repro` runs a changed stage through the command line, and the pipeline then finds it up to date."""
    params = finished.workspace.params_file
    kept = params.read_text()
    params.write_text(kept.replace("on_bad_study: stop", "on_bad_study: exclude"))
    try:
        assert not is_up_to_date(finished.workspace, "validation")
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        command = [sys.executable, "-m", "dvc", "repro", "-s", "validation"]
        environment = {"PATH": path, "DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path)}
        subprocess.run(command, cwd=finished.workspace.root, env=environment, capture_output=True, check=True)
        assert run_step("validation", finished.workspace).skipped
    finally:
        params.write_text(kept)
        compute_step("validation", finished.workspace)


def test_measure_writes_json_and_overlay_without_torch(finished: FinishedRun, tmp_path):
    case = sorted(m.parent for m in finished.workspace.drop.glob("*/COMPLETE"))[0]
    code = (
        "import sys; from orchestration.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert not {'torch', 'mlflow', 'dagster', 'lightning'} & set(sys.modules), 'heavy import'"
    )
    arguments = ["measure", str(case / "frontal.dcm"), str(case / "lateral.dcm"), "-w", str(finished.workspace.root)]
    outputs = ["--overlay", str(tmp_path / "o.png"), "--out", str(tmp_path / "m.json")]
    done = subprocess.run([sys.executable, "-c", code, *arguments, *outputs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "m.json").read_text())
    assert (tmp_path / "o.png").stat().st_size > 10_000
    assert "pelvic_tilt" in json.dumps(report)
    command = [sys.executable, "-c", code, "measure", str(case / "frontal.dcm"), *arguments[3:], *outputs]
    alone = subprocess.run(command, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    assert "needs a lateral view" in (tmp_path / "m.json").read_text()


def test_a_candidate_trained_elsewhere_is_adopted(finished: FinishedRun, tmp_path):
    """A copy of the fit, as from a GPU machine, is adopted and not trained again."""
    before = (finished.workspace.candidate / "candidate.json").read_text()
    elsewhere = shutil.copytree(finished.workspace.candidate, tmp_path / "gpu")
    (elsewhere / "candidate.json").unlink()  # the export was deferred there
    adopt_candidate(finished.workspace, elsewhere)
    assert json.loads((finished.workspace.candidate / "candidate.json").read_text()) == json.loads(before)
    assert run_step("candidate", finished.workspace).skipped
    assert run_step("evaluation", finished.workspace).skipped
    record = json.loads((elsewhere / "fitted.json").read_text()) | {"dataset_digest": "0" * 64}
    (elsewhere / "fitted.json").write_text(json.dumps(record))
    with pytest.raises(PlumblineError, match="DATASET_DIFFERS"):
        adopt_candidate(finished.workspace, elsewhere)


def test_an_equal_challenger_does_not_replace_the_champion(finished: FinishedRun):
    """The same model again: the champion is re-scored on the same test set, and a tie is HOLD, not PROMOTE."""
    params = read_params(finished.workspace.params_file)
    report = rescore_champion(finished.workspace, params)
    assert report.figures["model"] == finished.outcome.reports["evaluation"].figures["model"]
    reads = finished.workspace.test_set_ledger.read_text()
    assert rescore_champion(finished.workspace, params) == replace(report, skipped=True)
    assert finished.workspace.test_set_ledger.read_text() == reads, "a record of the same model is used again"
    verdict = judge_candidate(finished.workspace, params)
    assert verdict.figures["decision"] == "HOLD", read_verdict(finished.workspace.verdict_file).refusals
    with pytest.raises(GateRefused, match="VERDICT_HOLD"):
        promote_champion(finished.workspace, params, "test")


def test_the_records_seal_how_both_models_were_made(finished: FinishedRun):
    """The champion's facts come from the record that was made when it was a candidate, so change control compares."""
    ours = read_record(finished.workspace.evaluation / "record.json").model_facts
    theirs = read_record(finished.workspace.champion_evaluation / "record.json").model_facts
    assert ours is not None and ours == theirs
    assert (ours.landmark_set, len(ours.landmarks), ours.input_shape) == ("galbusera39", 39, (128, 64))
    train = read_manifest(finished.workspace.dataset).in_split("train")
    assert ours.training is not None and ours.training.sources == ("virtual",)
    assert ours.training.patients == tuple(sorted({e.patient for e in train}))
    assert ours.training.parameters["learning_rate"] == "0.002"
    verdict = read_verdict(finished.workspace.verdict_file)
    assert {r.code for r in verdict.results if r.kind == "change"} == {"INSIDE_CHANGE_PLAN"}


def test_an_altered_champion_does_not_measure(finished: FinishedRun):
    graph = finished.workspace.champion / "model.onnx"
    bytes_before = graph.read_bytes()
    graph.chmod(0o644)
    graph.write_bytes(bytes_before + b"\0")
    try:
        with pytest.raises(PlumblineError, match="MODEL_ALTERED"):
            open_champion(finished.workspace)
    finally:
        graph.write_bytes(bytes_before)
    assert open_champion(finished.workspace).digest == local_champion(finished.workspace).digest


def test_an_edited_test_image_stops_the_evaluation(finished: FinishedRun):
    """One pixel of the frozen test set was changed, so nothing is evaluated."""
    manifest = read_manifest(finished.workspace.dataset)
    view = next(iter(manifest.in_split("test")[0].views.values()))
    path = finished.workspace.dataset / view.image
    before = path.read_bytes()
    image = np.load(path)
    image[0, 0] ^= 1
    path.unlink()  # it may be a hard link into the store
    np.save(path, image)
    try:
        with pytest.raises(PlumblineError):
            compute_step("evaluation", finished.workspace)
    finally:
        path.unlink()
        path.write_bytes(before)


def test_new_data_grow_the_set_and_leave_the_frozen_test_alone(finished: FinishedRun):
    """A batch copied into the inbox is taken in once; the next dataset has it, and the same test digest."""
    before = read_manifest(finished.workspace.dataset)
    config = CohortConfig(count=3, seed=78, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15)
    write_cohort(finished.workspace.inbox / "monday", config)
    (batch,) = finished_batches(finished.workspace)
    report = ingest_batch(finished.workspace, batch.key)
    assert report.figures["used"] == 3
    assert ingest_batch(finished.workspace, batch.key).skipped
    for name in ("studies", "landmarks", "dataset"):
        run_step(name, finished.workspace)
    after = read_manifest(finished.workspace.dataset)
    assert after.count() == before.count() + 3
    assert after.test_digest == before.test_digest
    assert after.digest != before.digest


def test_a_restored_and_moved_workspace_has_champion_history_runs_and_versions(finished: FinishedRun, tmp_path):
    write_backup(finished.workspace, tmp_path / "backup.tar")
    there = Workspace(tmp_path / "there")
    restore_backup(tmp_path / "backup.tar", there)
    assert verify_workspace(there) == []
    moved = Workspace(there.root.rename(tmp_path / "moved"))
    assert verify_workspace(moved) == []
    assert open_champion(moved).digest == open_champion(finished.workspace).digest
    client = open_registry(moved.tracking_uri)
    (version,) = versions_of(client, CANDIDATES_MODEL)
    assert {a.path for a in client.list_artifacts(version.run_id)} >= {"evaluation", "report"}
    for name in STAGE_NAMES:
        assert is_up_to_date(moved, name) == is_up_to_date(finished.workspace, name), name
    assert is_up_to_date(moved, "dataset")


def test_no_step_writes_into_the_cache_through_a_link(finished: FinishedRun):
    """The steps have run several times by now, with other parameters and data."""
    cached = [path for path in (finished.workspace.root / CACHE).rglob("*") if path.is_file()]
    names = {(path.parent.name + path.name).removesuffix(".dir") for path in cached}
    assert {hashlib.md5(path.read_bytes()).hexdigest() for path in cached} == names and len(names) > 50


def test_cleaning_keeps_what_champion_and_record_need(finished: FinishedRun):
    """The dataset has grown since the champion was trained, so the champion's version is only in the cache."""
    record = read_record(finished.workspace.evaluation / "record.json")
    assert record.dvc_version and record.dvc_version != data_version(finished.workspace)
    needed = files_of(finished.workspace, [record.dvc_version])
    removed = clean(finished.workspace, 0, dry_run=False)
    assert {leftover.kind for leftover in removed} >= {"files in DVC's cache", "Dagster runs"}
    assert len(needed) > 50 and all(path.exists() for path in needed)
    assert verify_workspace(finished.workspace) == []
    assert is_up_to_date(finished.workspace, "dataset")


def test_params_and_data_are_enough_to_make_a_workspace_of_an_older_format_anew(finished: FinishedRun, tmp_path):
    old, new = finished.workspace, Workspace(tmp_path / "new")
    shutil.copytree(old.data, new.data)
    shutil.rmtree(new.landmarks)
    shutil.rmtree(new.dataset)
    for name in ("params.yaml", "loose.yaml"):
        shutil.copy(old.root / name, new.root / name)
    text = new.params_file.read_text()
    new.params_file.write_text(text.replace(f"format: {FORMAT}", f"format: {FORMAT - 1}"))
    with pytest.raises(ParametersRejected, match=r"WORKSPACE_FORMAT.*copy params\.yaml, data/"):
        prepare_workspace(new, None, None, ())
    new.params_file.write_text(text)
    prepare_workspace(new, None, None, ())
    outcome = run_retrain(new, on_step=lambda report: None)
    assert outcome.verdict_reached, outcome.reason
    assert _examples_without_split(new) == _examples_without_split(old), (
        "the test set is drawn again, from all patients"
    )
    assert outcome.reports["studies"].figures["used"] == 0, "the studies are the copied ones"


def _examples_without_split(workspace: Workspace) -> list[dict[str, Any]]:
    examples = sorted(read_manifest(workspace.dataset).examples(), key=lambda example: example.study_id)
    return [example_to_json(replace(example, split="train")) for example in examples]


def test_the_loosened_policy_keeps_its_demands_on_evidence_and_comparison(tmp_path):
    loosened_policy(tmp_path / "loose.yaml")
    loose, default = read_policy(tmp_path / "loose.yaml"), read_policy(DEFAULT_POLICY)
    assert (loose.comparison, loose.evidence) == (default.comparison, default.evidence)
