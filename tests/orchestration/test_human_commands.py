"""``approve``, ``reject``, ``promote``, ``champion``, ``history`` and ``rollback`` as a person types them."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from inference.released import RELEASED
from orchestration.chain.champion import CANDIDATES_MODEL, local_champion, open_champion
from orchestration.chain.decision import judge_candidate
from orchestration.chain.params import Params, read_params, write_params
from orchestration.chain.workspace import Workspace
from orchestration.cli.main import plumbline
from orchestration.environment import quiet_environment
from spine.errors import GateRefused, PlumblineError
from spine.model_digest import model_digest
from tests.validation.gates.records import build_record
from validation.evaluation.record import write_record
from validation.gates.champion import open_registry
from validation.gates.policy import DEFAULT_POLICY
from validation.gates.verdict import read_verdict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose policy wants a human every time."""
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    made = Workspace(tmp_path / "ws")
    # The records here are drawn, without a data set whose pictures a reviewer's page could show.
    monkeypatch.setattr("orchestration.chain.presenting.review_candidate", lambda *_: (made.root / "review.html", {}))
    made.prepare()
    policy = yaml.safe_load(DEFAULT_POLICY.read_text())
    policy["approval"] = {"required": "always", "ttl_hours": 48.0, "reason": "a person answers for it"}
    (made.root / "human.yaml").write_text(yaml.safe_dump(policy))
    write_params(Params(), made.params_file)
    content = yaml.safe_load(made.params_file.read_text())
    content["gate"]["policy"] = "human.yaml"
    made.params_file.write_text(yaml.safe_dump(content))
    return made


def candidate(workspace: Workspace, note: str, *, champion: str | None = None, noise: float = 1.0) -> str:
    """Register the model in the box, told apart by a note in its contract, judge it; digest of the verdict."""
    folder = workspace.candidate
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(RELEASED / "model.onnx", folder)
    (folder / "contract.json").write_text((RELEASED / "contract.json").read_text() + "\n" * len(note))
    digest = model_digest(folder)
    write_record(build_record("challenger", digest, noise=noise, seed=3), workspace.evaluation / "record.json")
    shutil.rmtree(workspace.champion_evaluation, ignore_errors=True)
    if champion is not None:
        rival = build_record("champion", champion, noise=2.0, seed=2)
        write_record(rival, workspace.champion_evaluation / "record.json")
    client = open_registry(workspace.tracking_uri)
    known = client.get_experiment_by_name("training")
    where = (workspace.artifact_root / "training").as_uri()
    experiment = known.experiment_id if known else client.create_experiment("training", artifact_location=where)
    if known is None:
        client.create_registered_model(CANDIDATES_MODEL)
    run = client.create_run(experiment, tags={"plumbline.author": "A. Trainer"})
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.set_terminated(run.info.run_id)
    tags = {"plumbline.model_digest": digest}
    client.create_model_version(CANDIDATES_MODEL, f"{run.info.artifact_uri}/model", run_id=run.info.run_id, tags=tags)
    judged = judge_candidate(workspace, read_params(workspace.params_file))
    return str(judged.figures["verdict"])


