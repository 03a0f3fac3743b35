"""Agreement statistics against closed forms, scipy and a published worked example."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from validation.evaluation.agreement import (
    FIGURES,
    REGRESSION_FIGURES,
    agree,
    draw_patients,
    figures_of_draws,
    icc_agreement,
    proportion,
    quantiles_of_draws,
)

RNG = np.random.default_rng(3)
TRUTH = RNG.normal(40, 12, 37)
PREDICTED = 0.9 * TRUTH + 6 + RNG.normal(0, 3, 37)
PATIENTS = [f"p{i}" for i in range(37)]


def agreement(truth=TRUTH, predicted=PREDICTED, patients=None, **kwargs):
    patients = patients or [f"p{i}" for i in range(len(truth))]
    return agree("cobb", "deg", truth, predicted, patients, n_truth=kwargs.pop("n_truth", len(truth)), **kwargs)


def test_figures_equal_scipy_and_numpy():
    figures = {name: figure.value for name, figure in agreement().figures.items()}
    line = stats.linregress(TRUTH, PREDICTED)
    d = PREDICTED - TRUTH
    residual = PREDICTED - line.intercept - line.slope * TRUTH
    expected = {
        "coverage": 1.0,
        "bias": d.mean(),
        "sd": d.std(ddof=1),
        "loa_low": d.mean() - 1.96 * d.std(ddof=1),
        "loa_high": d.mean() + 1.96 * d.std(ddof=1),
        "standard_error_of_estimate": math.sqrt(np.sum(residual**2) / (len(d) - 2)),
        "slope": line.slope,
        "intercept": line.intercept,
        "mae": np.abs(d).mean(),
        "median_ae": np.median(np.abs(d)),
        "p95_ae": np.quantile(np.abs(d), 0.95),
        "rmse": math.sqrt(np.mean(d**2)),
        "pearson_r": stats.pearsonr(TRUTH, PREDICTED)[0],
        "icc_a1": icc_agreement(np.stack([TRUTH, PREDICTED], axis=1)),
    }
    assert expected.keys() == {"coverage", *FIGURES}
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-10), name


def test_standard_error_of_estimate_closed_form():
    """Truths 0..3, predictions 1 above and below the line in turn: by hand, slope 1 - 2/5, SSE 4 - 4/5."""
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    predicted = truth + np.array([1.0, -1.0, 1.0, -1.0])
    figures = agreement(truth, predicted).figures
    assert figures["slope"].value == pytest.approx(1 - 2 / 5)
    assert figures["standard_error_of_estimate"].value == pytest.approx(math.sqrt((4 - 4 / 5) / 2))
    assert figures["bias"].value == pytest.approx(0)


def test_exact_predictions_have_no_error():
    figures = agreement(TRUTH, TRUTH.copy()).figures
    for name in ("standard_error_of_estimate", "mae", "bias", "sd"):
        assert figures[name].value == 0.0
    assert figures["icc_a1"].value == figures["pearson_r"].value == figures["slope"].value == 1.0
    shifted = agreement(TRUTH, TRUTH + 7).figures
    assert shifted["standard_error_of_estimate"].value == pytest.approx(0, abs=1e-9)
    assert shifted["icc_a1"].value is not None and shifted["icc_a1"].value < 0.9, "a shift must cost agreement"


def test_icc_of_shrout_and_fleiss_1979():
    """Table 2 of the paper, six targets and four judges; table 4 gives ICC(2,1) = .29."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert icc_agreement(ratings) == pytest.approx(0.29, abs=0.005)
    assert icc_agreement(ratings[:1]) is None
    assert icc_agreement(np.full((5, 2), 3.0)) is None


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_are_absent_with_a_reason(n):
    result = agreement(TRUTH[:n], PREDICTED[:n], n_truth=9)
    assert result.n == n
    for name in FIGURES:
        assert result.figures[name].value is None
        assert f"too few predictions: {n}," in (result.figures[name].absent_reason or "")
    assert result.figures["coverage"].value == pytest.approx(n / 9)


