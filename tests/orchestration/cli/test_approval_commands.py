"""The commands of the gate (``approve``, ``promote``, ``history``, ``rollback`` ...), as a person types them."""

import re
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result

from orchestration.cli.main import plumbline
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.jobs import PROMOTION
from orchestration.dagster.resources import resources_for
from orchestration.environment import quiet_environment
from orchestration.lifecycle.approvals import find_approval
from orchestration.lifecycle.baseline import score_baseline
from orchestration.lifecycle.judging import judge_candidate, rescore_champion
from orchestration.lifecycle.local_champion import local_champion, open_champion
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import Params, read_params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import metrics_of_test
from spine.errors import GateRefused, PlumblineError
from tests.served_workspace import register_candidate
from training.tracking import log_evidence
from validation.evaluation.record import read_record
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import read_verdict
from validation.promotion.approval import ApprovalRequest, SignOff, grant
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import open_champion_record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    """A workspace whose policy always requires an approval."""
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    made = Workspace(tmp_path / "ws")
    # The records here are constructed, without a dataset whose images a report could show.
    for module in ("orchestration.tracking.describe", "orchestration.lifecycle.judging"):
        monkeypatch.setattr(f"{module}.review_candidate", lambda *_: (made.root / "report.html", {}))
    made.prepare()
    shutil.copy(empty_mlflow_database, made.state / "mlflow" / "mlflow.db")
    policy = yaml.safe_load(DEFAULT_POLICY.read_text())
    policy["approval"] = {"required": "always", "ttl_hours": 48.0, "reason": "a person answers for it"}
    (made.root / "approval.yaml").write_text(yaml.safe_dump(policy))
    write_params(Params(), made.params_file)
    content = yaml.safe_load(made.params_file.read_text())
    content["gate"]["policy"] = "approval.yaml"
    made.params_file.write_text(yaml.safe_dump(content))
    return made


def candidate(workspace: Workspace, note: str, *, champion: str | None = None, noise: float = 1.0) -> str:
    """Register the bundled model with another note in its contract, and judge it; returns the verdict's digest."""
    register_candidate(workspace, note, champion=champion, noise=noise)
    judged = judge_candidate(workspace, read_params(workspace.params_file))
    return str(judged.figures["verdict"])


def typed(workspace: Workspace, *command: str) -> Result:
    return CliRunner().invoke(plumbline, [*command, "-w", str(workspace.root)])


def code_of(result: Result) -> str:
    assert isinstance(result.exception, PlumblineError), result.output
    return result.exception.code


def done(workspace: Workspace, *command: str) -> str:
    """The output of a command that must succeed, on one line: the terminal's width decides where lines are folded."""
    result = typed(workspace, *command)
    assert result.exit_code == 0, result.exception or result.output
    return " ".join(result.output.split())


def refused(workspace: Workspace, code: str, *command: str) -> str:
    """The message of a command that must be refused with ``code``."""
    result = typed(workspace, *command)
    assert code_of(result) == code, command
    return str(result.exception)


