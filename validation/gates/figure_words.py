"""The names of the figures of rules in words, for every text and page that a person reads."""

from collections.abc import Mapping

_WORDS: Mapping[str, str] = {
    "standard_error_of_estimate": "standard error of the estimate",
    "sd": "SD of the differences",
    "loa_low": "lower limit of agreement",
    "loa_high": "upper limit of agreement",
    "mae": "mean absolute error",
    "median_ae": "median absolute error",
    "p95_ae": "95th percentile of the error",
    "p95": "95th percentile of the error",
    "rmse": "root mean square error",
    "explained": "explained share of the variation between patients",
    "pearson_r": "correlation r",
    "icc_a1": "ICC(A,1)",
    "mean_mm": "mean landmark error",
    "median_mm": "median landmark error",
    "p95_mm": "95th percentile of the landmark error",
    "median_px": "median landmark error",
    "level_shift_rate": "share with shifted level names",
    "model_mb": "size of the model",
}


def figure_words(name: str) -> str:
    """The figure's name in words. A remark in brackets after the name is kept."""
    figure, bracket, remark = name.partition(" (")
    return _WORDS.get(figure, figure.replace("_", " ")) + bracket + remark
