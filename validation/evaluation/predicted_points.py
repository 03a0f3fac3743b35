"""The landmarks that a model predicted in each study of the test set, stored beside the record for the review.

Contract: no figure of a record comes from this file. The file names the digest of the record that was made from the
same predictions. A file of another record is refused, so that the review never shows the points of another model.
Points are in pixels of the study's image, rounded to a tenth.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from spine.errors import EvidenceRejected
from spine.landmarks import ViewName
from spine.prediction import Prediction
from spine.study import Points2D
from validation.evaluation.record import EvaluationRecord
from validation.evaluation.sealing import open_sealed, unreadable, write_sealed

SCHEMA = "plumbline.predicted_points/1"
FILE = "predicted_points.json"

_Stored = dict[str, dict[str, dict[ViewName, dict[str, tuple[float, float]]]]]


def write_predicted_points(predictions: Sequence[Prediction], record: EvaluationRecord, path: Path) -> None:
    """Write the predicted points of every study under the digest of ``record``."""
    studies = {p.study_id: {view: _stored(points) for view, points in p.points.items()} for p in predictions}
    write_sealed(SCHEMA, {record.digest: studies}, path)


def read_predicted_points(path: Path, record: EvaluationRecord) -> Mapping[str, Mapping[ViewName, Points2D]]:
    """Study -> view -> landmark -> (2,) pixels; empty if the file does not exist.

    Raises:
        EvidenceRejected: ``POINTS_MISMATCH`` if the points belong to another record; the codes of ``open_sealed``.
    """
    if not path.is_file():
        return {}
    try:
        stored = _adapter().validate_python(open_sealed(SCHEMA, path).content)
    except ValidationError as error:
        raise unreadable(f"{path.name} with {error.error_count()} invalid field(s)", SCHEMA) from error
    if set(stored) != {record.digest}:
        raise EvidenceRejected(
            "POINTS_MISMATCH",
            found=f"points of record {', '.join(name[:12] for name in stored) or 'none'}",
            expected=f"points of record {record.digest[:12]}",
            remedy="evaluate again: the evaluation writes the record and the points together",
        )
    return {
        study: {view: {name: np.array(xy) for name, xy in points.items()} for view, points in views.items()}
        for study, views in stored[record.digest].items()
    }


def _stored(points: Points2D) -> dict[str, list[float]]:
    return {name: [round(float(c), 1) for c in xy] for name, xy in points.items()}


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(_Stored)
