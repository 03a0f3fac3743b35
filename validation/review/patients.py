"""The patients on the page: the worst, the most changed, the median and the best patient, with figures and images.

A patient's loss is the mean of |error| / margin over the parameters with a margin. As in the gate, the error of a
parameter without a prediction is the penalty. Patients with equal losses are sorted by name, so that the same records
give the same page.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS
from spine.study import Points2D
from validation.evaluation.outcomes import ParameterOutcome, StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Comparison
from validation.gates.paired import loss_of
from validation.gates.subgroups import has_truth
from validation.review.subgroup_names import groups_of
from validation.review.svg_outline import Layer, draw_layer

SHOWN = 20
"""The number of worst patients on the page. The page shows as many most changed patients."""

NOTABLE = 1.0
"""The difference in degrees or mm by which a marked prediction is worse than the champion's prediction."""

_LAYERS = ("truth", "champion", "challenger")
"""The order in which the layers are drawn. The challenger is on top."""

Points = Mapping[str, Mapping[ViewName, Points2D]]


@dataclass(frozen=True)
class EncodedImage:
    """A radiograph for the page.

    Attributes:
        jpeg: the encoded image.
        size: (width, height) in pixels of the original image. The landmarks are in pixels of this image.
    """

    jpeg: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class ViewDrawing:
    """One view of a patient: the image as a data URL, SVG layers of outlines, and the layer of each role."""

    view: str
    alt: str
    data: str
    size: tuple[int, int]
    layers: str
    roles: tuple[Layer, ...]


@dataclass(frozen=True)
class AnswerRow:
    """One parameter of a patient as text: the true value, and both predictions with their errors.

    ``worse`` is True if the challenger has no prediction, or if its error exceeds the champion's by ``NOTABLE``.
    ``judged`` is True if the gate compares the parameter with the champion's.
    """

    label: str
    truth: str
    challenger: str
    champion: str
    worse: bool
    judged: bool


@dataclass(frozen=True)
class Patient:
    """One patient of the page.

    Attributes:
        study, patient: ids of the study and the patient.
        groups: dimension -> subgroup.
        loss, champion_loss: losses of both models, in margins. ``champion_loss`` is None without a champion.
        loss_rank: rank among all patients by loss. The worst patient has rank 1.
        change_rank: rank by the size of the change of the loss; None without a champion.
        place: ``best``, ``median`` or ``worst`` if this is the patient's place among all patients; otherwise "".
        answers: one row for each parameter with a true value.
        remarks: texts on missing predictions and on shifted level names.
    """

    study: str
    patient: str
    groups: Mapping[str, str]
    loss: float
    champion_loss: float | None
    loss_rank: int
    change_rank: int | None
    place: str
    answers: tuple[AnswerRow, ...]
    views: tuple[ViewDrawing, ...]
    remarks: tuple[str, ...]

    @property
    def change(self) -> float | None:
        """The challenger's loss minus the champion's loss. If it is above 0, the challenger is worse."""
        return None if self.champion_loss is None else self.loss - self.champion_loss


def chosen_studies(
    challenger: EvaluationRecord, champion: EvaluationRecord | None, comparison: Comparison
) -> tuple[str, ...]:
    """The ids of the studies to show. The worst study is first.

    These are the ``SHOWN`` worst studies, the ``SHOWN`` most changed studies, the median study and the best study.
    """
    ranked = _ranked(challenger, champion, comparison)
    return tuple(
        study
        for study, (worst, changed) in ranked.items()
        if worst <= SHOWN or (changed or SHOWN + 1) <= SHOWN or _place(worst, len(ranked))
    )


def describe_patients(
    challenger: EvaluationRecord,
    champion: EvaluationRecord | None,
    comparison: Comparison,
    images: Mapping[tuple[str, ViewName], EncodedImage],
    points: Mapping[str, Points],
) -> tuple[Patient, ...]:
    """The patients to show. The worst patient is first.

    Args:
        images: (study, view) -> image. A study may have no image.
        points: ``challenger``, ``champion`` or ``truth`` -> study -> view -> landmarks.
    """
    ours, theirs = _by_id(challenger), _by_id(champion)
    ranks = _ranked(challenger, champion, comparison)
    return tuple(
        Patient(
            study=name,
            patient=ours[name].patient,
            groups=groups_of(ours[name]),
            loss=_loss(ours[name], comparison),
            champion_loss=_loss(theirs[name], comparison) if name in theirs else None,
            loss_rank=ranks[name][0],
            change_rank=ranks[name][1],
            place=_place(ranks[name][0], len(ranks)),
            answers=_answers(ours[name], theirs.get(name), list(comparison.margins)),
            views=_views(name, images, points),
            remarks=_remarks(ours[name], theirs.get(name)),
        )
        for name in chosen_studies(challenger, champion, comparison)
    )


