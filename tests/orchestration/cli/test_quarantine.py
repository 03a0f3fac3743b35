"""Quarantine stores no names; `plumbline quarantine` prints them and writes nothing."""

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
    """A workspace with `MEIER 1950` of its source and `HUBER` of an inbox batch in quarantine."""
    drop, workspace = tmp_path / "drop", Workspace(tmp_path / "ws")
    write_cohort(drop, CohortConfig(count=3, seed=5, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    prepare_workspace(workspace, "folder", drop, ())
    batch = workspace.inbox / "june"
    for case, place in (("case-00001", drop / "MEIER 1950"), ("case-00002", batch / "HUBER")):
        shutil.move(drop / case, place)
        radiograph = place / "frontal.dcm"
        radiograph.write_bytes(radiograph.read_bytes()[: radiograph.stat().st_size // 2])
    (batch / "COMPLETE").touch()
    figures = compute_step("studies", workspace).figures
    assert (figures["received"], figures["used"], figures["quarantined"]) == (3, 1, 2)
    return workspace


def files_of(workspace):
    return {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}


def test_it_prints_the_folder_in_the_source_and_writes_nothing(taken_in, tmp_path):
    before = files_of(taken_in)
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)])
    assert shown.exit_code == 0, shown.output
    assert f"MEIER 1950  (in {tmp_path / 'drop'})" in shown.output
    assert f"HUBER  (in {taken_in.inbox / 'june'})" in shown.output
    assert shown.output.count("TRUNCATED") == 2 and "2 in quarantine" in shown.output
    assert "case-00000" not in shown.output
    assert files_of(taken_in) == before
    for reason in taken_in.quarantine.glob("*/reason.json"):
        assert str(reason.parent) in shown.output
        assert not any(name in reason.read_text() for name in ("MEIER", "HUBER"))
        assert json.loads(reason.read_text())["code"] == "TRUNCATED"


def test_a_study_that_left_its_source_is_listed_without_its_name(taken_in, tmp_path):
    (tmp_path / "drop" / "MEIER 1950").rename(tmp_path / "drop" / "else")
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
    assert shown.count("no longer in the source") == 1 and "HUBER" in shown and "else" not in shown


def test_the_reasons_are_listed_when_the_source_is_gone(taken_in, tmp_path):
    (tmp_path / "drop").rename(tmp_path / "elsewhere")
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("TRUNCATED") == 2 and shown.output.count("no longer in the source") == 1
    assert "HUBER" in shown.output


def test_an_empty_quarantine_makes_no_key(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    prepare_workspace(workspace, "virtual", None, ())
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(workspace.root)])
    assert (shown.exit_code, shown.output) == (0, "0 in quarantine\n")
    assert not workspace.pseudonym_key_file.exists()


@pytest.mark.parametrize(
    ("study", "reason", "message"),
    [("quarantined", "checked", "not for BURNED_IN_TEXT"), ("stored", " ", "empty"), ("none", "x", "no study 'none'")],
)
def test_what_cannot_be_accepted_is_named(taken_in, study, reason, message):
    ids = {"quarantined": next(taken_in.quarantine.iterdir()).name, "stored": next(taken_in.studies.iterdir()).name}
    asked = ["accept", ids.get(study, study), "--reason", reason, "-w", str(taken_in.root)]
    shown = CliRunner().invoke(plumbline, asked)
    assert shown.exit_code == 2 and message in shown.output


def test_equal_names_of_studies_in_two_batches_are_two_studies(taken_in):
    """Exports number their folders from 1, so that each batch has the same names."""
    huber = taken_in.inbox / "june" / "HUBER"
    shutil.copytree(huber, taken_in.inbox / "july" / "HUBER")
    (taken_in.inbox / "july" / "COMPLETE").touch()
    for _ in range(2):
        assert compute_step("studies", taken_in).figures["quarantined"] == 3
        shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
        assert "3 in quarantine" in shown and shown.count("HUBER  (in") == 2
    (huber / "frontal.dcm").unlink()
    figures = compute_step("studies", taken_in).figures
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
    assert (figures["used"], figures["quarantined"]) == (1, 2)
    assert "2 in quarantine" in shown and f"HUBER  (in {taken_in.inbox / 'july'})" in shown


def test_the_file_that_is_the_reason_is_named_until_it_changes(taken_in):
    (taken_in.inbox / "june" / "HUBER" / "export.csv").write_text("1;2")
    for reason in taken_in.quarantine.glob("*/reason.json"):
        assert json.loads(reason.read_text())["file"] in ("000.dcm", "")
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
    assert "because of MEIER 1950/frontal.dcm" in shown and "HUBER/frontal.dcm" not in shown
    compute_step("studies", taken_in)
    shown = CliRunner().invoke(plumbline, ["quarantine", "-w", str(taken_in.root)]).output
    assert "because of HUBER/frontal.dcm" in shown
