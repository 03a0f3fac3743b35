"""``plumbline serve`` and ``plumbline shadow``, as a person types them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from orchestration.lifecycle.judging import judge_candidate
from orchestration.lifecycle.shadow import challenger_model
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import read_params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from orchestration.tracking.shadow_cases import shadow_record
from serving.service.shadow import ShadowCase, append_to
from spine.errors import GateRefused
from tests.served_workspace import done, refused, register_candidate, served_workspace, typed
from tests.serving.service.running import KEY, PICTURES
from validation.gates.policy import DEFAULT_POLICY
from validation.gates.verdict import read_verdict
from validation.registry.client import open_registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    return served_workspace(tmp_path / "ws", monkeypatch, empty_mlflow_database)


def test_serve_needs_a_clear_rule_who_may_use_it(workspace):
    refused(workspace, "ACCESS_UNCLEAR", "serve")
    assert typed(workspace, "serve", "--without-keys", "--host", "0.0.0.0").exit_code == 2


def test_serve_answers_and_ends_at_sigterm(workspace, tmp_path):
    (tmp_path / "keys").write_text(f"ris {KEY}\n")
    command = [sys.executable, "-m", "orchestration.cli.main", "serve", "-w", str(workspace.root), "--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [*command, "--keys", str(tmp_path / "keys")], stderr=log, cwd=Path(__file__).parents[3]
        )
    try:
        address = _address(service, tmp_path / "log")
        pictures = {view: (view, png) for view, png in PICTURES.items()}
        answer = httpx.post(f"{address}/measure", files=pictures, headers={"X-API-Key": KEY}, timeout=60)
        assert answer.headers["plumbline-model"] == history_state(workspace).champion.digest
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
    finally:
        service.kill()
        service.wait()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines if line.get("route") == "/measure"] == [200]


def _address(service: subprocess.Popen, log: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert service.poll() is None, log.read_text()
        found = [line for line in log.read_text().splitlines() if line.startswith("serving on ")]
        if found and "model: champion version 2" in log.read_text():
            return found[0].removeprefix("serving on ")
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_the_challenger_is_a_registered_candidate_and_verified(workspace):
    assert challenger_model(workspace, "newest").digest == history_state(workspace).champion.digest
    assert challenger_model(workspace, "1").digest == history_state(workspace).previous.digest
    with pytest.raises(GateRefused, match="CANDIDATE_UNKNOWN"):
        challenger_model(workspace, "99")


def test_shadow_cases_reach_mlflow_the_gate_and_the_promotion(workspace):
    assert "no study" in done(workspace, "shadow")
    champion = history_state(workspace).champion.digest
    policy = yaml.safe_load(DEFAULT_POLICY.read_text())
    policy["shadow"] = {"least_cases": 3, "median_difference_at_most": {"cobb": 2.0}, "absences_at_most": 0.5}
    policy["shadow"] |= {"reason": "three studies of this test", "source": "this test only"}
    policy_file = workspace.root / "own.yaml"
    policy_file.write_text(yaml.safe_dump(policy))
    params = read_params(workspace.params_file)
    gate = params.gate.model_copy(update={"policy": "own.yaml"})
    write_params(params.model_copy(update={"gate": gate}), workspace.params_file)
    params = read_params(workspace.params_file)

    challenger = register_candidate(workspace, "ccc", champion=champion, noise=0.4)
    record = append_to(workspace.shadow_cases)
    for difference in (1.0, -1.5):
        record(ShadowCase("2026-01-01", champion, challenger, {"cobb": difference}, {}))
    judge_candidate(workspace, params)
    assert [r.code for r in read_verdict(workspace.verdict_file).refusals] == ["SHADOW_TOO_FEW"]
    record(ShadowCase("2026-01-02", champion, challenger, {"cobb": 0.5}, {"sacral_slope": "challenger"}))
    judge_candidate(workspace, params)
    verdict = read_verdict(workspace.verdict_file)
    assert verdict.decision == "PROMOTE"
    found = shadow_record(workspace, champion, challenger)
    assert verdict.shadow_evidence == found.digest
    assert (found.parameters["cobb"].median, found.parameters["cobb"].largest) == (1.0, 1.5)

    shown = done(workspace, "shadow")
    assert "3 studies" in shown
    assert "1.0 deg" in shown
    client = open_registry(workspace.tracking_uri)
    (version,) = [v for v in client.search_model_versions(f"name = '{CANDIDATES_MODEL}'") if v.version in (3, "3")]
    metrics = client.get_run(version.run_id).data.metrics
    assert (metrics["shadow/cases"], metrics["shadow/cobb/median_abs"]) == (3.0, 1.0)
    assert metrics["shadow/sacral_slope/absent_in_one"] == 1.0
    done(workspace, "promote", "--by", "R. Viewer")
    assert history_state(workspace).champion.digest == challenger
