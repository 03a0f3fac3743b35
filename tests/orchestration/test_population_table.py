"""``plumbline cohort --stats``: the table and the figure, without a picture drawn."""

import pytest
from click.testing import CliRunner

from orchestration.cli.data import cohort
from orchestration.cli.terminal import output


def test_the_table_compares_and_the_figure_is_written(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "population.png"
    monkeypatch.setattr(output, "width", 200)
    done = CliRunner().invoke(cohort, ["--stats", "--count", "60", "--figure", str(path)])
    assert done.exit_code == ("fail" in done.output), done.output
    assert "Population of 60" in done.output
    assert "rows agree" in done.output
    assert "femoral head diameter, women" in done.output
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 20_000


def test_a_row_that_is_off_ends_in_failure(monkeypatch):
    from dataclasses import replace

    from spine.phantom.people import statistics

    rows = statistics.population_rows(statistics.survey(120))
    assert CliRunner().invoke(cohort, ["--stats", "--count", "4"]).exit_code == 0
    told = CliRunner().invoke(cohort, ["--stats", "--count", "4"]).output
    assert "of 0 rows agree" in told
    assert "say nothing" in told
    monkeypatch.setattr(statistics, "population_rows", lambda people: [replace(rows[0], mean=0.0, count=900)])
    assert CliRunner().invoke(cohort, ["--stats", "--count", "4"]).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out"),
        (["--out", "x", "--figure", "y.png"], "--stats"),
        (["--stats", "--out", "x"], "two commands"),
        (["--stats", "--rows", "256", "--with", "meshes"], "--rows, --with"),
        (["--stats", "--figure", "y.jpg"], "no PNG"),
    ],
)
def test_what_is_missing_is_said(arguments, words):
    done = CliRunner().invoke(cohort, arguments)
    assert done.exit_code == 2
    assert words in done.output
