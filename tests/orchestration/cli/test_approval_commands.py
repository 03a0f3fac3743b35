"""The decisions of people (``approve``, ``reject``, ``promote``, ``rollback`` ...), as a person types them."""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.jobs import PROMOTION
from orchestration.dagster.resources import resources_for
from orchestration.lifecycle.baseline import score_baseline
from orchestration.lifecycle.judging import judge_candidate
from orchestration.lifecycle.local_champion import local_champion, open_champion
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import metrics_of_test
from spine.errors import GateRefused
from tests.served_workspace import (
    candidate,
    database_of,
    done,
    execute,
    new_workspace,
    refused,
    typed,
    without_report,
)
from training.tracking import log_evidence
from validation.evaluation.record import read_record
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import read_verdict
from validation.promotion.approval import SignOff
from validation.promotion.decisions import approved
from validation.promotion.history import open_history
from validation.registry.client import open_registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

VIEWER = ("--as", "R. Viewer", "--comment", "looked at the worst twenty")
BOSS = ("--as", "B. Oss", "--comment", "never mind")
PROMOTE = ("promote", "--by", "R. Viewer")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    """A workspace without a model, whose policy always requires an approval."""
    without_report(monkeypatch)
    made = new_workspace(tmp_path / "ws", empty_mlflow_database)
    policy = yaml.safe_load(DEFAULT_POLICY.read_text())
    policy["approval"] = {"required": "always", "ttl_hours": 48.0, "reason": "a person answers for it"}
    (made.root / "approval.yaml").write_text(yaml.safe_dump(policy))
    content = yaml.safe_load(made.params_file.read_text())
    content["gate"]["policy"] = "approval.yaml"
    made.params_file.write_text(yaml.safe_dump(content))
    return made


