"""The commands of the gate (``approve``, ``promote``, ``history``, ``rollback`` ...), as a person types them."""

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from orchestration.cli.main import plumbline
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
    """Register the bundled model with another note in its contract, and judge it; digest of the verdict."""
    register_candidate(workspace, note, champion=champion, noise=noise)
    judged = judge_candidate(workspace, read_params(workspace.params_file))
    return str(judged.figures["verdict"])


def typed(workspace: Workspace, *command: str) -> Result:
    return CliRunner().invoke(plumbline, [*command, "-w", str(workspace.root)])


def one_line(result: Result) -> str:
    """The output on one line, because the width of the terminal decides where lines are folded."""
    return " ".join(result.output.split())


def code_of(result: Result) -> str:
    assert isinstance(result.exception, PlumblineError), result.output
    return result.exception.code


def test_the_life_of_two_models_as_a_person_types_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = candidate(workspace, "a")
    assert code_of(typed(workspace, "promote", "--by", "R. Viewer")) == "APPROVAL_MISSING"
    asked = f"plumbline approve {verdict} --as NAME --comment WHY -w {workspace.root}\n"
    for shown in (typed(workspace, "verdict").output, typed(workspace, "explain").output):
        assert "requires an approval before this model may serve (a person answers for it)" in " ".join(shown.split())
        assert asked in shown
    own = typed(workspace, "approve", verdict, "--as", "a. trainer", "--comment", "mine")
    assert code_of(own) == "SAME_PERSON"
    wrong = typed(workspace, "approve", "0123456789", "--as", "R. Viewer", "--comment", "fine")
    assert code_of(wrong) == "EVIDENCE_MISSING" and "found 0 verdicts" in str(wrong.exception)
    short = typed(workspace, "approve", verdict[:4], "--as", "R. Viewer", "--comment", "fine")
    assert code_of(short) == "EVIDENCE_MISSING" and "too short" in str(short.exception)
    granted = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "looked at the worst twenty")
    assert granted.exit_code == 0 and "plumbline promote --approval" in granted.output
    assert "approved by R. Viewer" in one_line(typed(workspace, "verdict"))
    shown = one_line(typed(workspace, "explain"))
    assert "; expires " in shown and asked.strip() not in shown
    assert code_of(typed(workspace, "promote", "--by", "R. Viewer", "--verdict", "0123")) == "VERDICT_SUPERSEDED"
    assert typed(workspace, "promote", "--by", "R. Viewer", "--verdict", verdict).exit_code == 0
    assert "as version 1 by R. Viewer" in one_line(typed(workspace, "verdict"))
    again = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "once more")
    assert code_of(again) == "APPROVAL_POINTLESS" and "as version 1" in str(again.exception)
    first = local_champion(workspace)
    assert first is not None and first.version == "1"

    verdict = candidate(workspace, "bb", champion=first.digest, noise=0.5)
    approval = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "better", "--ttl", "2").output
    named = approval.split("approval ")[1].split(" ")[0]
    assert typed(workspace, "promote", "--by", "R. Viewer", "--approval", named).exit_code == 0
    shown = typed(workspace, "champion").output
    assert all(word in shown for word in ("challenger", "plumbline-candidates v2", "plumbline v2", "plumbline v1"))
    verified = typed(workspace, "history", "--verify")
    assert verified.exit_code == 0, verified.exception
    assert "verified: 6 entries" in verified.output

    # The registry is down: the local copy of the previous model serves, and nothing fetches the other one.
    database = workspace.state / "mlflow" / "mlflow.db"
    database.rename(workspace.state / "away.db")
    database.mkdir()
    away = typed(workspace, "rollback", "--reason", "wrong side", "--local")
    assert away.exit_code == 0, away.exception
    assert open_champion(workspace).digest == first.digest
    assert code_of(typed(workspace, "champion", "--fetch")) == "ROLLBACK_PENDING"
    database.rmdir()
    (workspace.state / "away.db").rename(database)
    assert code_of(typed(workspace, "history", "--verify")) == "HISTORY_NOT_VERIFIED"

    back = typed(workspace, "rollback", "--reason", "wrong side in 3 of 40", "--by", "R. Viewer")
    assert back.exit_code == 0, back.exception
    assert "version 1" in back.output and "is denied" in back.output
    left = workspace.verdict_file.with_name(f"{read_verdict(workspace.verdict_file).digest}.json")
    explained = one_line(typed(workspace, "explain", str(left)))
    assert "rolled back on" in explained and "wrong side in 3 of 40; version 1 serves instead" in explained
    assert open_champion(workspace).digest == first.digest
    assert score_baseline(workspace, first.digest) == "the champion", "a denied model is no baseline"
    assert typed(workspace, "history", "--verify").exit_code == 0
    refused = typed(workspace, "rollback", "--to", "2", "--reason", "no, back again")
    assert code_of(refused) == "ROLLBACK_REFUSED"
    assert refused.exit_code != 0

    assert code_of(typed(workspace, "reinstate", "2", "--as", " ", "--comment", "no")) == "APPROVAL_EMPTY"
    own = typed(workspace, "reinstate", "2", "--as", "a. trainer", "--comment", "it is good")
    assert code_of(own) == "SAME_PERSON"
    reinstated = typed(workspace, "reinstate", "2", "--as", "R. Viewer", "--comment", "the radiographs were exchanged")
    assert reinstated.exit_code == 0 and "no longer denied (R. Viewer" in reinstated.output, reinstated.exception
    assert code_of(typed(workspace, "reinstate", "2", "--as", "R. Viewer", "--comment", "again")) == "NOT_DENIED"
    assert typed(workspace, "history", "--verify").exit_code == 0

    graph = workspace.champion / "model.onnx"
    kept = graph.read_bytes()
    graph.write_bytes(kept + b"x")
    touched = typed(workspace, "history", "--verify")
    assert code_of(touched) == "HISTORY_NOT_VERIFIED" and "LOCAL_COPY_ALTERED" in touched.output
    assert "ALTERED" in typed(workspace, "champion").output
    assert typed(workspace, "champion", "--fetch").exit_code == 0
    assert graph.read_bytes() == kept
    record = workspace.champion_record.read_text()
    workspace.champion_record.write_text(record.replace('"version": "1"', '"version": "2"'))
    other = typed(workspace, "history", "--verify")
    assert code_of(other) == "HISTORY_NOT_VERIFIED" and "LOCAL_COPY_BEHIND" in other.output
    workspace.champion_record.write_text(record)

    client = open_registry(workspace.tracking_uri)
    client.delete_registered_model_alias("plumbline", "champion")
    broken = typed(workspace, "history", "--verify")
    assert code_of(broken) == "HISTORY_NOT_VERIFIED"
    assert "ALIAS_DISAGREES" in broken.output
    assert typed(workspace, "history", "--repair", "--verify").exit_code == 0


