"""A blocking check blocks its own run only, so ``champion`` refuses by itself when launched alone (G4, G5)."""

import dagster as dg
import pytest

from orchestration.dagster.assets.promotion import champion, verdict
from orchestration.dagster.checks import gate_promotes
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.jobs import PROMOTION
from orchestration.dagster.resources import resources_for
from orchestration.dagster.run import run_retrain


def launch_promotion(workspace, instance):
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(PROMOTION)
    return job.execute_in_process(instance=instance, raise_on_error=False)


def failure_of(result):
    return next(e.step_failure_data for e in result.all_events if e.is_step_failure)


def test_absent_verdict_refuses(workspace, instance):
    result = launch_promotion(workspace, instance)
    assert not result.success
    assert failure_of(result).user_failure_data.metadata["code"].value == "VERDICT_ABSENT"
    assert not workspace.champion_record.exists()


@pytest.mark.parametrize("decision", ["HOLD", "REJECT", "INSUFFICIENT"])
def test_refusing_verdict_of_another_run_refuses(workspace, stubs, instance, decision, write_stub):
    write_stub(workspace.verdict_file, decision)
    result = launch_promotion(workspace, instance)
    assert not result.success
    shown = failure_of(result).user_failure_data
    assert shown.metadata["code"].value == f"VERDICT_{decision}"
    assert shown.metadata["remedy"].value == "explain"
    assert not workspace.champion_record.exists()


def test_materialising_the_asset_alone_is_the_same_thing(workspace, stubs, instance, write_stub):
    write_stub(workspace.verdict_file, "REJECT")
    resources = resources_for(str(workspace.root))
    assert not dg.materialize([champion], instance=instance, resources=resources, raise_on_error=False).success


def test_passing_verdict_promotes(workspace, stubs, instance, write_stub):
    write_stub(workspace.verdict_file, "PROMOTE")
    assert launch_promotion(workspace, instance).success
    assert workspace.champion_record.exists()


def test_a_forged_check_changes_nothing(workspace, stubs, instance, write_stub):
    """Anyone who reaches the web server can report a passing check; promotion does not look at it."""
    write_stub(workspace.verdict_file, "REJECT")
    forged = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("verdict"), check_name="gate_promotes", passed=True, metadata={}, blocking=True
    )
    instance.report_runless_asset_event(forged)
    assert not launch_promotion(workspace, instance).success


def run_check(workspace, instance):
    assets, selection = [verdict.with_form(None), gate_promotes, champion], dg.AssetSelection.checks(gate_promotes)
    where = {"instance": instance, "resources": resources_for(str(workspace.root))}
    result = dg.materialize(assets, selection=selection, raise_on_error=False, **where)
    return result.get_asset_check_evaluations()[0]


def test_gate_check_without_a_verdict_fails_as_error(workspace, stubs, instance):
    evaluation = run_check(workspace, instance)
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert "EVIDENCE_MISSING" in evaluation.description


def test_gate_check_on_an_edited_verdict_fails(workspace, stubs, instance, write_stub):
    write_stub(workspace.verdict_file, "REJECT")
    text = workspace.verdict_file.read_text()
    workspace.verdict_file.write_text(text.replace('"REJECT"', '"PROMOTE"'))
    evaluation = run_check(workspace, instance)
    assert not evaluation.passed
    assert "EVIDENCE_ALTERED" in evaluation.description


def test_gate_check_that_raises_blocks_too(workspace, stubs, monkeypatch):
    def broken(path):
        raise RuntimeError("cannot read")

    stubs.promote = lambda *_: pytest.fail("promotion was tried")
    monkeypatch.setattr("orchestration.dagster.checks.read_verdict", broken)
    assert not run_retrain(workspace, lambda report: None).promoted


def test_every_gate_exists_is_blocking_and_is_severe():
    graph = definitions_with(resources_for("/nowhere")).resolve_asset_graph()
    specs = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert {"dataset_is_valid", "gate_promotes"} <= {name for name, spec in specs.items() if spec.blocking}
    assert specs["dataset_is_valid"].asset_key == dg.AssetKey("validation")
    assert specs["gate_promotes"].asset_key == dg.AssetKey("verdict")
