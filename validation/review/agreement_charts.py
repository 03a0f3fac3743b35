"""The regression and Bland-Altman charts of each parameter, for one or two models.

The charts of both models have the same scales, so that their scatter can be compared. If a model has fewer than two
predictions of a parameter, the page shows the number of predictions instead of a chart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement
from validation.evaluation.record import EvaluationRecord, ModelRole
from validation.review.chart_style import DASHED, MUTED, ROLE_COLOURS, as_svg, chart_style, panels

MIN_ANSWERS = 2
_SIZE, _MARGINS = (390.0, 190.0), (36.0, 6.0, 30.0, 34.0)


@dataclass(frozen=True)
class Answers:
    """Ids, true values and predictions of one parameter in the N studies that have both values."""

    names: tuple[str, ...]
    truth: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True)
class AgreementDrawing:
    """The charts of one parameter.

    Attributes:
        label: the parameter's name on the page.
        in_paper: whether the parameter is one of the paper's six parameters.
        charts: one SVG for each model, with regression and Bland-Altman plot side by side.
        missing: a text for each model with too few predictions for a chart.
    """

    label: str
    in_paper: bool
    charts: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Scales:
    """The axis limits that the charts of both models share.

    Attributes:
        values: lower and upper limit of the axes of values.
        reach: upper limit of the axis of differences. The lower limit is ``-reach``.
    """

    values: tuple[float, float]
    reach: float


@chart_style()
def draw_agreements(records: Sequence[EvaluationRecord]) -> tuple[AgreementDrawing, ...]:
    """The charts of every parameter with a true value in the test set. The paper's parameters are first."""
    names = sorted(PARAMETERS, key=lambda name: not PARAMETERS[name].in_paper)
    return tuple(_draw(records, name) for name in names if records[0].statistics[name].n_truth)


def _draw(records: Sequence[EvaluationRecord], parameter: str) -> AgreementDrawing:
    answers = {record.model_role: answers_of(record, parameter) for record in records}
    drawn = [record for record in records if len(answers[record.model_role].truth) >= MIN_ANSWERS]
    scales = _scales(drawn, parameter, answers) if drawn else None
    definition = PARAMETERS[parameter]
    return AgreementDrawing(
        label=definition.label,
        in_paper=definition.in_paper,
        charts=tuple(_chart(r, parameter, answers[r.model_role], scales) for r in drawn if scales),
        missing=tuple(_few(record, parameter) for record in records if record not in drawn),
    )


def _few(record: EvaluationRecord, parameter: str) -> str:
    agreement = record.statistics[parameter]
    return f"{record.model_role}: {agreement.n} of {agreement.n_truth} values predicted"


def answers_of(record: EvaluationRecord, parameter: str) -> Answers:
    """The studies in which ``parameter`` has a true value and a prediction."""
    outcomes = [(s.study_id, s.parameter(parameter)) for s in record.studies]
    known = [(i, o.truth, o.predicted) for i, o in outcomes if o.truth is not None and o.predicted is not None]
    return Answers(tuple(i for i, _, _ in known), tuple(t for _, t, _ in known), tuple(p for _, _, p in known))


def _scales(drawn: Sequence[EvaluationRecord], parameter: str, answers: Mapping[ModelRole, Answers]) -> _Scales:
    given = [answers[record.model_role] for record in drawn]
    every = [value for a in given for value in (*a.truth, *a.predicted)]
    pad = 0.06 * max(max(every) - min(every), 1.0)
    differences = [abs(p - t) for a in given for t, p in zip(a.truth, a.predicted, strict=True)]
    limits = [abs(_value(record.statistics[parameter], name) or 0.0) for record in drawn for name in _LIMITS]
    return _Scales((min(every) - pad, max(every) + pad), 1.1 * max(*differences, *limits, 0.5))


_LIMITS = ("loa_low", "loa_high")


def _chart(record: EvaluationRecord, parameter: str, answers: Answers, scales: _Scales) -> str:
    figure, (left, right) = panels(2, _SIZE, _MARGINS)
    _regression(left, record, parameter, answers, scales)
    _bland_altman(right, record, parameter, answers, scales)
    title = f"{PARAMETERS[parameter].label}, {record.model_role}: regression of predicted on truth, and Bland-Altman"
    return as_svg(
        figure, f"{title}, {len(answers.truth)} studies", {"regression": answers.names, "pairs": answers.names}
    )


def _regression(axes: Any, record: EvaluationRecord, parameter: str, answers: Answers, scales: _Scales) -> None:
    agreement, colour = record.statistics[parameter], ROLE_COLOURS[record.model_role]
    unit = _unit(agreement)
    axes.plot(scales.values, scales.values, color=MUTED, linewidth=0.8, linestyle=DASHED)
    axes.scatter(answers.truth, answers.predicted, s=10, color=colour, alpha=0.62, linewidths=0, gid="regression")
    slope, intercept = _value(agreement, "slope"), _value(agreement, "intercept")
    error, r = _value(agreement, "standard_error_of_estimate"), _value(agreement, "pearson_r")
    if slope is not None and intercept is not None and error is not None and r is not None:
        ends = (min(answers.truth), max(answers.truth))
        axes.plot(ends, [intercept + slope * end for end in ends], color=colour)
        _caption(axes, f"y = {intercept:.1f} + {slope:.2f} x, SEE {error:.2f}{unit}, r {r:.3f}")
    axes.set(
        xlim=scales.values, ylim=scales.values, xlabel=f"truth, {unit.strip()}", ylabel=f"predicted, {unit.strip()}"
    )
    axes.set_title(f"{record.model_role} · regression", y=1.09)


def _bland_altman(axes: Any, record: EvaluationRecord, parameter: str, answers: Answers, scales: _Scales) -> None:
    agreement, colour = record.statistics[parameter], ROLE_COLOURS[record.model_role]
    unit = _unit(agreement)
    axes.axhline(0, color=MUTED, linewidth=0.8, linestyle=DASHED)
    bias, (low, high) = _value(agreement, "bias"), (_value(agreement, name) for name in _LIMITS)
    if bias is not None and low is not None and high is not None:
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)
        axes.axhline(bias, color=colour)
        _caption(axes, f"bias {bias:+.1f}, limits {low:+.1f} … {high:+.1f}{unit}")
    means = [(t + p) / 2 for t, p in zip(answers.truth, answers.predicted, strict=True)]
    differences = [p - t for t, p in zip(answers.truth, answers.predicted, strict=True)]
    axes.scatter(means, differences, s=10, color=colour, alpha=0.62, linewidths=0, gid="pairs")
    axes.set(xlim=scales.values, ylim=(-scales.reach, scales.reach))
    axes.set(xlabel=f"mean of both, {unit.strip()}", ylabel=f"predicted − truth, {unit.strip()}")
    axes.set_title(f"{record.model_role} · Bland-Altman", y=1.09)


def _caption(axes: Any, text: str) -> None:
    """Write the statistics of a chart between its title and its frame."""
    axes.text(0, 1.03, text.replace("-", "−"), transform=axes.transAxes, fontsize=7)


def _value(agreement: Agreement, figure: str) -> float | None:
    return agreement.figures[figure].value


def _unit(agreement: Agreement) -> str:
    return "°" if agreement.unit == "deg" else f" {agreement.unit}"
