"""``plumbline cohort --out``: sizes, extras and sway reach the files, impossible wishes are said."""

import json
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner

from orchestration.cli.data import cohort
from spine.errors import ParametersRejected


def written(folder: Path, *options: str) -> Path:
    done = CliRunner().invoke(cohort, ["--out", str(folder), "--count", "1", "--workers", "1", *options])
    assert done.exit_code == 0, done.output
    assert "1 virtual patients" in done.output
    return folder / "case-00000"


def test_rows_make_smaller_pixels_of_the_same_field(tmp_path):
    places = []
    for rows in (200, 300):
        record = json.loads((written(tmp_path / str(rows), "--rows", str(rows)) / "reconstruction.json").read_text())
        places.append(record["geometry"]["frontal"])
    assert [p["shape"][1] for p in places] == [100, 150]
    assert places[0]["spacing_mm"][0] * 200 == pytest.approx(places[1]["spacing_mm"][0] * 300)


def test_extras_sway_and_columns_reach_the_files(tmp_path):
    options = ("--rows", "128", "--columns", "96", "--with", "markups", "--with", "meshes", "--mesh-format", "stl")
    case = written(tmp_path, *options, "--sway", "2.0")
    assert (case / "extras" / "reconstruction.mrk.json").is_file()
    assert (case / "extras" / "meshes" / "L3.stl").is_file()
    record = json.loads((case / "reconstruction.json").read_text())
    assert len(record["facts"]["sway_mm"]) == 3
    assert pydicom.dcmread(case / "lateral.dcm").Columns == 96


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--with", "movies"], "movies"),
        (["--mesh-format", "stl"], "--with meshes"),
        (["--rows", "8"], "--rows"),
        (["--sway", "much"], "much"),
    ],
)
def test_impossible_wishes_are_usage_errors(tmp_path, options, words):
    done = CliRunner().invoke(cohort, ["--out", str(tmp_path / "c"), *options])
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--sway", "30"], "sway 30.0 mm (allowed 0 to 20)"), (["--rows", "512", "--columns", "64"], "width 92 mm")],
)
def test_impossible_cohorts_are_refused_with_the_range(tmp_path, options, words):
    done = CliRunner().invoke(cohort, ["--out", str(tmp_path / "c"), *options])
    assert isinstance(done.exception, ParametersRejected)
    assert words in str(done.exception)
    assert not (tmp_path / "c").exists()
