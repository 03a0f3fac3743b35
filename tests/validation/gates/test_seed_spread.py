"""The spread between seeds: the SD and its interval, which fits count, and the table beside the policy's margins."""

import math

import pytest
from scipy.stats import chi2

from tests.validation.gates.records import Scored
from validation.gates.policy import Policy
from validation.gates.seed_spread import describe_few_fits, spread_of, spread_rows, spread_tables


def test_sd_and_its_chi_square_interval() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0])
    assert spread is not None
    assert (spread.n, spread.mean, spread.least, spread.most) == (4, 2.5, 1.0, 4.0)
    assert spread.sd == pytest.approx(math.sqrt(5 / 3))
    # chi-square with 3 degrees of freedom: 9.3484 and 0.2158 at 97.5 and 2.5 %.
    assert spread.sd_low == pytest.approx(spread.sd * math.sqrt(3 / 9.3484), rel=1e-4)
    assert spread.sd_high == pytest.approx(spread.sd * math.sqrt(3 / 0.2157953), rel=1e-4)


@pytest.mark.parametrize("n", [2, 3, 6, 30, 200])
def test_the_interval_of_the_sd_is_that_of_scipy(n: int) -> None:
    spread = spread_of([float(k) for k in range(n)])
    assert spread is not None
    low, high = chi2.interval(0.95, n - 1)
    assert spread.sd_low == pytest.approx(spread.sd * math.sqrt((n - 1) / high), rel=1e-12)
    assert spread.sd_high == pytest.approx(spread.sd * math.sqrt((n - 1) / low), rel=1e-12)


def test_one_fit_has_no_spread_and_only_finite_numbers_count() -> None:
    assert spread_of([1.0]) is None
    assert spread_of([1.0, None, math.nan, math.inf]) is None
    assert spread_of([1.0, None, 3.0]) == spread_of([1.0, 3.0])


def test_the_table_compares_the_spread_with_the_margins(policy: Policy, scored: Scored) -> None:
    near = [scored(model=str(k) * 64, noise=0.5, seed=10 + k) for k in range(3)]
    rows = {row.parameter: row for row in spread_rows(policy, near)}
    assert rows.keys() == policy.comparison.margins.keys()
    assert all(row.above is True for row in rows.values())
    margins, error, _ = (table.markdown for table in spread_tables(list(rows.values())))
    assert "| parameter | margin | SD | margin / SD |" in margins and "| Pelvic tilt | 3 |" in error
    assert "too narrow" not in margins
    apart = spread_rows(policy, [near[0], scored(model="9" * 64, noise=6.0, seed=9)])
    assert all(row.above is False for row in apart)
    assert spread_tables(apart)[0].markdown.count("too narrow") == len(apart)
    same = spread_rows(policy, [near[0], near[0]])
    assert all(row.mean_error is None and row.above is None for row in same)
    assert "| 0 or 1 | not known |" in spread_tables(same)[1].markdown
    unasked = spread_rows(policy.model_copy(update={"seeds": None}), near)
    assert all(row.above is None for row in unasked)
    assert "no ratio required" in spread_tables(unasked)[0].title


def test_in_a_terminal_margins_come_first_and_a_note_names_few_fits(policy: Policy, scored: Scored) -> None:
    fits = [scored(model=str(k) * 64, noise=0.5, seed=10 + k) for k in range(4)]
    rows = spread_rows(policy, fits)
    margins, *errors = spread_tables(rows)
    assert margins.columns == ("parameter", "margin", "SD", "margin / SD")
    assert "at least 2 SDs required" in margins.title
    assert rows[0].mean_error is not None
    assert margins.rows[0][-1] == f"{rows[0].margin / rows[0].mean_error.sd:.1f}"
    assert [len(table.rows) for table in (margins, *errors)] == [len(rows)] * 3
    for table in (margins, *errors):
        assert all(len(row) == len(table.columns) for row in table.rows)
        widest = [max(len(row[i]) for row in (table.columns, *table.rows)) for i in range(len(table.columns))]
        assert sum(widest) + 3 * len(widest) + 1 <= 80 and len(table.title) <= 80
    assert describe_few_fits(rows) == ""
    # chi-square with 2 degrees of freedom: 7.3778 and 0.0506 at 97.5 and 2.5 %.
    assert "of 3 fits" in describe_few_fits(spread_rows(policy, fits[:3]))
    assert "0.52 to 6.3 times" in describe_few_fits(spread_rows(policy, fits[:3]))
    assert describe_few_fits(spread_rows(policy, fits[:1])) == ""
