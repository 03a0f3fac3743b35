"""Asset checks read the recorded reports, and fail if there is none."""

import dagster as dg
import pytest

from orchestration.dagster.checks import dataset_is_valid, nothing_lost
from orchestration.dagster.resources import WorkspacePaths
from orchestration.pipeline.step_report import StepReport, write_step_report


def run(check, workspace) -> dg.AssetCheckResult:
    return check(WorkspacePaths(root=str(workspace.root)))


@pytest.mark.parametrize("check", [nothing_lost, dataset_is_valid])
def test_no_report_is_no_evidence(check, workspace):
    result = run(check, workspace)
    assert not result.passed
    assert result.description.startswith("NO_EVIDENCE")
    assert result.severity == dg.AssetCheckSeverity.ERROR


@pytest.mark.parametrize(
    ("received", "used", "present", "quarantined", "passed"),
    [(9, 6, 1, 2, True), (9, 6, 1, 1, False), (9, 7, 1, 2, False), (0, 0, 0, 0, False), (3, 0, 3, 0, True)],
)
def test_nothing_is_lost(workspace, received, used, present, quarantined, passed):
    figures = {"received": received, "used": used, "already present": present, "quarantined": quarantined}
    write_step_report(StepReport("studies", figures), workspace)
    result = run(nothing_lost, workspace)
    assert result.passed is passed
    assert str(received) in result.description


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        ({"expectations": 31, "failed": 0, "outcome": "passed"}, True),
        ({"expectations": 31, "failed": 2, "outcome": "FAILED"}, False),
        ({"expectations": 0, "failed": 0, "outcome": "passed"}, False),
        ({"failed": 0, "outcome": "passed"}, False),
        ({"expectations": 31, "failed": 0}, False),
    ],
)
def test_valid_means_evaluated_and_met(workspace, figures, passed):
    write_step_report(StepReport("validation", figures), workspace)
    assert run(dataset_is_valid, workspace).passed is passed
