"""Where a model put its landmarks in each study of the test set: kept beside the record, for people to look at.

Contract: no figure of a record comes from here; the file names the digest of the record that was made from the same
predictions, and one that names another is refused, so that an image never shows another model's points. Pixels of the
study's own image, a tenth of a pixel exact.
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
from validation.evaluation.sealing import read_sealed, write_sealed

SCHEMA = "plumbline.found_points/1"
FILE = "found_points.json"

_Stored = dict[str, dict[str, dict[ViewName, dict[str, tuple[float, float]]]]]


def write_found_points(predictions: Sequence[Prediction], record: EvaluationRecord, path: Path) -> None:
    """Keep the predicted points of every study under the digest of ``record``."""
    studies = {p.study_id: {view: _stored(points) for view, points in p.points.items()} for p in predictions}
    write_sealed(SCHEMA, {record.digest: studies}, path)


def read_found_points(path: Path, record: EvaluationRecord) -> Mapping[str, Mapping[ViewName, Points2D]]:
    """Study -> view -> landmark -> (2,) pixels; empty where the evaluation kept none.

    Raises:
        EvidenceRejected: ``POINTS_OF_ANOTHER`` where they belong to another record; the codes of ``read_sealed``.
    """
    if not path.is_file():
        return {}
    try:
        stored = _adapter().validate_python(read_sealed(SCHEMA, path))
    except ValidationError as error:
        raise EvidenceRejected(
            "EVIDENCE_UNREADABLE",
            found=f"{path.name}: {error.error_count()} field(s) not as they must be",
            expected=SCHEMA,
            remedy="evaluate again with this version",
        ) from error
    if set(stored) != {record.digest}:
        raise EvidenceRejected(
            "POINTS_OF_ANOTHER",
            found=f"points of record {', '.join(name[:12] for name in stored) or 'none'}",
            expected=f"those of record {record.digest[:12]}",
            remedy="evaluate again: record and points are written together",
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
