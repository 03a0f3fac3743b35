"""The command line: help with examples, exit codes that mean something, settings that are checked."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from orchestration.chain.params import read_params
from orchestration.cli.main import _COMMANDS, plumbline


def command(*arguments, cwd=None):
    call = [sys.executable, "-m", "orchestration.cli.main", *arguments]
    return subprocess.run(call, capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("name", [n for n in _COMMANDS if n != "train"])
def test_every_command_explains_itself_with_an_example(name):
    result = CliRunner().invoke(plumbline, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output


def test_init_writes_what_was_asked_and_refuses_what_does_not_exist(tmp_path):
    runner = CliRunner()
    done = runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minutes=3"])
    assert done.exit_code == 0, done.output
    assert read_params(tmp_path / "params.yaml").training.minutes == 3
    assert (tmp_path / "dvc.yaml").exists()
    assert (tmp_path / ".dvc").is_dir()
    wrong = runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minuts=3"])
    assert wrong.exit_code == 2
    assert "no such parameter" in wrong.output


def test_init_keeps_parameters_of_an_existing_workspace(tmp_path):
    runner = CliRunner()
    runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "cohort.count=7"])
    runner.invoke(plumbline, ["init", "-w", str(tmp_path), "--set", "training.minutes=2"])
    assert read_params(tmp_path / "params.yaml").cohort.count == 7


def test_a_real_source_needs_a_location(tmp_path):
    result = CliRunner().invoke(plumbline, ["init", "-w", str(tmp_path), "--source", "aasce"])
    assert result.exit_code == 2
    assert "--location" in result.output


def test_public_films_get_their_own_landmarks_expectations_and_policy(tmp_path):
    call = ["init", "-w", str(tmp_path), "--source", "aasce", "--location", str(tmp_path)]
    assert CliRunner().invoke(plumbline, call).exit_code == 0
    params = read_params(tmp_path / "params.yaml")
    assert params.dataset.landmark_set == "corners68"
    assert (params.validation.profile, params.gate.policy) == ("frontal_films", "frontal_films")


def test_exit_codes_tell_usage_from_refusal_from_failure(tmp_path):
    (tmp_path / "x.dcm").write_text("not a film")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "params.yaml").write_text("cohort: {count: -1}")
    assert command("measure").returncode == 2
    not_dicom = command("measure", str(tmp_path / "x.dcm"), "-w", str(tmp_path))
    assert not_dicom.returncode == 1
    assert "NOT_DICOM" in not_dicom.stderr
    assert command("promote", "--by", "me", "-w", str(tmp_path / "bad")).returncode == 2
    command("init", "-w", str(tmp_path / "ws"))
    refused = command("promote", "--by", "me", "-w", str(tmp_path / "ws"))
    assert refused.returncode == 3
    assert "VERDICT_ABSENT" in refused.stderr
    assert "Traceback" not in refused.stderr + not_dicom.stderr


def test_parameters_and_decoders_are_listed():
    runner = CliRunner()
    assert "pelvic_incidence" in runner.invoke(plumbline, ["parameters"]).output.replace("\n", "")
    assert runner.invoke(plumbline, ["decoders"]).exit_code == 0
