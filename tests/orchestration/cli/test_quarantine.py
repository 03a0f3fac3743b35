"""Quarantine names nobody; `plumbline quarantine` tells the operator, and writes nothing."""

import json
import shutil

import pytest
from click.testing import CliRunner

from orchestration.cli.main import plumbline
from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM


@pytest.fixture
def taken_in(tmp_path):
    """A workspace that refused `MEIER 1950` of its source and `HUBER` of a batch in the inbox."""
    drop, workspace = tmp_path / "drop", Workspace(tmp_path / "ws")
    write_cohort(drop, CohortConfig(count=3, seed=5, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    prepare_workspace(workspace, "folder", drop, ())
    batch = workspace.inbox / "june"
    for case, place in (("case-00001", drop / "MEIER 1950"), ("case-00002", batch / "HUBER")):
        shutil.move(drop / case, place)
        radiograph = place / "frontal.dcm"
        radiograph.write_bytes(radiograph.read_bytes()[: radiograph.stat().st_size // 2])
    (batch / "COMPLETE").touch()
    assert compute_step("studies", workspace).figures["quarantined"] == 2
    return workspace


def files_of(workspace):
    return {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}


def test_it_says_which_folder_each_was_and_writes_nothing(taken_in, tmp_path):
    before = files_of(taken_in)
    told = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)])
    assert told.exit_code == 0, told.output
    assert f"MEIER 1950  (in {tmp_path / 'drop'})" in told.output
    assert f"HUBER  (in {taken_in.inbox / 'june'})" in told.output
    assert told.output.count("TRUNCATED") == 2 and "2 in quarantine" in told.output
    assert "case-00000" not in told.output
    assert files_of(taken_in) == before
    for reason in taken_in.quarantine.glob("*/reason.json"):
        assert str(reason.parent) in told.output
        assert not any(name in reason.read_text() for name in ("MEIER", "HUBER"))
        assert json.loads(reason.read_text())["code"] == "TRUNCATED"


def test_what_left_its_source_is_told_as_gone(taken_in, tmp_path):
    (tmp_path / "drop" / "MEIER 1950").rename(tmp_path / "drop" / "else")
    told = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
    assert told.count("no longer in its source") == 1 and "HUBER" in told and "else" not in told


def test_an_empty_quarantine_makes_no_key(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    prepare_workspace(workspace, "virtual", None, ())
    told = CliRunner().invoke(plumbline, ["quarantine", "-w", str(workspace.root)])
    assert (told.exit_code, told.output) == (0, "0 in quarantine\n")
    assert not workspace.pseudonym_key_file.exists()
