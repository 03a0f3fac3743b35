"""``plumbline cohort``: patients on disk, the comparison of the population, refused options, an interruption."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pydicom
import pytest
from click.testing import CliRunner

from orchestration.cli.cohort import cohort
from orchestration.cli.terminal import output
from simulation.population import statistics
from spine.errors import ParametersRejected
from spine.landmarks import VIEWS
from spine.radiograph.read import read_radiograph


def written(folder: Path, *options: str) -> Path:
    done = CliRunner().invoke(cohort, ["--out", str(folder), "--count", "1", "--workers", "1", *options])
    assert done.exit_code == 0, done.output
    assert "1 virtual patients" in done.output
    return folder / "case-00000"


def test_rows_make_smaller_pixels_of_the_same_field(tmp_path):
    places = []
    for rows in (256, 384):
        record = json.loads((written(tmp_path / str(rows), "--rows", str(rows)) / "reconstruction.json").read_text())
        places.append(record["geometry"]["frontal"])
        for view in VIEWS:
            # The fewest rows that the command permits are those that intake reads.
            read = read_radiograph(tmp_path / str(rows) / "case-00000" / f"{view}.dcm")
            assert read.geometry is not None and read.calibration == "GEOMETRY"
    assert [p["shape"][1] for p in places] == [128, 192]
    assert places[0]["spacing_mm"][0] * 256 == pytest.approx(places[1]["spacing_mm"][0] * 384)


def test_extras_patient_motion_and_columns_reach_the_files(tmp_path):
    options = ("--rows", "256", "--columns", "192", "--with", "markups", "--with", "meshes", "--mesh-format", "stl")
    case = written(tmp_path, *options, "--patient-motion", "2.0")
    assert (case / "extras" / "reconstruction.mrk.json").is_file()
    assert (case / "extras" / "meshes" / "L3.stl").is_file()
    record = json.loads((case / "reconstruction.json").read_text())
    assert len(record["facts"]["patient_motion_mm"]) == 3
    assert pydicom.dcmread(case / "lateral.dcm").Columns == 192


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "c", "--with", "movies"], "movies"),
        (["--out", "c", "--mesh-format", "stl"], "--with meshes"),
        (["--out", "c", "--rows", "255"], "--rows"),
        (["--out", "c", "--patient-motion", "much"], "much"),
        ([], "--out"),
        (["--out", "c", "--figure", "y.png"], "--stats"),
        (["--stats", "--out", "c"], "use two commands"),
        (["--stats", "--rows", "256", "--with", "meshes"], "--rows, --with"),
        (["--stats", "--figure", "y.jpg"], "must end in .png"),
        (["--stats", "--figure", "no-such-folder/y.png"], "make it first"),
    ],
)
def test_invalid_options_are_usage_errors(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cohort, options)
    assert done.exit_code == 2
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        (["--patient-motion", "30"], "patient_motion_mm = 30 (allowed 0 to 20)", "correct the named values"),
        (["--patient-motion", "nan"], "patient_motion_mm = nan (allowed 0 to 20)", "correct the named values"),
        (["--rows", "512", "--columns", "64"], "width 92 mm", "change rows, columns and spacing together"),
    ],
)
def test_impossible_cohorts_are_refused_with_the_range(tmp_path, options, message, remedy):
    done = CliRunner().invoke(cohort, ["--out", str(tmp_path / "c"), *options])
    assert isinstance(done.exception, ParametersRejected)
    assert message in str(done.exception) and remedy in str(done.exception)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_stops_cleanly(tmp_path, how):
    """Finished patients stay, nothing half-written does, and no worker is left."""
    folder = tmp_path / "c"
    call = [sys.executable, "-m", "orchestration.cli.main", "cohort", "--out", folder, "--count", "5000"]
    root = Path(__file__).parents[3]
    with subprocess.Popen([*call, "--rows", "256"], stderr=subprocess.PIPE, text=True, cwd=root) as command:
        until = time.monotonic() + 60
        while len(list(folder.glob("*/COMPLETE"))) < 3 and time.monotonic() < until:
            time.sleep(0.1)
        workers = psutil.Process(command.pid).children()
        command.send_signal(how)
        _, shown = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "Run the command again to continue" in shown
    assert "leaked" not in shown
    assert list(folder.glob("*/COMPLETE"))
    assert not list(folder.rglob("*.partial"))
    assert len(workers) >= 2
    assert not psutil.wait_procs(workers, timeout=10)[1]


def test_finished_patients_are_removed_only_with_replace(tmp_path):
    call = ["--out", str(tmp_path), "--workers", "1", "--rows", "256"]

    def run(*options: str):
        return CliRunner().invoke(cohort, [*call, *options])

    assert "2 virtual patients" in run("--count", "2").output
    refused = run("--count", "1", "--seed", "5")
    assert isinstance(refused.exception, ParametersRejected)
    assert "1 finished patients of another configuration and 1 finished patients beyond" in str(refused.exception)
    assert len(list(tmp_path.glob("case-*"))) == 2
    assert "2 kept" in run("--count", "2").output
    assert "1 drawn, 2 kept" in run("--count", "3").output
    assert "1 drawn, 1 of these replaced, 2 removed" in run("--count", "1", "--seed", "5", "--replace").output


def test_the_table_compares_and_the_figure_is_written(tmp_path, monkeypatch):
    path = tmp_path / "population.png"
    monkeypatch.setattr(output, "width", 200)
    done = CliRunner().invoke(cohort, ["--stats", "--count", "60", "--figure", str(path)])
    assert done.exit_code == ("fail" in done.output), done.output
    assert "Population of 60" in done.output
    assert "rows agree" in done.output
    assert "femoral head diameter, women" in done.output
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 20_000


def test_a_row_that_is_off_ends_in_failure(monkeypatch):
    good = replace(statistics.population_rows(statistics.survey(120))[0], count=900)
    good = replace(good, mean=good.published_mean, sd=good.published_sd)
    for rows, expected in (([good], 0), ([good, replace(good, mean=0.0)], 1)):
        monkeypatch.setattr("orchestration.cli.cohort.population_rows", lambda people, rows=rows: rows)
        assert CliRunner().invoke(cohort, ["--stats", "--count", "1"]).exit_code == expected


@pytest.mark.parametrize("count", ["1", "4"])
def test_too_few_patients_decide_nothing(tmp_path, monkeypatch, count):
    """Every row is listed, no row passes, and the exit code is that of a failure."""
    monkeypatch.setattr(output, "width", 200)
    figure = tmp_path / "population.png"
    done = CliRunner().invoke(cohort, ["--stats", "--count", count, "--figure", str(figure)])
    assert done.exit_code == 1
    assert "0 of 0 rows agree; 67 rows have fewer than 10 patients" in done.output
    assert "pass" not in done.output.split("mean +-SD.")[0]
    assert done.output.count("needs 10") == 67
    assert figure.is_file()