def test_the_life_of_two_models_as_a_person_types_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = candidate(workspace, "a")
    viewer = ("--as", "R. Viewer", "--comment", "looked at the worst twenty")
    refused(workspace, "APPROVAL_MISSING", "promote", "--by", "R. Viewer")
    asked = f"plumbline approve {verdict} --as NAME --comment WHY -w {workspace.root}\n"
    for shown in (typed(workspace, "verdict").output, typed(workspace, "explain").output):
        assert "requires an approval before this model may go into service (a person answers for it)" in " ".join(
            shown.split()
        )
        assert asked in shown
    refused(workspace, "SAME_PERSON", "approve", verdict, "--as", "a. trainer", "--comment", "mine")
    assert "found 0 verdicts" in refused(workspace, "EVIDENCE_MISSING", "approve", "0123456789", *viewer)
    assert "too few characters" in refused(workspace, "EVIDENCE_MISSING", "approve", verdict[:4], *viewer)
    approved = done(workspace, "approve", verdict, *viewer)
    assert re.search(rf'plumbline promote --approval \w{{12}} --by "R. Viewer" -w {workspace.root}', approved)
    assert "approved by R. Viewer" in done(workspace, "verdict")
    shown = done(workspace, "explain")
    assert "; expires " in shown and asked.strip() not in shown
    refused(workspace, "VERDICT_SUPERSEDED", "promote", "--by", "R. Viewer", "--verdict", "0123")
    done(workspace, "promote", "--by", "R. Viewer", "--verdict", verdict)
    assert "as version 1 by R. Viewer" in done(workspace, "verdict")
    assert "as version 1" in refused(workspace, "APPROVAL_POINTLESS", "approve", verdict, *viewer)
    first = local_champion(workspace)
    assert first is not None and first.version == "1"

    verdict = candidate(workspace, "bb", champion=first.digest, noise=0.5)
    approval = done(workspace, "approve", verdict, *viewer, "--ttl", "2").split("approval ")[1].split(" ")[0]
    done(workspace, "promote", "--by", "R. Viewer", "--approval", approval)
    shown = typed(workspace, "champion").output
    assert all(word in shown for word in ("challenger", "plumbline-candidates v2", "plumbline v2", "plumbline v1"))
    assert "verified: 6 entries" in done(workspace, "history", "--verify")

    # The registry is down: the local copy of the previous model is used, and no command downloads the other one.
    database = workspace.state / "mlflow" / "mlflow.db"
    database.rename(workspace.state / "away.db")
    database.mkdir()
    done(workspace, "rollback", "--reason", "wrong side", "--local")
    assert open_champion(workspace).digest == first.digest
    refused(workspace, "ROLLBACK_PENDING", "champion", "--fetch")
    database.rmdir()
    (workspace.state / "away.db").rename(database)
    refused(workspace, "HISTORY_NOT_VERIFIED", "history", "--verify")

    back = done(workspace, "rollback", "--reason", "wrong side in 3 of 40", "--by", "R. Viewer")
    assert "version 1" in back and "is denied" in back
    left = workspace.verdict_file.with_name(f"{read_verdict(workspace.verdict_file).digest}.json")
    explained = done(workspace, "explain", str(left))
    assert "rolled back on" in explained and "wrong side in 3 of 40; version 1 is in service instead" in explained
    assert open_champion(workspace).digest == first.digest
    assert score_baseline(workspace, first.digest) == "the champion", "a denied model is no baseline"
    done(workspace, "history", "--verify")
    refused(workspace, "ROLLBACK_REFUSED", "rollback", "--to", "2", "--reason", "no, back again")

    refused(workspace, "APPROVAL_EMPTY", "reinstate", "2", "--as", " ", "--comment", "no")
    refused(workspace, "SAME_PERSON", "reinstate", "2", "--as", "a. trainer", "--comment", "it is good")
    assert "no longer denied (R. Viewer" in done(workspace, "reinstate", "2", *viewer)
    refused(workspace, "NOT_DENIED", "reinstate", "2", *viewer)
    done(workspace, "history", "--verify")

    graph = workspace.champion / "model.onnx"
    kept = graph.read_bytes()
    graph.write_bytes(kept + b"x")
    touched = typed(workspace, "history", "--verify")
    assert code_of(touched) == "HISTORY_NOT_VERIFIED" and "LOCAL_COPY_ALTERED" in touched.output
    assert "ALTERED" in typed(workspace, "champion").output
    done(workspace, "champion", "--fetch")
    assert graph.read_bytes() == kept
    record = workspace.champion_record.read_text()
    workspace.champion_record.write_text(record.replace('"version": "1"', '"version": "2"'))
    other = typed(workspace, "history", "--verify")
    assert code_of(other) == "HISTORY_NOT_VERIFIED" and "LOCAL_COPY_BEHIND" in other.output
    workspace.champion_record.write_text(record)

    open_registry(workspace.tracking_uri).delete_registered_model_alias("plumbline", "champion")
    broken = typed(workspace, "history", "--verify")
    assert code_of(broken) == "HISTORY_NOT_VERIFIED" and "ALIAS_DISAGREES" in broken.output
    done(workspace, "history", "--repair", "--verify")


