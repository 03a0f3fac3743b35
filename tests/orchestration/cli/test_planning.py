"""`plumbline plan` writes the plan of the workspace's policy, and names parameters that are outside the plan."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.cli.planning import plan
from orchestration.pipeline.params import Params, change_params, write_params
from orchestration.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "ws")
    made.prepare()
    write_params(Params(), made.params_file)
    return made


def run(workspace: Workspace, *more: str) -> str:
    done = CliRunner().invoke(plan, ["-w", str(workspace.root), *more], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_plan_is_written_as_markdown_and_json(workspace: Workspace, tmp_path: Path) -> None:
    said = run(workspace)
    stored = json.loads((workspace.change_plan / "change_plan.json").read_text())
    assert stored["data"]["frozen test set"].startswith("50 patients")
    assert (workspace.change_plan / "change_plan.md").read_text().startswith("# Predetermined change control plan")
    assert "outside the plan" not in said
    run(workspace, "--out", str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "change_plan.json").read_text() == json.dumps(
        stored, indent=1, ensure_ascii=False
    ) + "\n"


def test_parameters_outside_the_plan_are_named(workspace: Workspace) -> None:
    change_params(
        workspace.params_file, {"training": {"learning_rate": 0.5}, "source": {"kind": "ct-keypoints"}}, "a test"
    )
    said = " ".join(run(workspace).split())
    assert "params.yaml is outside the plan, so its next candidate needs an approval" in said
    assert "learning_rate is 0.5; the plan permits at least 1e-06 and at most 0.005" in said
    assert "source.kind is ct-keypoints; the plan permits virtual, folder" in said
