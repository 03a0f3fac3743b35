"""``plumbline measure --studies``: counts on the terminal, and options that do not belong together."""

import csv
import shutil

import pytest

from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM
from tests.orchestration.cli.test_command_line import command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    (folder / "notes").mkdir()
    (folder / "notes" / "frontal.dcm").write_text("no radiograph")
    return folder


def test_the_counts_add_up_and_a_second_call_measures_nothing(folder, tmp_path):
    call = ("measure", "--studies", folder, "--csv", tmp_path / "t.csv", "--model", "bundled", "-w", tmp_path / "ws")
    first = command(*call)
    assert first.returncode == 0, first.stderr
    assert "3 studies: 2 measured, 1 refused; table:" in first.stdout
    assert "refused 1: NOT_DICOM" in first.stderr
    again = command(*call)
    assert "3 studies: 2 measured, 1 refused, 3 of them from an earlier run" in again.stdout
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["measured", "measured", "refused"]
    only = tmp_path / "only"
    shutil.copytree(folder / "notes", only / "notes")
    none = command(
        "measure", "--studies", only, "--csv", tmp_path / "n.csv", "--model", "bundled", "-w", tmp_path / "ws"
    )
    assert none.returncode == 1 and "0 measured, 1 refused" in none.stdout


def test_options_of_one_study_and_of_a_batch_do_not_mix(folder, tmp_path):
    both = ("measure", "--studies", folder, "--csv", tmp_path / "t.csv")
    for call in (
        ("measure", "--studies", folder),
        ("measure", "--csv", tmp_path / "t.csv"),
        (*both, folder / "case-00000" / "frontal.dcm"),
        (*both, "--overlay", tmp_path / "o.png"),
    ):
        done = command(*call)
        assert done.returncode == 2 and not (tmp_path / "t.csv").exists(), done.stderr
