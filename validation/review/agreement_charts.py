"""Regression and Bland-Altman drawings of one parameter, for one model or for two side by side.

Contract: both models' panels share their scales, so that what looks wider is wider; a parameter with fewer than two
answers says so instead of being drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement
from validation.evaluation.record import EvaluationRecord
from validation.review.drawing import HEIGHT, WIDTH, Panel, Scale, scale_around

LEAST_ANSWERS = 2


@dataclass(frozen=True)
class Answers:
    """The answered studies of one parameter: ids, truths and predictions of the same length."""

    names: tuple[str, ...]
    truth: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True)
class AgreementDrawing:
    """The drawings of one parameter.

    Attributes:
        label: of the parameter; in_paper: whether it is one of the paper's six.
        panels: regression, then Bland-Altman, for each model in order.
        missing: in words, which model has too few answers to be drawn.
    """

    label: str
    in_paper: bool
    panels: tuple[str, ...]
    missing: tuple[str, ...]


def draw_agreements(records: Sequence[EvaluationRecord]) -> tuple[AgreementDrawing, ...]:
    """Every parameter of which the test set holds a truth, those of the paper first."""
    names = sorted(PARAMETERS, key=lambda name: not PARAMETERS[name].in_paper)
    return tuple(_draw(records, name) for name in names if records[0].statistics[name].n_truth)


def _draw(records: Sequence[EvaluationRecord], parameter: str) -> AgreementDrawing:
    answers = {record.model_role: answers_of(record, parameter) for record in records}
    drawn = [record for record in records if len(answers[record.model_role].truth) >= LEAST_ANSWERS]
    missing = [_few(record, parameter) for record in records if record not in drawn]
    every = [value for a in answers.values() for value in (*a.truth, *a.predicted)]
    reach = max((abs(p - t) for a in answers.values() for t, p in zip(a.truth, a.predicted, strict=True)), default=1.0)
    limits = [
        abs(record.statistics[parameter].figures[name].value or 0.0)
        for record in drawn
        for name in ("loa_low", "loa_high")
    ]
    half = 1.1 * max(reach, *limits, 0.5) if limits else 1.0
    panels: list[str] = []
    for record in drawn:
        panels.append(_regression(record, parameter, answers[record.model_role], every))
        panels.append(_bland_altman(record, parameter, answers[record.model_role], every, half))
    definition = PARAMETERS[parameter]
    return AgreementDrawing(definition.label, definition.in_paper, tuple(panels), tuple(missing))


def _few(record: EvaluationRecord, parameter: str) -> str:
    agreement = record.statistics[parameter]
    return f"{record.model_role}: {agreement.n} of {agreement.n_truth} answered"


def answers_of(record: EvaluationRecord, parameter: str) -> Answers:
    """What the model answered where the truth exists."""
    outcomes = [(s.study_id, s.parameter(parameter)) for s in record.studies]
    known = [(i, o.truth, o.predicted) for i, o in outcomes if o.truth is not None and o.predicted is not None]
    return Answers(tuple(i for i, _, _ in known), tuple(t for _, t, _ in known), tuple(p for _, _, p in known))


def _regression(record: EvaluationRecord, parameter: str, answers: Answers, every: Sequence[float]) -> str:
    agreement, unit = record.statistics[parameter], _unit(record.statistics[parameter])
    x = scale_around(every, 40, WIDTH - 8)
    panel = Panel(
        f"{PARAMETERS[parameter].label}, {record.model_role}: predicted against truth, {len(answers.truth)} studies",
        x,
        Scale(x.low, x.high, HEIGHT - 34, 30),
    ).frame(f"truth, {unit.strip()}", f"predicted, {unit.strip()}", heading=f"{record.model_role} · regression")
    low, high = min(every), max(every)
    panel.line([(low, low), (high, high)], "reference")
    panel.points(list(zip(answers.truth, answers.predicted, strict=True)), answers.names, record.model_role)
    slope, intercept = (agreement.figures[name].value for name in ("slope", "intercept"))
    error, r = (agreement.figures[name].value for name in ("standard_error_of_estimate", "pearson_r"))
    if slope is not None and intercept is not None and error is not None and r is not None:
        ends = (min(answers.truth), max(answers.truth))
        panel.line([(end, intercept + slope * end) for end in ends], record.model_role)
        told = f"y = {intercept:.1f} + {slope:.2f} x, SEE {error:.2f}{unit}, r {r:.3f}"
        panel.text(40, 24, told.replace("-", "−"), "told", "start")
    return panel.svg()


def _bland_altman(
    record: EvaluationRecord, parameter: str, answers: Answers, every: Sequence[float], half: float
) -> str:
    agreement, unit = record.statistics[parameter], _unit(record.statistics[parameter])
    panel = Panel(
        f"{PARAMETERS[parameter].label}, {record.model_role}: Bland-Altman, {len(answers.truth)} studies",
        scale_around(every, 40, WIDTH - 8),
        Scale(-half, half, HEIGHT - 34, 30),
    )
    bias, low, high = (agreement.figures[name].value for name in ("bias", "loa_low", "loa_high"))
    if low is not None and high is not None:
        panel.band(low, high, f"band {record.model_role}")
    panel.frame(
        f"mean of both, {unit.strip()}",
        f"predicted − truth, {unit.strip()}",
        heading=f"{record.model_role} · Bland-Altman",
    )
    panel.line([(panel.x.low, 0), (panel.x.high, 0)], "reference")
    places = [((t + p) / 2, p - t) for t, p in zip(answers.truth, answers.predicted, strict=True)]
    panel.points(places, answers.names, record.model_role)
    if bias is not None:
        panel.line([(panel.x.low, bias), (panel.x.high, bias)], record.model_role)
    if bias is not None and low is not None and high is not None:
        told = f"bias {bias:+.1f}, limits {low:+.1f} … {high:+.1f}{unit}".replace("-", "−")
        panel.text(40, 24, told, "told", "start")
    return panel.svg()


def _unit(agreement: Agreement) -> str:
    return "°" if agreement.unit == "deg" else f" {agreement.unit}"
