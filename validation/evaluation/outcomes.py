"""What came out for one study: truths beside predictions, landmark errors, the facts subgroups are made of.

Contract: a parameter has, on either side, a value or a reason; every parameter of the registry is there, so that
nothing can be left out unseen.
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
"""Facts of an example that travel into the record."""

NOT_MEASURED = "the model did not report this parameter"
NO_PREDICTION = "the model gave no prediction for this study"
NO_TRUTH = "the dataset holds no truth for this parameter"


@dataclass(frozen=True)
class ParameterOutcome:
    """Truth and prediction of one parameter in one study; each a value or the reason of its absence.

    ``interval`` is what the model says holds the truth nine times in ten, where it says so.
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
        """Predicted minus true, where both exist."""
        if self.truth is None or self.predicted is None:
            return None
        return self.predicted - self.truth


@dataclass(frozen=True)
class StudyOutcome:
    """Everything that came out for one study.

    Attributes:
        study_id, patient, source: as in the dataset.
        facts: the ``SUBGROUP_FACTS`` the study has.
        parameters: one outcome for each parameter of the registry, in its order.
        landmarks: landmark errors by view, then in 3D.
        level_shifts: view -> shift of the chain of level names (None: too few points to tell).
        seconds: wall time of the prediction.
        true_side, found_side: convexity of the major curve; None where it cannot be told, or was not.
        orientations: view -> whether it was answered the right way round.
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
        """The outcome of one parameter.

        Raises:
            KeyError: the registry has no such parameter.
        """
        for outcome in self.parameters:
            if outcome.parameter == name:
                return outcome
        raise KeyError(name)


def outcome_of(prediction: Prediction | None, example: Example) -> StudyOutcome:
    """Compare one prediction (None: there is none) with one example.

    Raises:
        ContractViolation: ``PREDICTION_NOT_FINITE`` where a point or the wall time is NaN or infinite.
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
        raise _violation("PREDICTION_NOT_FINITE", f"{', '.join(bad[:5]) or 'seconds'} of study {prediction.study_id}")


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _violation(code: str, found: str) -> ContractViolation:
    remedy = "an absent landmark has no key, an absent parameter a reason: correct the step that wrote it"
    return ContractViolation(code, found=found, expected="finite numbers", remedy=remedy)