def test_a_refused_verdict_stays_refused(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    assert typed(workspace, "reject", verdict, "--as", "R. Viewer", "--comment", "mirrored spines").exit_code == 0
    assert "refused by R. Viewer" in (shown := typed(workspace, "explain").output) and "mirrored spines" in shown
    late = typed(workspace, "approve", verdict, "--as", "B. Oss", "--comment", "never mind")
    assert code_of(late) == "APPROVAL_REJECTED"
    refused = typed(workspace, "promote", "--by", "B. Oss")
    assert code_of(refused) == "APPROVAL_REJECTED"
    assert isinstance(refused.exception, GateRefused) and refused.exception.exit_code == 3
    # Judged again: another verdict on the same bytes.
    again = str(judge_candidate(workspace, read_params(workspace.params_file)).figures["verdict"])
    assert again != verdict
    for command in (("approve", again, "--as", "B. Oss", "--comment", "new"), ("promote", "--by", "B. Oss")):
        message = str(typed(workspace, *command).exception)
        assert "APPROVAL_REJECTED" in message and "mirrored spines" in message and verdict in message
    # The end of the history is cut off, with the refusal. Its sealed record still counts.
    lines = workspace.promotion_ledger.read_text().splitlines(keepends=True)
    workspace.promotion_ledger.write_text("".join(lines[:-1]))
    cut = typed(workspace, "promote", "--by", "B. Oss")
    assert code_of(cut) == "APPROVAL_REJECTED" and "sealed as" in str(cut.exception)
    assert code_of(typed(workspace, "approve", verdict, "--as", "B. Oss", "--comment", "so what")) == "HISTORY_CUT"
    shown = typed(workspace, "history", "--verify")
    assert code_of(shown) == "HISTORY_NOT_VERIFIED" and "HISTORY_CUT" in shown.output
    unsigned = typed(workspace, "history", "--accept-loss")
    assert code_of(unsigned) == "APPROVAL_EMPTY"
    assert "--as NAME --reason TEXT" in str(unsigned.exception) and "--comment" not in str(unsigned.exception)
    command = ("history", "--accept-loss", "--verify", "--as", "R. Viewer", "--reason", "the disk died")
    accepted = typed(workspace, *command)
    assert accepted.exit_code == 0, accepted.exception
    assert "loss accepted on" in accepted.output and "lost: 1 entries" in accepted.output
    assert code_of(typed(workspace, *command)) == "HISTORY_COMPLETE"
    # The refusal was a mistake. A reinstatement also removes one of which only the sealed record is left.
    model = read_verdict(workspace.verdict_file).challenger_model[:12]
    reinstated = typed(workspace, "reinstate", model, "--as", "R. Viewer", "--comment", "the wrong radiographs")
    assert reinstated.exit_code == 0 and "no longer rejected (R. Viewer" in reinstated.output, reinstated.exception
    assert typed(workspace, "approve", again, "--as", "B. Oss", "--comment", "now it is").exit_code == 0
    assert typed(workspace, "promote", "--by", "B. Oss").exit_code == 0


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
    assert typed(workspace, "history", "--repair").exit_code == 0, "the clock is right again"
    assert find_approval(workspace, "") == ahead
    assert code_of(typed(workspace, "promote", "--by", "R. Viewer")) == "APPROVAL_NOT_YET"
    assert typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "looked again").exit_code == 0
    good = find_approval(workspace, "")
    assert good is not None and good != ahead
    assert typed(workspace, "promote", "--by", "R. Viewer").exit_code == 0