def test_no_truth_at_all():
    coverage = agreement(TRUTH[:0], PREDICTED[:0]).figures["coverage"]
    assert coverage.value is None and coverage.absent_reason


@pytest.mark.parametrize(
    ("truth", "predicted", "reason"),
    [(np.full(9, 30.1), PREDICTED[:9], "truths do not vary"), (TRUTH[:9], np.full(9, 30.1), "predictions do not vary")],
)
def test_values_that_do_not_vary_have_no_regression(truth, predicted, reason):
    """Constant predictions have a residual of zero: as a figure, it would pass every limit."""
    figures = agreement(truth, predicted).figures
    for name in REGRESSION_FIGURES:
        assert figures[name].value is None
        assert reason in (figures[name].absent_reason or "")
    assert figures["mae"].value is not None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_values_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        agreement(TRUTH, np.append(PREDICTED[:-1], bad))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), min_size=0, max_size=12))
def test_figures_are_finite_or_absent_never_nan(pairs):
    truth, predicted = (np.array([p[k] for p in pairs], dtype=np.float64) for k in (0, 1))
    for name, figure in agreement(truth, predicted, resamples=20).figures.items():
        assert (figure.value is None) == (figure.absent_reason is not None), name
        for number in (figure.value, figure.low, figure.high):
            assert number is None or math.isfinite(number), name


def test_intervals_are_reproducible_and_have_their_coverage():
    """Same seed, same interval; over many samples a 95 % interval of the bias holds the true bias about so often."""
    assert agreement().figures == agreement().figures
    rng, covered = np.random.default_rng(11), 0
    for _ in range(200):
        figure = agreement(TRUTH, TRUTH + rng.normal(2.0, 3.0, 37), resamples=300).figures["bias"]
        covered += figure.low <= 2.0 <= figure.high
    assert 178 <= covered <= 198  # 0.95 of 200, percentile intervals of 37 patients are a little short


def test_bootstrap_draws_patients_not_studies():
    """Two studies of one patient always come together; treating them as independent would narrow the interval."""
    counts = draw_patients(["a", "b", "a", "c", "b"], 500, 1)
    assert counts.shape == (500, 5)
    assert np.array_equal(counts[:, 0], counts[:, 2]) and np.array_equal(counts[:, 1], counts[:, 4])
    twice = agreement(np.repeat(TRUTH, 2), np.repeat(PREDICTED, 2), [p for p in PATIENTS for _ in range(2)])
    once = agreement()
    wide, narrow = (f.figures["bias"] for f in (once, agreement(np.repeat(TRUTH, 2), np.repeat(PREDICTED, 2))))
    assert twice.n_patients == 37 and twice.n == 74
    assert twice.figures["bias"].low == pytest.approx(once.figures["bias"].low)
    assert narrow.high - narrow.low < 0.85 * (wide.high - wide.low)


def test_weighted_figures_equal_those_of_the_repeated_sample():
    counts = draw_patients(PATIENTS, 20, 5)
    drawn = figures_of_draws(counts, TRUTH, PREDICTED)
    for row in range(20):
        index = np.repeat(np.arange(37), counts[row].astype(int))
        alone = figures_of_draws(np.ones((1, len(index))), TRUTH[index], PREDICTED[index])
        for name in FIGURES:
            assert drawn[name][row] == pytest.approx(alone[name][0], rel=1e-8), name
        assert quantiles_of_draws(counts, TRUTH, 0.95)[row] == pytest.approx(np.quantile(TRUTH[index], 0.95))


def test_wilson_interval_of_a_proportion():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662."""
    figure = proportion(81, 263)
    assert (figure.low, figure.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (25, 50), (49, 50), (399, 400)])
def test_the_closed_form_of_wilson_is_that_of_scipy(hits, total):
    expected = stats.binomtest(hits, total).proportion_ci(0.95, method="wilson")
    figure = proportion(hits, total)
    assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high), rel=1e-14, abs=1e-15)
    assert (figure.low == 0.0) == (hits == 0) and (figure.high == 1.0) == (hits == total)
