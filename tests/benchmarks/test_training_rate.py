"""The table of training rates: help, refused folders, and a fit that is too short."""

import json

import pytest

from benchmarks.training_rate import main
from training.config import TrainingConfig
from training.export.candidate import FITTED_FILE, FitSummary, write_summary


def test_help_is_printed_and_a_folder_without_a_fit_is_refused(tmp_path, capsys):
    for arguments, code, text in ((["--help"], 0, "FOLDER"), ([], 2, "FOLDER"), ([str(tmp_path)], 2, FITTED_FILE)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        assert ended.value.code == code and text in printed.out + printed.err


def test_a_fit_with_one_measurement_is_too_short(tmp_path, capsys):
    config = TrainingConfig(minutes=1, batch_size=8)
    summary = FitSummary(config, "galbusera39", "d", "t", 400, 1.0, "mm", 0, 2, 8.0, 12.0, "cpu", "32", {})
    write_summary(summary, tmp_path / FITTED_FILE)
    line = {"kind": "measurements", "time_s": 1.0, "step": 2, "values": {}}
    (tmp_path / "journal.jsonl").write_text(json.dumps(line) + "\n")
    assert main([str(tmp_path)]) == 0
    assert "| shared | cpu x 1 | 12 | too short: 1 measurements" in capsys.readouterr().out