def test_a_rejection_of_the_serving_model_reports_that_it_still_serves(served: Workspace) -> None:
    verdict = read_verdict(served.verdict_file).digest
    refused = typed(served, "reject", verdict, "--as", "R. Viewer", "--comment", "seen too late")
    assert refused.exit_code == 0, refused.exception
    assert "still in service, as version 1" in refused.output and "plumbline rollback --reason" in refused.output
    champion = local_champion(served)
    assert champion is not None
    other = candidate(served, "bb", champion=champion.digest, noise=0.5)
    refused = typed(served, "reject", other, "--as", "R. Viewer", "--comment", "mirrored")
    assert refused.exit_code == 0 and "in service" not in refused.output, refused.exception


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """A workspace whose first champion serves, by a policy that requires no approval."""
    workspace.params_file.write_text(workspace.params_file.read_text().replace("approval.yaml", "default"))
    candidate(workspace, "a")
    assert typed(workspace, "promote", "--by", "R. Viewer").exit_code == 0
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


def test_a_copied_workspace_writes_nothing_into_its_original(
    served: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied = Workspace(Path(shutil.copytree(served.root, tmp_path / "copy")))
    before = files_of(served), files_of(copied)
    for command in WRITING:
        refused = typed(copied, *command)
        assert code_of(refused) == "WORKSPACE_COPIED", command
        assert str(served.root) in str(refused.exception) and "plumbline init" in str(refused.exception)
        assert "ln -s" not in str(refused.exception), "its old place exists"
    shown = typed(copied, "history", "--verify")
    assert code_of(shown) == "HISTORY_NOT_VERIFIED" and "WORKSPACE_COPIED" in str(shown.exception)
    assert (files_of(served), files_of(copied)) == before
    # A named registry is not the workspace's own. A workspace that was moved works where its old place is a link.
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", served.own_tracking_uri)
    assert typed(copied, "history", "--repair").exit_code == 0
    monkeypatch.delenv("PLUMBLINE_TRACKING_URI")
    moved = Workspace(served.root.rename(tmp_path / "moved"))
    refused = typed(moved, "history", "--repair")
    assert code_of(refused) == "WORKSPACE_COPIED"
    assert str(refused.exception).endswith(f": ln -s {moved.root} {tmp_path / 'ws'}")
    (tmp_path / "ws").symlink_to(moved.root)
    assert typed(moved, "history", "--repair").exit_code == 0
    assert typed(Workspace(tmp_path / "ws"), "history", "--verify").exit_code == 0


def test_artefacts_behind_a_link_are_the_workspaces_own(workspace: Workspace, tmp_path: Path) -> None:
    """The folder of the artefacts is a link to another disk, whose path MLflow stores."""
    workspace.artifact_root.rename(tmp_path / "disk")
    workspace.artifact_root.symlink_to(tmp_path / "disk")
    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    client.create_experiment("plumbline", artifact_location=(tmp_path / "disk" / "plumbline").as_uri())
    assert typed(workspace, "history", "--repair").exit_code == 0


def test_a_lost_history_is_reported_beside_the_champion(served: Workspace) -> None:
    assert "no history of promotions" not in typed(served, "champion").output
    served.promotion_ledger.unlink()
    shown = typed(served, "champion")
    assert shown.exit_code == 0 and "plumbline v1" in shown.output
    assert "no history of promotions; `plumbline history --verify`" in " ".join(shown.output.split())


def test_a_lost_database_is_not_an_empty_one(served: Workspace) -> None:
    database = served.state / "mlflow" / "mlflow.db"
    kept = database.rename(served.state / "away.db")
    for read in (("champion",), ("champion", "--fetch")):
        lost = typed(served, *read)
        assert code_of(lost) == "CHAMPION_LOST" and "restore the database" in str(lost.exception), read
    for command in (("history", "--verify"), ("history", "--repair"), ("promote", "--by", "R. Viewer")):
        assert code_of(typed(served, *command)) == "REGISTRY_UNAVAILABLE", command
    params = read_params(served.params_file)
    for step in (rescore_champion, judge_candidate):
        with pytest.raises(GateRefused, match="CHAMPION_LOST"):
            step(served, params)
    assert not database.exists(), "reading creates no database"
    kept.rename(database)
    assert typed(served, "history", "--verify").exit_code == 0


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_database_is_reported_as_damaged(served: Workspace, damage: str) -> None:
    database = served.state / "mlflow" / "mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database at all, but longer than a header" * 9 if damage == "garbage" else whole[:9000])
    for command in (*WRITING, ("champion",), ("champion", "--fetch"), ("history", "--verify")):
        refused = typed(served, *command)
        assert code_of(refused) == "REGISTRY_UNAVAILABLE", command
        assert "mlflow.db, which is damaged" in str(refused.exception), command
    database.write_bytes(whole)
    assert typed(served, "history", "--verify").exit_code == 0