def test_a_rejected_verdict_stays_rejected(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    boss, promoting = ("--as", "B. Oss", "--comment", "never mind"), ("promote", "--by", "B. Oss")
    done(workspace, "reject", verdict, "--as", "R. Viewer", "--comment", "mirrored spines")
    assert "rejected by R. Viewer" in (shown := typed(workspace, "explain").output) and "mirrored spines" in shown
    refused(workspace, "APPROVAL_REJECTED", "approve", verdict, *boss)
    exception = typed(workspace, *promoting).exception
    assert isinstance(exception, GateRefused) and (exception.code, exception.exit_code) == ("APPROVAL_REJECTED", 3)
    # Judged again: another verdict on the same bytes.
    again = str(judge_candidate(workspace, read_params(workspace.params_file)).figures["verdict"])
    assert again != verdict
    for command in (("approve", again, *boss), promoting):
        message = refused(workspace, "APPROVAL_REJECTED", *command)
        assert "mirrored spines" in message and verdict in message
    # The end of the history is cut off, with the refusal. Its sealed record still counts.
    lines = workspace.promotion_ledger.read_text().splitlines(keepends=True)
    workspace.promotion_ledger.write_text("".join(lines[:-1]))
    assert "sealed record" in refused(workspace, "APPROVAL_REJECTED", *promoting)
    refused(workspace, "HISTORY_CUT", "approve", verdict, *boss)
    broken = typed(workspace, "history", "--verify")
    assert code_of(broken) == "HISTORY_NOT_VERIFIED" and "HISTORY_CUT" in broken.output
    unsigned = refused(workspace, "APPROVAL_EMPTY", "history", "--accept-loss")
    assert "--as NAME --reason TEXT" in unsigned and "--comment" not in unsigned
    accepting = ("history", "--accept-loss", "--verify", "--as", "R. Viewer", "--reason", "the disk died")
    accepted = done(workspace, *accepting)
    assert "loss accepted on" in accepted and "lost: 1 entries" in accepted
    refused(workspace, "HISTORY_COMPLETE", *accepting)
    # The rejection was a mistake. A reinstatement also removes a rejection of which only the sealed record is left.
    model = read_verdict(workspace.verdict_file).challenger_model[:12]
    reinstated = done(workspace, "reinstate", model, "--as", "R. Viewer", "--comment", "the wrong radiographs")
    assert "no longer rejected (R. Viewer" in reinstated
    done(workspace, "approve", again, *boss)
    done(workspace, *promoting)


def test_an_approval_with_a_clock_ahead_of_time_hides_no_valid_one(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    judged, policy = read_verdict(workspace.verdict_file), read_policy(workspace.root / "approval.yaml")
    request = ApprovalRequest(
        verdict=judged,
        policy=policy,
        sign_off=SignOff("R. Viewer", "looked"),
        at=datetime.now(UTC) + timedelta(hours=3),
        author="A. Trainer",
        production_model="plumbline",
        folder=workspace.approvals,
        ledger_path=workspace.promotion_ledger,
        record=open_champion_record(workspace.tracking_uri, "plumbline"),
    )
    ahead = grant(request)
    done(workspace, "history", "--repair")  # the clock is right again
    assert find_approval(workspace, "") == ahead
    refused(workspace, "APPROVAL_NOT_YET", "promote", "--by", "R. Viewer")
    done(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "looked again")
    good = find_approval(workspace, "")
    assert good is not None and good != ahead
    done(workspace, "promote", "--by", "R. Viewer")


def test_a_rejection_of_the_serving_model_reports_that_it_still_serves(served: Workspace) -> None:
    reviewer = ("--as", "R. Viewer", "--comment", "seen too late")
    shown = done(served, "reject", read_verdict(served.verdict_file).digest, *reviewer)
    assert "still in service, as version 1" in shown and "plumbline rollback --reason" in shown
    champion = local_champion(served)
    assert champion is not None
    other = candidate(served, "bb", champion=champion.digest, noise=0.5)
    assert "in service" not in done(served, "reject", other, *reviewer)


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """A workspace with a champion, under a policy that requires no approval."""
    workspace.params_file.write_text(workspace.params_file.read_text().replace("approval.yaml", "default"))
    candidate(workspace, "a")
    done(workspace, "promote", "--by", "R. Viewer")
    return workspace


WRITING = (
    ("promote", "--by", "R. Viewer"),
    ("approve", "0123456789", "--as", "R. Viewer", "--comment", "fine"),
    ("reject", "0123456789", "--as", "R. Viewer", "--comment", "fine"),
    ("rollback", "--reason", "wrong side"),
    ("reinstate", "1", "--as", "R. Viewer", "--comment", "fine"),
    ("history", "--repair"),
    ("history", "--accept-loss", "--as", "R. Viewer", "--reason", "gone"),
    ("stage", "evaluation"),
)


def files_of(workspace: Workspace) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in workspace.root.rglob("*") if p.is_file() and ".lock" not in p.name}


def test_a_copied_workspace_is_independent_and_a_moved_one_works(served: Workspace, tmp_path: Path) -> None:
    copied = Workspace(Path(shutil.copytree(served.root, tmp_path / "copy")))
    before = files_of(served)
    done(copied, "history", "--verify")
    done(
        copied, "reject", read_verdict(copied.verdict_file).digest, "--as", "R. Viewer", "--comment", "in the copy only"
    )
    assert "rejected" in done(copied, "history")
    assert files_of(served) == before, "a copy writes nothing into its original"
    moved = Workspace(served.root.rename(tmp_path / "moved"))
    assert "another history" not in done(moved, "history", "--verify")
    champion = local_champion(moved)
    assert champion is not None
    candidate(moved, "bb", champion=champion.digest, noise=0.5)
    done(moved, "promote", "--by", "R. Viewer")
    done(moved, "rollback", "--reason", "a test")
    done(moved, "history", "--verify")
    assert str(tmp_path / "ws") not in addresses_in(moved), "the database names no folder of the workspace"


def addresses_in(workspace: Workspace) -> str:
    with closing(sqlite3.connect(workspace.state / "mlflow" / "mlflow.db")) as database:
        queries = ("artifact_location FROM experiments", "artifact_uri FROM runs", "source FROM model_versions")
        return str([database.execute(f"SELECT {query}").fetchall() for query in queries])


def test_artefacts_may_lie_behind_a_link_to_another_disk(served: Workspace, tmp_path: Path) -> None:
    served.artifact_root.rename(tmp_path / "disk")
    served.artifact_root.symlink_to(tmp_path / "disk")
    done(served, "history", "--verify")


def test_a_lost_history_is_reported_beside_the_champion(served: Workspace) -> None:
    assert "no history of promotions" not in done(served, "champion")
    served.promotion_ledger.unlink()
    shown = done(served, "champion")
    assert "plumbline v1" in shown and "no history of promotions; `plumbline history --verify`" in shown


def test_a_lost_database_is_not_an_empty_one(served: Workspace) -> None:
    database = served.state / "mlflow" / "mlflow.db"
    kept = database.rename(served.state / "away.db")
    for read in (("champion",), ("champion", "--fetch")):
        assert "restore the database" in refused(served, "CHAMPION_LOST", *read)
    for command in (("history", "--verify"), ("history", "--repair"), ("promote", "--by", "R. Viewer")):
        refused(served, "REGISTRY_UNAVAILABLE", *command)
    params = read_params(served.params_file)
    for step in (rescore_champion, judge_candidate):
        with pytest.raises(GateRefused, match="CHAMPION_LOST"):
            step(served, params)
    assert not database.exists(), "reading creates no database"
    kept.rename(database)
    done(served, "history", "--verify")


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_database_is_reported_as_damaged(served: Workspace, damage: str) -> None:
    database = served.state / "mlflow" / "mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database at all, but longer than a header" * 9 if damage == "garbage" else whole[:9000])
    for command in (*WRITING, ("champion",), ("champion", "--fetch"), ("history", "--verify")):
        assert "mlflow.db is damaged" in refused(served, "REGISTRY_UNAVAILABLE", *command), command
    database.write_bytes(whole)
    done(served, "history", "--verify")