def test_the_life_of_two_models_as_a_person_types_it(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    refused(workspace, "APPROVAL_MISSING", *PROMOTE)
    asked = f"plumbline approve {verdict[:12]} --as NAME --comment WHY -w {workspace.root}\n"
    for shown in (typed(workspace, "verdict").output, typed(workspace, "explain").output):
        assert "requires an approval before this model may go into service (a person answers for it)" in " ".join(
            shown.split()
        )
        assert asked in shown
    refused(workspace, "SAME_PERSON", "approve", verdict, "--as", "a. trainer", "--comment", "mine")
    assert "with which 0 verdicts of this workspace begin" in refused(
        workspace, "EVIDENCE_MISSING", "approve", "0123456789", *VIEWER
    )
    assert "at least 8 characters" in refused(workspace, "EVIDENCE_MISSING", "approve", verdict[:4], *VIEWER)
    given = done(workspace, "approve", verdict[:12], *VIEWER)
    assert re.search(rf'plumbline promote --approval \w{{12}} --by "R. Viewer" -w {workspace.root}', given)
    assert "approved by R. Viewer" in done(workspace, "verdict")
    shown = done(workspace, "explain")
    assert "; expires " in shown and asked.strip() not in shown
    refused(workspace, "VERDICT_SUPERSEDED", *PROMOTE, "--verdict", "0123")
    done(workspace, *PROMOTE, "--verdict", verdict)
    assert "as version 1 by R. Viewer" in done(workspace, "verdict")
    assert "of version 1" in refused(workspace, "APPROVAL_POINTLESS", "approve", verdict, *VIEWER)
    first = local_champion(workspace)
    assert first is not None and first.version == "1"

    verdict = candidate(workspace, "bb", noise=0.5)
    approval = done(workspace, "approve", verdict, *VIEWER, "--ttl", "2").split("approval ")[1].split(" ")[0]
    done(workspace, *PROMOTE, "--approval", approval)
    shown = done(workspace, "champion")
    assert all(word in shown for word in ("challenger", "plumbline-candidates v2", "plumbline v2", "plumbline v1"))
    assert "verified: 4 events" in done(workspace, "history", "--verify")

    back = done(workspace, "rollback", "--reason", "wrong side in 3 of 40", "--by", "R. Viewer")
    assert "version 1" in back and "is denied" in back
    explained = done(workspace, "explain", str(workspace.verdict_file.with_name(f"{verdict}.json")))
    assert "rolled back on" in explained and "wrong side in 3 of 40; version 1 is in service instead" in explained
    assert open_champion(workspace).digest == first.digest
    assert score_baseline(workspace, first.digest) == "the champion", "a denied model is no baseline"
    refused(workspace, "ROLLBACK_REFUSED", "rollback", "--to", "2", "--reason", "no, back again")

    refused(workspace, "APPROVAL_EMPTY", "reinstate", "2", "--as", " ", "--comment", "no")
    refused(workspace, "SAME_PERSON", "reinstate", "2", "--as", "a. trainer", "--comment", "it is good")
    assert "no longer denied (R. Viewer" in done(workspace, "reinstate", "2", *VIEWER)
    refused(workspace, "NOT_DENIED", "reinstate", "2", *VIEWER)

    # The registry is down. The next command adds the rollback to the history by itself.
    away = database_of(workspace).rename(workspace.state / "away.db")
    done(workspace, "rollback", "--reason", "and this one mirrors", "--local", "--by", "R. Viewer")
    second = open_champion(workspace).digest
    assert second == read_verdict(workspace.verdict_file).challenger_model
    refused(workspace, "ROLLBACK_PENDING", "rollback", "--reason", "once more", "--local")
    away.rename(database_of(workspace))
    assert "ROLLBACK_PENDING" in refused(workspace, "HISTORY_NOT_VERIFIED", "history", "--verify")
    assert open_champion(workspace).digest == second
    assert "plumbline v2" in done(workspace, "champion")
    assert "and this one mirrors (while the registry was down" in done(workspace, "history", "--verify")
    assert open_champion(workspace).digest == second


def test_a_rejected_verdict_stays_rejected(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    done(workspace, "reject", verdict, "--as", "R. Viewer", "--comment", "mirrored spines")
    assert "rejected by R. Viewer" in (shown := typed(workspace, "explain").output) and "mirrored spines" in shown
    refused(workspace, "APPROVAL_REJECTED", "approve", verdict, *BOSS)
    exception = typed(workspace, *PROMOTE).exception
    assert isinstance(exception, GateRefused) and (exception.code, exception.exit_code) == ("APPROVAL_REJECTED", 3)
    # Judged again: another verdict on the same bytes.
    judge_candidate(workspace, read_params(workspace.params_file))
    again = read_verdict(workspace.verdict_file).digest
    assert again != verdict
    for command in (("approve", again, *BOSS), PROMOTE):
        message = refused(workspace, "APPROVAL_REJECTED", *command)
        assert "mirrored spines" in message and verdict[:12] in message
    # The rejection is cut off. Nothing is decided on the rest, and the copy of the history still has the rejection.
    execute(workspace, "DELETE FROM plumbline_events")
    for command in (("approve", again, *BOSS), PROMOTE):
        refused(workspace, "HISTORY_CUT", *command)
    restoring = ("history", "--restore", "--as", "R. Viewer", "--reason", "the disk died")
    assert "the disk died" in done(workspace, *restoring)
    refused(workspace, "APPROVAL_REJECTED", *PROMOTE)
    # The rejection was a mistake.
    model = read_verdict(workspace.verdict_file).challenger_model[:12]
    reinstated = done(workspace, "reinstate", model, "--as", "R. Viewer", "--comment", "the wrong radiographs")
    assert "no longer rejected (R. Viewer" in reinstated
    done(workspace, "approve", again, *BOSS)
    done(workspace, *PROMOTE)


def test_a_rejection_of_the_serving_model_reports_that_it_still_serves(served: Workspace) -> None:
    champion = local_champion(served)
    assert champion is not None
    shown = done(served, "reject", champion.verdict, *VIEWER)
    assert "still in service, as version 2" in shown and "plumbline rollback --reason" in shown
    assert "in service" not in done(served, "reject", read_verdict(served.verdict_file).digest, *VIEWER)


def test_an_approval_counts_only_while_it_is_valid(workspace: Workspace) -> None:
    """Expired, unknown, and given before a rejection; a valid one beside it counts."""
    verdict = candidate(workspace, "a")
    done(workspace, "approve", verdict, *VIEWER, "--ttl", "0.00001")
    time.sleep(0.05)
    assert "ask a person" in refused(workspace, "APPROVAL_EXPIRED", *PROMOTE)
    refused(workspace, "APPROVAL_UNKNOWN", *PROMOTE, "--approval", "0123456789")
    refused(workspace, "APPROVAL_TTL", "approve", verdict, *VIEWER, "--ttl", "49")
    approval = done(workspace, "approve", verdict, *VIEWER).split("approval ")[1].split(" ")[0]
    refused(workspace, "APPROVAL_UNKNOWN", *PROMOTE, "--approval", approval[:7])
    done(workspace, "reject", verdict, *BOSS)
    refused(workspace, "APPROVAL_REJECTED", *PROMOTE, "--approval", approval)
    done(workspace, "reinstate", read_verdict(workspace.verdict_file).challenger_model[:12], *VIEWER)
    done(workspace, *PROMOTE, "--approval", approval)
    assert "expired" in (shown := done(workspace, "verdict")) and "; used" in shown


def test_an_approval_with_a_clock_ahead_of_time_hides_no_valid_one(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    judged, policy = read_verdict(workspace.verdict_file), read_policy(workspace.root / "approval.yaml")
    at, sign_off = datetime.now(UTC) + timedelta(hours=3), SignOff("R. Viewer", "looked")
    given = partial(approved, verdict=judged, policy=policy, sign_off=sign_off, author="A. Trainer", at=at)
    open_history(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy).append(given)
    assert "history --restore" in refused(workspace, "CLOCK_WENT_BACK", "approve", verdict, *BOSS)
    done(workspace, "history", "--restore", "--as", "R. Viewer", "--reason", "the clock is right again")
    refused(workspace, "APPROVAL_NOT_YET", *PROMOTE)
    done(workspace, "approve", verdict, *BOSS)
    done(workspace, *PROMOTE)
    done(workspace, "history", "--verify")


def test_a_metric_edited_in_mlflow_is_refused_until_it_is_corrected(workspace: Workspace) -> None:
    """G3: anyone can append a metric to a finished run. No decision uses it, but it can mislead a reviewer."""
    done(workspace, "approve", candidate(workspace, "a"), *VIEWER)
    record = read_record(workspace.evaluation / "record.json")
    client = open_registry(workspace.tracking_uri)
    (version,) = client.search_model_versions(f"name = '{CANDIDATES_MODEL}'")

    def write_sealed_metrics() -> None:
        metrics, folder = metrics_of_test(record.statistics), workspace.evaluation
        log_evidence(version.run_id, workspace.tracking_uri, metrics=metrics, artifacts=folder, tags={})

    write_sealed_metrics()
    client.log_metric(version.run_id, "test/cobb/mae", 0.1)
    message = refused(workspace, "METRIC_ALTERED", *PROMOTE)
    assert "the first is test/cobb/mae = 0.1" in message
    write_sealed_metrics()
    sealed = record.statistics["cobb"].figures["mae"].value
    assert client.get_run(version.run_id).data.metrics["test/cobb/mae"] == sealed
    done(workspace, *PROMOTE)


def test_dagster_uses_an_approval_but_grants_none(workspace: Workspace) -> None:
    """The job ``promotion`` promotes with an approval of the command line; its config cannot name an approver."""
    verdict = candidate(workspace, "a")
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(PROMOTION)

    def launched(instance: dg.DagsterInstance, **config: str) -> dg.ExecuteInProcessResult:
        ops = {"ops": {"champion": {"config": config}}} if config else None
        return job.execute_in_process(run_config=ops, instance=instance, raise_on_error=False)

    def code(result: dg.ExecuteInProcessResult) -> str:
        failure = next(e.step_failure_data for e in result.all_events if e.is_step_failure)
        return str(failure.user_failure_data.metadata["code"].value)

    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        assert code(launched(instance)) == "APPROVAL_MISSING"
        with pytest.raises(dg.DagsterInvalidConfigError, match="approver"):
            launched(instance, approver="R. Viewer", comment="looked at it", verdict=verdict)
        assert code(launched(instance, approval="0123456789")) == "APPROVAL_UNKNOWN"
        done(workspace, "approve", verdict, *VIEWER)
        assert launched(instance).success
    done(workspace, "history", "--verify")