def test_a_metric_edited_in_mlflow_is_refused_until_it_is_corrected(workspace: Workspace) -> None:
    """G3: anyone may append a metric to a finished run. It decides nothing, but a reviewer may have believed it."""
    verdict = candidate(workspace, "a")
    assert typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "fine").exit_code == 0
    record = read_record(workspace.evaluation / "record.json")
    client = open_registry(workspace.tracking_uri)
    (version,) = client.search_model_versions(f"name = '{CANDIDATES_MODEL}'")

    def write_sealed_metrics() -> None:
        metrics, folder = metrics_of_test(record.statistics), workspace.evaluation
        log_evidence(version.run_id, workspace.tracking_uri, metrics=metrics, artifacts=folder, tags={})

    write_sealed_metrics()
    client.log_metric(version.run_id, "test/cobb/mae", 0.1)
    refused = typed(workspace, "promote", "--by", "R. Viewer")
    assert code_of(refused) == "METRIC_ALTERED" and "the first is test/cobb/mae = 0.1" in str(refused.exception)
    write_sealed_metrics()
    assert (
        client.get_run(version.run_id).data.metrics["test/cobb/mae"] == record.statistics["cobb"].figures["mae"].value
    )
    assert typed(workspace, "promote", "--by", "R. Viewer").exit_code == 0


@pytest.mark.usefixtures("impatient_sqlite")
def test_a_locked_database_is_a_refusal_and_no_traceback(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    lock = sqlite3.connect(workspace.state / "mlflow" / "mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    for command in (
        ("promote", "--by", "me"),
        ("history", "--repair"),
        ("approve", verdict, "--as", "V", "--comment", "c"),
    ):
        refused = typed(workspace, *command)
        assert code_of(refused) == "REGISTRY_UNAVAILABLE" and "locked" in str(refused.exception), command
    lock.execute("ROLLBACK")
    lock.close()
    assert typed(workspace, "approve", verdict, "--as", "V", "--comment", "c").exit_code == 0


def test_a_promotion_stands_where_the_local_copy_cannot_be_renewed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = candidate(workspace, "a")
    assert typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "fine").exit_code == 0

    def full(_: Workspace) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.lifecycle.promotion.refresh_local_champion", full)
        failed = typed(workspace, "promote", "--by", "R. Viewer")
    assert code_of(failed) == "LOCAL_COPY_BEHIND"
    assert "version 1 promoted" in str(failed.exception) and "No space left" in str(failed.exception)
    assert typed(workspace, "champion", "--fetch").exit_code == 0
    assert typed(workspace, "history", "--verify").exit_code == 0


def test_dagster_takes_the_approval_as_config(workspace: Workspace, tmp_path: Path) -> None:
    """The job ``promotion`` with approver, comment and the verdict's digest approves and then promotes."""
    import dagster as dg

    from orchestration.dagster.definitions import definitions_with
    from orchestration.dagster.jobs import PROMOTION
    from orchestration.dagster.resources import resources_for

    verdict = candidate(workspace, "a")
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(PROMOTION)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    def launched(instance: dg.DagsterInstance, **config: str) -> dg.ExecuteInProcessResult:
        ops = {"ops": {"champion": {"config": config}}} if config else None
        return job.execute_in_process(run_config=ops, instance=instance, raise_on_error=False)

    def code(result: dg.ExecuteInProcessResult) -> str:
        failure = next(e.step_failure_data for e in result.all_events if e.is_step_failure)
        return str(failure.user_failure_data.metadata["code"].value)

    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        assert code(launched(instance)) == "APPROVAL_MISSING"
        person = {"approver": "R. Viewer", "comment": "looked at it"}
        assert code(launched(instance, **person, verdict="0123456789")) == "EVIDENCE_MISSING"
        assert code(launched(instance, **(person | {"approver": "A. Trainer"}), verdict=verdict)) == "SAME_PERSON"
        assert launched(instance, **person, verdict=verdict).success
    assert typed(workspace, "history", "--verify").exit_code == 0