def test_a_metric_edited_in_mlflow_is_refused_until_it_is_corrected(workspace: Workspace) -> None:
    """G3: anyone can append a metric to a finished run. No decision uses it, but it can mislead a reviewer."""
    done(workspace, "approve", candidate(workspace, "a"), "--as", "R. Viewer", "--comment", "fine")
    record = read_record(workspace.evaluation / "record.json")
    client = open_registry(workspace.tracking_uri)
    (version,) = client.search_model_versions(f"name = '{CANDIDATES_MODEL}'")

    def write_sealed_metrics() -> None:
        metrics, folder = metrics_of_test(record.statistics), workspace.evaluation
        log_evidence(version.run_id, workspace.tracking_uri, metrics=metrics, artifacts=folder, tags={})

    write_sealed_metrics()
    client.log_metric(version.run_id, "test/cobb/mae", 0.1)
    message = refused(workspace, "METRIC_ALTERED", "promote", "--by", "R. Viewer")
    assert "the first is test/cobb/mae = 0.1" in message
    write_sealed_metrics()
    sealed = record.statistics["cobb"].figures["mae"].value
    assert client.get_run(version.run_id).data.metrics["test/cobb/mae"] == sealed
    done(workspace, "promote", "--by", "R. Viewer")


@pytest.mark.usefixtures("impatient_sqlite")
def test_a_locked_database_is_a_refusal_and_no_traceback(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    lock = sqlite3.connect(workspace.state / "mlflow" / "mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    approving = ("approve", verdict, "--as", "V", "--comment", "c")
    for command in (("promote", "--by", "me"), ("history", "--repair"), approving):
        assert "locked" in refused(workspace, "REGISTRY_UNAVAILABLE", *command), command
    lock.execute("ROLLBACK")
    lock.close()
    done(workspace, *approving)


def test_a_promotion_stands_where_the_local_copy_cannot_be_renewed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(workspace, "approve", candidate(workspace, "a"), "--as", "R. Viewer", "--comment", "fine")

    def full(_: Workspace) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.lifecycle.promotion.refresh_local_champion", full)
        message = refused(workspace, "LOCAL_COPY_BEHIND", "promote", "--by", "R. Viewer")
    assert "version 1 was promoted" in message and "No space left" in message
    done(workspace, "champion", "--fetch")
    done(workspace, "history", "--verify")


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
        assert code(launched(instance)) == "APPROVAL_MISSING"
        assert code(launched(instance, approval="0123456789")) == "EVIDENCE_MISSING"
        done(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "looked at it")
        assert launched(instance).success
    done(workspace, "history", "--verify")
