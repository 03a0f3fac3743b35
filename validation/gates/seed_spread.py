"""The spread of a figure over fits of one recipe with different seeds, shown beside the policy's margins.

Contract: fits with the same model digest count once. A figure that is not a finite number is left out and not counted
in ``n``. Fewer than two figures have no spread. The 95 % interval of a standard deviation follows from the chi-square
distribution: for four fits it extends from 0.57 to 3.7 times the SD.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import chdtri

from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Policy, is_number

STANDARD_ERROR, MEAN_ERROR = "standard_error_of_estimate", "mae"


@dataclass(frozen=True)
class Spread:
    """The spread of a figure over ``n`` fits: mean, SD with its 95 % interval, smallest and largest value."""

    n: int
    mean: float
    sd: float
    sd_low: float
    sd_high: float
    least: float
    most: float


@dataclass(frozen=True)
class SpreadRow:
    """The spreads of one parameter, and the policy's margin for it.

    Attributes:
        standard_error: spread of the standard error of the estimate; None if fewer than two fits have the figure.
        mean_error: spread of the mean absolute error; None if fewer than two fits have the figure.
        margin: the policy's margin, in ``unit``.
        times_spread: the smallest permitted margin, in SDs of the mean error; None if every margin is permitted.
    """

    parameter: str
    unit: str
    standard_error: Spread | None
    mean_error: Spread | None
    margin: float
    times_spread: float | None

    @property
    def above(self) -> bool | None:
        """Whether the margin is at least ``times_spread`` SDs; None if this is not required or if no SD is known."""
        if self.mean_error is None or self.times_spread is None:
            return None
        return self.margin >= self.times_spread * self.mean_error.sd


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """The spread of the finite numbers among ``values``; None if there are fewer than two finite numbers."""
    known = [float(v) for v in values if is_number(v)]
    if len(known) < 2:
        return None
    free, mean = len(known) - 1, sum(known) / len(known)
    sd = (sum((v - mean) ** 2 for v in known) / free) ** 0.5
    low, high = _interval(free)
    return Spread(len(known), mean, sd, sd * low, sd * high, min(known), max(known))


def _interval(free: int) -> tuple[float, float]:
    """The factors that give the ends of the 95 % interval of an SD with ``free`` degrees of freedom.

    ``chdtri`` expects the probability of the upper tail, so 0.025 gives the 97.5 % quantile of the chi-square
    distribution. ``scipy.stats`` has the same quantile, but importing it takes a second.
    """
    low, high = (float((free / chdtri(free, tail)) ** 0.5) for tail in (0.025, 0.975))
    return low, high


def figure_over_seeds(records: Sequence[EvaluationRecord], parameter: str, figure: str) -> list[float | None]:
    """The figure in the record of each model. A model with several records counts once."""
    each = {r.model_digest: r.statistics[parameter] for r in records if parameter in r.statistics}
    return [a.figures[figure].value if figure in a.figures else None for a in each.values()]


def spread_rows(policy: Policy, records: Sequence[EvaluationRecord]) -> list[SpreadRow]:
    """One row for each parameter with a margin in the policy."""
    times = policy.seeds.times_spread if policy.seeds else None
    return [
        SpreadRow(
            name,
            PARAMETERS[name].unit,
            spread_of(figure_over_seeds(records, name, STANDARD_ERROR)),
            spread_of(figure_over_seeds(records, name, MEAN_ERROR)),
            margin.margin,
            times,
        )
        for name, margin in policy.comparison.margins.items()
    ]


@dataclass(frozen=True)
class SpreadTable:
    """One table for a terminal of 80 columns: title, column headings, and rows of cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join([f"{self.title}\n", *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def spread_tables(rows: Sequence[SpreadRow]) -> tuple[SpreadTable, ...]:
    """The rows as three tables: the margins with the SD, the mean absolute error, and the standard error.

    Every figure is in the parameter's unit.
    """
    names = [PARAMETERS[row.parameter].label for row in rows]
    times = next((row.times_spread for row in rows if row.times_spread is not None), None)
    required = "no ratio required" if times is None else f"at least {times:g} SDs required"
    sds = [f"{row.mean_error.sd:.3f}" if row.mean_error else "not known" for row in rows]
    margins = [(n, f"{r.margin:g} {r.unit}", sd, _ratio(r)) for n, r, sd in zip(names, rows, sds, strict=True)]
    head = ("parameter", "fits", "mean", "SD [95 %]", "range")
    return (
        SpreadTable(
            f"Margins beside the SD of the mean absolute error ({required})",
            ("parameter", "margin", "SD", "margin / SD"),
            tuple(margins),
        ),
        *(
            SpreadTable(title, head, tuple((n, *_cells(s)) for n, s in zip(names, spreads, strict=True)))
            for title, spreads in (
                ("Mean absolute error", [row.mean_error for row in rows]),
                ("Standard error of estimate", [row.standard_error for row in rows]),
            )
        ),
    )


def describe_few_fits(rows: Sequence[SpreadRow]) -> str:
    """A warning that the SD of two or three fits is uncertain; "" for more fits."""
    fewest = min((row.mean_error.n for row in rows if row.mean_error is not None), default=0)
    if not 2 <= fewest < 4:
        return ""
    low, high = _interval(fewest - 1)
    return (
        f"The SD of {fewest} fits is uncertain: its 95 % interval is {low:.2g} to {high:.2g} times the SD above. "
        "Use --count to fit more seeds."
    )


def _ratio(row: SpreadRow) -> str:
    ratio = f"{row.margin / row.mean_error.sd:.1f}" if row.mean_error and row.mean_error.sd > 0 else "not known"
    return f"{ratio}: too narrow" if row.above is False else ratio


def _cells(spread: Spread | None) -> tuple[str, ...]:
    """The cells of one row: number of fits, mean, SD with its interval, and range."""
    if spread is None:
        return ("0 or 1", "not known", "not known", "not known")
    sd = f"{spread.sd:.3f} [{spread.sd_low:.3f}, {spread.sd_high:.3f}]"
    return str(spread.n), f"{spread.mean:.2f}", sd, f"{spread.least:.2f} to {spread.most:.2f}"
