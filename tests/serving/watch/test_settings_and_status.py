"""The settings file of the loop, and the command without a PACS."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.cli.watching import watch
from serving.watch.settings import Pace, StudyChoice
from serving.watch.settings_file import CREDENTIALS, read_watch_settings
from serving.watch.state_table import open_table
from serving.watch.study_row import State, StudyRow
from serving.watch.study_step import study_digest
from spine.errors import ContractViolation

LEAST = '[pacs]\nurl = "http://127.0.0.1:1/dicom-web"\n[studies]\nsince = 2026-12-01\n'


def written(folder: Path, text: str) -> Path:
    (folder / "watch.toml").write_text(text)
    return folder / "watch.toml"


def test_the_least_settings_have_the_documented_defaults(tmp_path):
    settings = read_watch_settings(written(tmp_path, LEAST))
    assert settings.pace == Pace()
    assert settings.studies == StudyChoice(since=date(2026, 12, 1))
    page = (Path(__file__).parents[3] / "docs" / "pacs-loop.md").read_text()
    documented = page.split("```toml\n")[1].split("```")[0]
    read = read_watch_settings(written(tmp_path, documented.replace('authorization_file = "pacs.authorization"', "")))
    assert (read.pace, read.most_bytes, read.free_bytes) == (Pace(), settings.most_bytes, settings.free_bytes)


@pytest.mark.parametrize(
    "wrong",
    [
        LEAST.replace("2026-12-01", '"yesterday"'),
        LEAST.replace("[studies]\nsince = 2026-12-01\n", ""),
        LEAST.replace("http:", "file:"),
        LEAST + "[pace]\nattempts = 0\n",
        LEAST + "[pace]\nwait_s = 1\n",
        LEAST + 'filters = { "Study/../Date" = "x" }\n',
        LEAST + "[limits\n",
        "",
    ],
)
def test_wrong_settings_are_refused(tmp_path, wrong):
    with pytest.raises(ContractViolation) as caught:
        read_watch_settings(written(tmp_path, wrong))
    assert caught.value.code == "SETTINGS_INVALID"


def test_credentials_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(CREDENTIALS, "Basic from-environment")
    settings = read_watch_settings(written(tmp_path, LEAST))
    assert settings.pacs.headers == {"Authorization": "Basic from-environment"}
    assert "from-environment" not in repr(settings)
    (tmp_path / "auth").write_text("Basic from-file\n")
    named = LEAST.replace("[studies]", 'authorization_file = "auth"\n[studies]')
    assert read_watch_settings(written(tmp_path, named)).pacs.headers == {"Authorization": "Basic from-file"}


def test_the_status_names_every_refused_and_failed_study(tmp_path):
    with open_table(tmp_path / "state" / "watch") as table:
        table.put(StudyRow("1.2.3", State.STORED, 0, 0, None))
        table.put(StudyRow("1.2.4", State.REFUSED, 0, 0, None, code="VIEW_DUPLICATE", sentence="found two frontal"))
        table.put(StudyRow("1.2.5", State.FAILED, 0, 0, 9e9, code="STORE_REFUSED", sentence="1 of 5", attempts=2))
        # While the loop runs:
        done = CliRunner().invoke(watch, ["-w", str(tmp_path), "--status", "--model", "bundled"])
    assert done.exit_code == 0, done.output
    counts = dict(line.split() for line in done.output.splitlines()[:6])
    assert counts == {state.value: str(int(state in ("STORED", "REFUSED", "FAILED"))) for state in State}
    assert f"REFUSED VIEW_DUPLICATE 1.2.4 (in the log: {study_digest('1.2.4')})\n  found two frontal" in done.output
    assert "FAILED STORE_REFUSED 1.2.5" in done.output
    assert "2 attempts next attempt" in done.output
    assert "1.2.3" not in done.output


def test_a_second_process_ends_with_the_code_of_busy(tmp_path):
    settings = written(tmp_path, LEAST)
    program = [sys.executable, "-m", "orchestration.cli.main", "watch", "-w", str(tmp_path / "ws")]
    with open_table(tmp_path / "ws" / "state" / "watch"):
        words = [*program, "--model", "bundled", "--settings", str(settings), "--once"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4
    assert "WATCH_RUNNING" in done.stderr
