"""The outcome of one study: truth and prediction of each parameter, landmark errors, and facts for subgroups.

Contract: truth and prediction each have a value, or a reason why the value is absent. Every parameter of the registry
has an outcome, so that no parameter can be left out unnoticed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from spine.dataset import Example
from spine.errors import ContractViolation
from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from validation.evaluation.landmark_errors import LandmarkError, landmark_errors, level_shift
from validation.evaluation.sides import Orientation, Side, found_side, orientations, true_side

SUBGROUP_FACTS: tuple[str, ...] = ("condition", "anatomy", "field_of_view", "sex", "age_years", "appearance")
"""Facts of an example that are copied into the record."""

NOT_MEASURED = "the model does not report this parameter"
NO_PREDICTION = "the model has no prediction of this study"
NO_TRUTH = "the dataset has no truth of this parameter"


@dataclass(frozen=True)
class ParameterOutcome:
    """Truth and prediction of one parameter in one study: each a value, or the reason why the value is absent.

    ``interval`` is the model's 90 % interval; None if the model does not report an interval.
    """

    parameter: str
    unit: str
    truth: float | None
    predicted: float | None
    truth_absent_reason: str | None = None
    predicted_absent_reason: str | None = None
    interval: tuple[float, float] | None = None

    @property
    def error(self) -> float | None:
        """Predicted minus true value; None if one of the two values is absent."""
        if self.truth is None or self.predicted is None:
            return None
        return self.predicted - self.truth


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of one study.

    Attributes:
        study_id, patient, source: the values in the dataset.
        facts: the ``SUBGROUP_FACTS`` of the study.
        parameters: one outcome for each parameter, in the order of the registry.
        landmarks: landmark errors by view, then in 3D.
        level_shifts: view -> number of levels by which the level names are shifted; None if there are too few points.
        seconds: wall time of the prediction.
        true_side, found_side: side of the major curve's convexity, in the truth and in the prediction; None if the
            side cannot be determined.
        orientations: view -> whether the predicted points are mirrored.
    """

    study_id: str
    patient: str
    source: str
    facts: Mapping[str, str | float | int | bool | None]
    parameters: tuple[ParameterOutcome, ...]
    landmarks: tuple[LandmarkError, ...]
    level_shifts: Mapping[ViewName, int | None]
    seconds: float
    true_side: Side | None = None
    found_side: Side | None = None
    orientations: Mapping[ViewName, Orientation] = field(default_factory=dict)

    def parameter(self, name: str) -> ParameterOutcome:
        """The outcome of one parameter; raises a KeyError for a name that is not in the registry."""
        return {outcome.parameter: outcome for outcome in self.parameters}[name]


def outcome_of(prediction: Prediction | None, example: Example) -> StudyOutcome:
    """The outcome of one study. ``prediction`` is None if the model has no prediction of the study.

    Raises:
        ContractViolation: ``PREDICTION_NOT_FINITE``: a point or the wall time is NaN or infinite.
            ``TRUTH_NOT_FINITE``: a reference value is NaN or infinite.
    """
    if prediction is not None:
        _require_finite(prediction)
    return StudyOutcome(
        study_id=example.study_id,
        patient=example.patient,
        source=example.source,
        facts={k: example.facts[k] for k in SUBGROUP_FACTS if _is_plain(example.facts.get(k))},
        parameters=tuple(_parameter_outcome(name, prediction, example) for name in PARAMETERS),
        landmarks=landmark_errors(prediction, example),
        level_shifts={
            view.view: level_shift(prediction.points.get(view.view, {}) if prediction else {}, view.points)
            for view in example.views.values()
        },
        seconds=prediction.seconds if prediction else 0.0,
        true_side=true_side(example),
        found_side=found_side(prediction),
        orientations=orientations(prediction, example),
    )


def _parameter_outcome(name: str, prediction: Prediction | None, example: Example) -> ParameterOutcome:
    unit = PARAMETERS[name].unit
    truth = example.truth.get(name)
    value = truth.value if truth else None
    if value is not None and not math.isfinite(value):
        raise _violation("TRUTH_NOT_FINITE", f"{name} = {value} in study {example.study_id}")
    missing = Measured(None, unit, NOT_MEASURED if prediction else NO_PREDICTION, absent_code="NOT_PREDICTED")
    predicted = prediction.parameters.get(name, missing) if prediction else missing
    return ParameterOutcome(
        parameter=name,
        unit=unit,
        truth=None if value is None else float(value),
        predicted=None if predicted.value is None else float(predicted.value),
        truth_absent_reason=None if value is not None else (truth.absent_reason if truth else None) or NO_TRUTH,
        predicted_absent_reason=predicted.absent_reason,
        interval=predicted.interval,
    )


def _require_finite(prediction: Prediction) -> None:
    points = [(name, xy) for view in prediction.points.values() for name, xy in view.items()]
    points += list(prediction.points_3d.items())
    bad = [name for name, xy in points if not all(math.isfinite(float(c)) for c in xy)]
    if bad or not math.isfinite(prediction.seconds):
        found = f"NaN or infinity in {', '.join(bad[:5]) or 'seconds'} of study {prediction.study_id}"
        raise _violation("PREDICTION_NOT_FINITE", found)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _violation(code: str, found: str) -> ContractViolation:
    remedy = "correct the step that wrote this value: omit absent landmarks, and state why a parameter is absent"
    return ContractViolation(code, found=found, expected="finite numbers", remedy=remedy)
