"""The studies of the benchmark of scale, and the measurement of memory."""

import pytest

from benchmarks import scale
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace


def test_the_studies_are_taken_in_with_all_landmarks(tmp_path):
    scale.write_workspace(tmp_path, scale.SEVERAL_STUDIES)
    workspace = Workspace(tmp_path)
    assert compute_step("studies", workspace).figures["used"] == scale.SEVERAL_STUDIES
    assert compute_step("landmarks", workspace).figures["studies"] == scale.SEVERAL_STUDIES


def test_the_peak_is_that_of_the_call_alone():
    held = bytearray(128 * 2**20)
    assert scale.cost_of(lambda: b"x" * (64 * 2**20)).peak_mib == pytest.approx(64, abs=8)
    assert len(held) == 128 * 2**20


def test_growth_is_the_ratio_of_the_largest_to_the_smallest_workspace(capsys):
    few, many = ({s: scale.Cost(c, 1.0, m, 100.0, 0.0) for s in scale.STEPS} for c, m in ((1.0, 10.0), (20.0, 12.0)))
    scale.print_growth(100, 1000, few, many)
    assert "| dataset | 1.20 | 2.00 |" in capsys.readouterr().out
