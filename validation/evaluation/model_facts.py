"""The facts of how a model was made, which the evaluation record seals for the gate's change control.

Contract: the facts of the model come from its contract, which the model's digest covers. The facts of the training come
from the record of the fit with this digest. They are None if that record is not available.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingFacts:
    """What a model learnt from, and with which parameters.

    Attributes:
        sources: the kinds of source of the training studies, sorted; ``virtual`` includes patients that are rendered
            during training.
        patients: the pseudonyms of the patients in the train split, sorted; empty if the fit did not use the split.
        parameters: name of a training parameter -> its value as text, with dots between levels.
    """

    sources: tuple[str, ...]
    patients: tuple[str, ...]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class ModelFacts:
    """What a model reads and finds, and its training.

    Attributes:
        landmark_set, landmarks: the landmark set, and the names of the landmarks that the model finds.
        input_shape: rows and columns of the network's input in pixels.
        training: the facts of the training; None if they are not known.
    """

    landmark_set: str
    landmarks: tuple[str, ...]
    input_shape: tuple[int, int]
    training: TrainingFacts | None = None


def new_patients(challenger: ModelFacts | None, champion: ModelFacts | None) -> int | None:
    """The number of patients from which the challenger learnt and the champion did not; None if this is not known."""
    if challenger is None or champion is None or challenger.training is None or champion.training is None:
        return None
    return len({*challenger.training.patients} - {*champion.training.patients})
