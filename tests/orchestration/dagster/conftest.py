"""A workspace whose steps are stubs that write real files: reports, a sealed verdict, the champion's record."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.dagster.assets import model, promotion
from orchestration.environment import quiet_environment
from orchestration.pipeline import steps
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.stages import dvc_yaml
from orchestration.pipeline.step_report import StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from spine.errors import ContractViolation, GateRefused
from validation.gates.rule_results import RuleResult
from validation.gates.verdict import Decision, Verdict, read_verdict, write_verdict


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    made = Workspace(tmp_path / "ws")
    made.prepare()
    write_params(Params(), made.params_file)
    made.pipeline_file.write_text(dvc_yaml(Params()))
    return made


@pytest.fixture
def instance():
    """A Dagster instance in memory, telemetry off."""
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as opened:
        yield opened


@dataclass
class StubSteps:
    """The behaviour of the stubbed steps, which tests change."""

    decision: Decision = "PROMOTE"
    valid: bool = True
    figures: dict[str, dict] = field(default_factory=dict)
    raises: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refusal: GateRefused | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, workspace: Workspace, progress=None) -> StepReport:
        self.calls.append(name)
        if progress is not None:
            progress(1, 2)
            progress(2, 2)
        if name in self.raises:
            raise self.raises[name]
        report = StepReport(name, self.figures.get(name, {}), seconds=0.01)
        write_step_report(report, workspace)
        if name == "validation" and not self.valid:
            raise ContractViolation.gathered(
                "DATASET_INVALID", ["PI is not PT + SS in study 7"], expected="every expectation met", remedy="look"
            )
        return report

    def register(self, workspace: Workspace, tags: dict[str, str]) -> StepReport:
        self.tags = dict(tags)
        return self.step("registered_candidate", workspace)

    def judge(self, workspace: Workspace) -> StepReport:
        self.calls.append("verdict")
        write_stub_verdict(workspace.verdict_file, self.decision)
        return StepReport("verdict", {"decision": self.decision})

    def promote(self, workspace: Workspace, promoter: str) -> StepReport:
        self.calls.append("champion")
        if self.refusal is not None:
            raise self.refusal
        decision = read_verdict(workspace.verdict_file).decision if workspace.verdict_file.exists() else "ABSENT"
        if decision != "PROMOTE":
            raise GateRefused(f"VERDICT_{decision}", found="no passing verdict", expected="PROMOTE", remedy="explain")
        workspace.champion_record.write_text(json.dumps({"promoter": promoter}))
        return StepReport("champion", {"version": "1"})


def write_stub_verdict(path: Path, decision: Decision) -> None:
    passed = decision == "PROMOTE"
    known = dict.fromkeys(RuleResult.__dataclass_fields__)
    known |= {"rule": "limit/cobb", "subject": "cobb", "kind": "limit", "unit": "deg", "source": "test", "found": ""}
    known |= {"figure_name": "standard_error_of_estimate", "figure": 9.0, "relation": "<=", "threshold": 4.0}
    known |= {"group": "all", "reason": "the paper's level", "outcome": "PASS" if passed else "REJECT"}
    known |= {"code": "WITHIN_LIMIT" if passed else "ABOVE_CEILING"}
    digests = dict.fromkeys(("policy_hash", "challenger_model", "challenger_evidence", "test_digest"), "0" * 64)
    about: dict[str, Any] = {"policy": "default", "policy_version": 1, **digests}
    about |= {"champion_model": None, "champion_evidence": None}
    at = datetime(2026, 11, 23, tzinfo=UTC).isoformat()
    verdict = Verdict(decision=decision, results=(RuleResult(**known),), simulated=True, judged_at=at, **about)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_verdict(verdict, path)


@pytest.fixture
def stubs(monkeypatch) -> StubSteps:
    """Replace the functions that the assets call by stubs."""
    stub = StubSteps(
        figures={
            "studies": {"received": 9, "used": 6, "already present": 1, "quarantined": 2},
            "validation": {"expectations": 31, "failed": 0, "outcome": "passed"},
        }
    )
    monkeypatch.setattr(steps, "run_step", stub.step)
    monkeypatch.setattr(steps, "compute_step", stub.step)
    monkeypatch.setattr(model, "register_candidate", lambda ws, params, tags: stub.register(ws, tags))
    monkeypatch.setattr(
        promotion, "rescore_champion", lambda ws, params, progress=None: stub.step("champion_evaluation", ws)
    )
    monkeypatch.setattr(promotion, "judge_candidate", lambda ws, params: stub.judge(ws))
    promote = lambda ws, params, promoter, approval="": stub.promote(ws, promoter)  # noqa: E731
    monkeypatch.setattr(promotion, "promote_champion", promote)
    return stub


@pytest.fixture
def write_stub():
    """``write_stub(path, decision)`` writes a sealed verdict."""
    return write_stub_verdict
