"""``plumbline cohort --stats``: the table and the figure, without an image drawn."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from orchestration.cli.cohort import cohort
from orchestration.cli.terminal import output
from simulation.population import statistics


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
    """Every row is listed, none passes, and that is no success."""
    monkeypatch.setattr(output, "width", 200)
    figure = tmp_path / "population.png"
    done = CliRunner().invoke(cohort, ["--stats", "--count", count, "--figure", str(figure)])
    assert done.exit_code == 1
    assert "0 of 0 rows agree; 67 rows have fewer than 10 patients" in done.output
    assert "pass" not in done.output.split("mean +-SD.")[0]
    assert done.output.count("needs 10") == 67
    assert figure.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "x", "--figure", "y.png"], "--stats"),
        (["--stats", "--out", "x"], "use two commands"),
        (["--stats", "--rows", "256", "--with", "meshes"], "--rows, --with"),
        (["--stats", "--figure", "y.jpg"], "must end in .png"),
        (["--stats", "--figure", "no-such-folder/y.png"], "make it first"),
    ],
)
def test_invalid_combinations_are_usage_errors(arguments, message):
    done = CliRunner().invoke(cohort, arguments)
    assert done.exit_code == 2
    assert message in done.output