def _by_id(record: EvaluationRecord | None) -> dict[str, StudyOutcome]:
    return {s.study_id: s for s in record.studies} if record else {}


def _ranked(
    challenger: EvaluationRecord, champion: EvaluationRecord | None, comparison: Comparison
) -> dict[str, tuple[int, int | None]]:
    """Study -> (rank by loss, rank by size of the change). The study with the largest loss is first."""
    ours, theirs = _by_id(challenger), _by_id(champion)
    losses = {name: _loss(study, comparison) for name, study in ours.items()}
    changes = {name: abs(losses[name] - _loss(study, comparison)) for name, study in theirs.items() if name in losses}
    worst, changed = _ranks(losses), _ranks(changes)
    return {name: (rank, changed.get(name)) for name, rank in worst.items()}


def _ranks(values: Mapping[str, float]) -> dict[str, int]:
    ordered = sorted(values, key=lambda name: (-values[name], name))
    return {name: rank for rank, name in enumerate(ordered, start=1)}


def _place(worst: int, count: int) -> str:
    """The place of the rank ``worst`` among ``count`` patients: ``worst``, ``median``, ``best``; or "", if none."""
    return {count: "best", (count + 1) // 2: "median", 1: "worst"}.get(worst, "")


def _loss(study: StudyOutcome, comparison: Comparison) -> float:
    losses = [
        loss_of(study, name, margin) / margin.margin
        for name, margin in comparison.margins.items()
        if has_truth(study, name)
    ]
    return sum(losses) / len(losses) if losses else 0.0


def _answers(ours: StudyOutcome, theirs: StudyOutcome | None, compared: Sequence[str]) -> tuple[AnswerRow, ...]:
    rows = []
    for name in dict.fromkeys((*compared, *PARAMETERS)):
        outcome, other = ours.parameter(name), theirs.parameter(name) if theirs else None
        if outcome.truth is None:
            continue
        before = None if other is None else other.error
        worse = outcome.error is None or (before is not None and abs(outcome.error) - abs(before) >= NOTABLE)
        unit = "°" if outcome.unit == "deg" else " mm"
        truth = f"{outcome.truth:.1f}{unit}".replace("-", "−")
        theirs_text = _answer(other, unit) if other else "no champion"
        judged, label = name in compared, PARAMETERS[name].label
        rows.append(AnswerRow(label, truth, _answer(outcome, unit), theirs_text, worse, judged))
    return tuple(rows)


def _answer(outcome: ParameterOutcome, unit: str) -> str:
    if outcome.predicted is None or outcome.error is None:
        return "not predicted"
    space = "\u00a0" if unit == "°" else " "  # only the longer texts in mm may be folded
    return f"{outcome.predicted:.1f}{unit}{space}({outcome.error:+.1f})".replace("-", "−")


def _views(
    study: str, images: Mapping[tuple[str, ViewName], EncodedImage], points: Mapping[str, Points]
) -> tuple[ViewDrawing, ...]:
    drawn = []
    for (name, view), image in images.items():
        if name != study:
            continue
        layers = {role: points[role].get(study, {}).get(view, {}) for role in _LAYERS if role in points}
        roles = tuple(draw_layer(view, found, role, image.size) for role, found in layers.items())
        strokes = "".join(layer.strokes for layer in roles)
        counts = ", ".join(f"{role} {len(found)}" for role, found in layers.items())
        alt = f"{view} radiograph of study {study}; number of landmarks drawn: {counts}"
        data = "data:image/jpeg;base64," + base64.b64encode(image.jpeg).decode()
        drawn.append(ViewDrawing(view, alt, data, image.size, strokes, roles))
    return tuple(drawn)


def _remarks(ours: StudyOutcome, theirs: StudyOutcome | None) -> tuple[str, ...]:
    """Texts on missing predictions with their reasons, and on shifted level names."""
    remarks: list[str] = []
    for role, study in (("challenger", ours), ("champion", theirs)):
        absent = [o for o in (study.parameters if study else ()) if o.truth is not None and o.predicted is None]
        reasons = Counter(outcome.predicted_absent_reason or "reason not recorded" for outcome in absent)
        remarks += [f"{role}: {count} parameters not predicted ({reason})" for reason, count in reasons.items()]
        shifted: Sequence[tuple[str, int]] = [(v, s) for v, s in (study.level_shifts if study else {}).items() if s]
        remarks += [f"{role}: level names shifted by {abs(s)} in the {view} view" for view, s in shifted]
    return tuple(remarks)
