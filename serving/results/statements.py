"""What every result says about itself: that it is not for diagnosis, who made it, and what a reader must know."""

from typing import TYPE_CHECKING

from inference.overlay import NOT_FOR_DIAGNOSIS, interval_lines, warnings_of
from spine.radiograph.recognise import RESULT_MAKER

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

MANUFACTURER = RESULT_MAKER
MODEL_NAME = "Plumbline"

_NOT_VERIFIED = "Measured by software (AI), not verified by a person. Not for diagnosis."
_SIMULATED = "The model was trained on simulated data only."


def series_description(study: "MeasuredStudy", what: str) -> str:
    """At most 64 characters (VR LO)."""
    simulated = ", SIMULATED TRAINING DATA" if study.model.contract.simulated_training_data else ""
    return f"AI {what}, UNVERIFIED{simulated}"


def statements(study: "MeasuredStudy") -> list[str]:
    """Sentences without identifiers: what the result is, warnings, and what the intervals rest on."""
    simulated = [_SIMULATED] if study.model.contract.simulated_training_data else []
    return [_NOT_VERIFIED, *simulated, *warnings_of(study.prediction), *interval_lines(study.prediction)]


__all__ = ["MANUFACTURER", "MODEL_NAME", "NOT_FOR_DIAGNOSIS", "series_description", "statements"]