def typed(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(plumbline, [*words, "-w", str(workspace.root)])


def code_of(result: Result) -> str:
    assert isinstance(result.exception, PlumblineError), result.output
    return result.exception.code


def test_the_life_of_two_models_as_a_person_types_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = candidate(workspace, "a")
    assert code_of(typed(workspace, "promote", "--by", "R. Viewer")) == "APPROVAL_MISSING"
    own = typed(workspace, "approve", verdict, "--as", "a. trainer", "--comment", "mine")
    assert code_of(own) == "SAME_PERSON"
    wrong = typed(workspace, "approve", "0123456789", "--as", "R. Viewer", "--comment", "fine")
    assert code_of(wrong) == "EVIDENCE_MISSING"
    granted = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "looked at the worst twenty")
    assert granted.exit_code == 0 and "plumbline promote --approval" in granted.output
    assert "approved by R. Viewer" in typed(workspace, "verdict").output
    assert "; expires " in typed(workspace, "explain").output
    assert code_of(typed(workspace, "promote", "--by", "R. Viewer", "--verdict", "0123")) == "VERDICT_SUPERSEDED"
    assert typed(workspace, "promote", "--by", "R. Viewer", "--verdict", verdict).exit_code == 0
    assert "as version 1 by R. Viewer" in typed(workspace, "verdict").output
    again = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "once more")
    assert code_of(again) == "APPROVAL_POINTLESS" and "as version 1" in str(again.exception)
    first = local_champion(workspace)
    assert first is not None and first.version == "1"

    verdict = candidate(workspace, "bb", champion=first.digest, noise=0.5)
    approval = typed(workspace, "approve", verdict, "--as", "R. Viewer", "--comment", "better", "--ttl", "2").output
    named = approval.split("approval ")[1].split(" ")[0]
    assert typed(workspace, "promote", "--by", "R. Viewer", "--approval", named).exit_code == 0
    told = typed(workspace, "champion").output
    assert all(word in told for word in ("challenger", "plumbline-candidates v2", "plumbline v2", "plumbline v1"))
    verified = typed(workspace, "history", "--verify")
    assert verified.exit_code == 0, verified.exception
    assert "verified: 6 entries" in verified.output

    # The registry is down: the local copy of the one before serves, and nothing fetches the other meanwhile.
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
    explained = typed(workspace, "explain", str(left)).output
    assert "rolled back from" in explained and "wrong side in 3 of 40; version 1 serves instead" in explained
    assert open_champion(workspace).digest == first.digest
    assert typed(workspace, "history", "--verify").exit_code == 0
    refused = typed(workspace, "rollback", "--to", "2", "--reason", "no, back again")
    assert code_of(refused) == "ROLLBACK_REFUSED"
    assert refused.exit_code != 0

    client = open_registry(workspace.tracking_uri)
    client.delete_registered_model_alias("plumbline", "champion")
    broken = typed(workspace, "history", "--verify")
    assert code_of(broken) == "HISTORY_NOT_VERIFIED"
    assert "ALIAS_DISAGREES" in broken.output
    assert typed(workspace, "history", "--repair", "--verify").exit_code == 0


def test_a_refused_verdict_stays_refused(workspace: Workspace) -> None:
    verdict = candidate(workspace, "a")
    assert typed(workspace, "reject", verdict, "--as", "R. Viewer", "--comment", "mirrored spines").exit_code == 0
    assert "refused by R. Viewer" in (told := typed(workspace, "explain").output) and "mirrored spines" in told
    late = typed(workspace, "approve", verdict, "--as", "B. Oss", "--comment", "never mind")
    assert code_of(late) == "APPROVAL_REJECTED"
    refused = typed(workspace, "promote", "--by", "B. Oss")
    assert code_of(refused) == "APPROVAL_REJECTED"
    assert isinstance(refused.exception, GateRefused) and refused.exception.exit_code == 3
    # The end of the history is cut off, and the refusal with it: the sealed word still stands.
    lines = workspace.promotion_ledger.read_text().splitlines(keepends=True)
    workspace.promotion_ledger.write_text("".join(lines[:-1]))
    cut = typed(workspace, "promote", "--by", "B. Oss")
    assert code_of(cut) == "APPROVAL_REJECTED" and "sealed as" in str(cut.exception)


def test_dagster_takes_the_approval_as_config(workspace: Workspace, tmp_path: Path) -> None:
    """The job ``promotion`` with an approver, a comment and the verdict's digest: granted in the run, then used."""
    import dagster as dg

    from orchestration.definitions import definitions_with
    from orchestration.jobs import PROMOTION
    from orchestration.resources import resources_for

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
        word = {"approver": "R. Viewer", "comment": "looked at it"}
        assert code(launched(instance, **word, verdict="0123456789")) == "EVIDENCE_MISSING"
        assert code(launched(instance, **(word | {"approver": "A. Trainer"}), verdict=verdict)) == "SAME_PERSON"
        assert launched(instance, **word, verdict=verdict).success
    assert typed(workspace, "history", "--verify").exit_code == 0
