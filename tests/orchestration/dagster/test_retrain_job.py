"""The job ``retrain`` runs for real, in process, over stubbed steps."""

import json
from contextlib import contextmanager

import dagster as dg
import pytest

from orchestration.dagster.instance import open_instance
from orchestration.dagster.run import run_retrain
from orchestration.pipeline.lock import WorkspaceBusy, workspace_lock
from orchestration.pipeline.params import Params, Source, write_params
from spine.errors import GateRefused, InputRejected

pytestmark = pytest.mark.slow

VERSIONED = ["cohort", "studies", "landmarks", "dataset", "validation", "candidate", "evaluation"]
DECISION = ["registered_candidate", "champion_evaluation", "verdict", "champion"]


def test_everything_runs_once_in_order_promotes_and_leaves_the_terminal_to_the_caller(workspace, stubs, capfd):
    seen, progress = [], []

    @contextmanager
    def bar(step):
        progress.append((step, "opened"))
        yield lambda done, total: progress.append((step, done, total))
        progress.append((step, "closed"))

    outcome = run_retrain(workspace, seen.append, bar)
    assert outcome.promoted
    assert (outcome.refused, outcome.failed_step, outcome.code, outcome.reason) == (False, None, None, "")
    assert sorted(stubs.calls) == sorted(VERSIONED + DECISION)
    assert [name for name in stubs.calls if name in VERSIONED] == VERSIONED
    steps = [report.step for report in seen]
    assert [step for step in steps if step != "drift"] == stubs.calls
    assert steps.index("studies") < steps.index("drift") < steps.index("dataset")
    assert stubs.calls[-1] == "champion"
    assert json.loads((workspace.state / "champion.json").read_text())["promoter"] == f"dagster run {outcome.run_id}"
    assert [e[1:] for e in progress if e[0] == "landmarks"] == [("opened",), (1, 2), (2, 2), ("closed",)]
    assert tuple(capfd.readouterr()) == ("", "")
    assert "landmarks" in (workspace.dagster_home / "events.log").read_text()


def test_an_invalid_dataset_stops_the_run_before_training_with_the_reason(workspace, stubs):
    stubs.valid = False
    stubs.figures["validation"] = {"expectations": 31, "failed": 1, "outcome": "FAILED"}
    outcome = run_retrain(workspace, lambda report: None)
    assert not outcome.promoted
    assert not outcome.refused
    assert (outcome.failed_step, outcome.code) == ("validation", "DATASET_IS_VALID")
    assert "1 of 31 expectations failed" in outcome.reason
    assert "study 7" in outcome.reason
    assert not {"candidate", "evaluation", "verdict", "champion"} & set(stubs.calls)


def last_run(workspace) -> tuple[dg.DagsterRunStatus, list[str]]:
    """The status of the latest run, and its observations of the asset ``champion``."""
    with open_instance(workspace) as instance:
        run = instance.get_runs(limit=1)[0]
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION)
        return run.status, [str(e.asset_observation.description) for e in events if e.asset_observation]


@pytest.mark.parametrize("decision", ["HOLD", "REJECT", "INSUFFICIENT"])
def test_a_refusal_is_a_successful_run_that_skips_the_champion_with_reasons(workspace, stubs, decision):
    stubs.decision = decision
    outcome = run_retrain(workspace, lambda report: None)
    status, observed = last_run(workspace)
    assert status == dg.DagsterRunStatus.SUCCESS
    assert len(observed) == 1 and observed[0].startswith(f"skipped: VERDICT_{decision}: found no passing verdict")
    assert not workspace.champion_record.exists() and "champion" not in outcome.reports
    assert outcome.refused
    assert outcome.verdict_reached
    assert outcome.code == decision
    assert "the paper's level" in outcome.reason
    assert "9 deg, must be at most 4 deg" in outcome.reason


def test_a_missing_approval_skips_the_champion_too(workspace, stubs):
    stubs.refusal = GateRefused("APPROVAL_MISSING", found="no approval", expected="one", remedy="ask a person")
    outcome = run_retrain(workspace, lambda report: None)
    assert (outcome.failed_step, outcome.code, outcome.refused) == ("champion", "APPROVAL_MISSING", True)
    assert last_run(workspace)[0] == dg.DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("decision", ["PROMOTE", "HOLD"])
def test_a_fault_of_the_promotion_is_a_failed_run(workspace, stubs, decision):
    stubs.decision = decision
    stubs.refusal = GateRefused("POLICY_CHANGED", found="another policy", expected="ours", remedy="judge again")
    outcome = run_retrain(workspace, lambda report: None)
    assert (outcome.failed_step, outcome.code) == ("champion", "POLICY_CHANGED")
    assert last_run(workspace) == (dg.DagsterRunStatus.FAILURE, [])


def test_a_failed_step_is_reported_with_code_and_reason(workspace, stubs):
    stubs.raises["landmarks"] = InputRejected("X_MISSING", found="no x", expected="an x", remedy="bring one")
    outcome = run_retrain(workspace, lambda report: None)
    assert (outcome.failed_step, outcome.code) == ("landmarks", "X_MISSING")
    assert outcome.reason == "X_MISSING: found no x; expected an x; bring one"
    assert not outcome.verdict_reached
    assert not outcome.refused
    assert "dataset" not in stubs.calls


def test_a_bug_is_a_failure_too_and_the_next_run_works(workspace, stubs):
    stubs.raises["dataset"] = ZeroDivisionError("division by zero")
    outcome = run_retrain(workspace, lambda report: None)
    assert (outcome.failed_step, outcome.code) == ("dataset", "ZeroDivisionError")
    assert outcome.reason == "ZeroDivisionError: division by zero"
    stubs.raises.clear()
    assert run_retrain(workspace, lambda report: None).promoted


def test_interrupt_reaches_the_caller(workspace, stubs):
    stubs.raises["dataset"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_retrain(workspace, lambda report: None)
    assert "validation" not in stubs.calls
    with open_instance(workspace) as instance:
        assert instance.get_runs()[0].status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def test_a_second_writer_is_refused(workspace, stubs):
    with workspace_lock(workspace), pytest.raises(WorkspaceBusy, match="RUN_IN_PROGRESS"):
        run_retrain(workspace, lambda report: None)
    assert stubs.calls == []


def test_real_source_needs_no_cohort(workspace, stubs):
    write_params(Params(source=Source(kind="folder", location="/nowhere")), workspace.params_file)
    outcome = run_retrain(workspace, lambda report: None)
    assert outcome.promoted
    assert "cohort" not in stubs.calls
    assert outcome.reports["cohort"].figures == {"not needed": "the source is 'folder'"}
