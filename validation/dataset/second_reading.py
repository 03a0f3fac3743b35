"""A second reading of the labels: the landmarks that a model finds in an image, compared with the labels of the study.

Nobody looks at most labels. A model that was trained on other images is a weak second reader: it does not see better
than the person who labelled, but it sees noise, images upside down or mirrored, and labels of another patient.

The comparison does not depend on the size of the image or on the names of the levels, because a model may name all
vertebrae one level too high. Lengths are in steps, the median distance of neighbouring labelled vertebrae, about 25 mm.

    off_line   median distance of the vertebrae found from the line through the labelled vertebrae, in steps
    shift      median of (level found at the same height - level), in levels

Limits are in ``suites.yaml``. ``python -m benchmarks.second_reader`` prints what they find and what they wrongly flag.

Contract: a reading is a record of one image. ``orchestration.pipeline`` makes the readings, because ``validation`` has
no model.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from spine.landmarks import VERTEBRAE, ViewName
from spine.study import Points2D
from spine.types import Floats
from validation.dataset.spine_shape import vertebrae_of

MIN_VERTEBRAE = 3
"""Vertebrae that both the labels and the reader must have for a comparison."""
_BEYOND = 3.0
"""The line through the labels is extended by this number of its outer segments at each end."""

RULES = ("reader_accepts", "reader_on_the_line", "reader_levels", "reader_levels_agree")
"""Rules on readings. A person may accept a study that breaks them (``ValidationConfig.accepted``)."""


@dataclass(frozen=True)
class Reading:
    """The second reading of one image.

    Attributes:
        study_id, view: the image.
        reader: digest of the model.
        refusal: why the model does not accept the image, or empty.
        off_line, shift: the comparison with the labels; None if it is not possible.
        levels: number of vertebrae that the model found.
        width_cells: median width of the model's heat maps, in cells; None if no landmark was found.
        points: landmarks that the model found, for pictures.
    """

    study_id: str
    view: ViewName
    reader: str
    refusal: str = ""
    off_line: float | None = None
    shift: float | None = None
    levels: int = 0
    width_cells: float | None = None
    points: Points2D = field(default_factory=dict, repr=False, compare=False)


def compared(
    study_id: str,
    view: ViewName,
    reader: str,
    found: Points2D,
    labels: Points2D,
    refusal: str = "",
    width_cells: float | None = None,
) -> Reading:
    """The reading of an image in which a model found these landmarks; all points are (column, row) in pixels."""
    line, position = _centres(labels)
    seen, names = _centres(found)
    reading = Reading(study_id, view, reader, refusal, levels=len(seen), width_cells=width_cells, points=found)
    if refusal or len(line) < MIN_VERTEBRAE or len(seen) < MIN_VERTEBRAE:
        return reading
    step = float(np.median(np.linalg.norm(np.diff(line, axis=0), axis=1) / np.diff(position)))
    distance, level = _on_line(seen, line, position)
    off_line = float(np.median(distance)) / step if step > 0 else None
    return replace(reading, off_line=off_line, shift=float(np.median(level - names)))


def _centres(points: Points2D) -> tuple[Floats, Floats]:
    """((n, 2) centres of the vertebrae with both plates, (n,) their positions among T1..L5)."""
    vertebrae = vertebrae_of(points)
    return vertebrae.centres[vertebrae.seen], np.arange(len(VERTEBRAE), dtype=np.float64)[vertebrae.seen]


def _on_line(seen: Floats, line: Floats, position: Floats) -> tuple[Floats, Floats]:
    """((m,) distances of points from a line of n vertices, (m,) positions of their nearest points on it)."""
    start, along = line[:-1], np.diff(line, axis=0)
    low, high = np.zeros(len(along)), np.ones(len(along))
    low[0], high[-1] = -_BEYOND, 1 + _BEYOND
    share = np.einsum("msd,sd->ms", seen[:, None] - start, along) / np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip(share, low, high)
    distances = np.linalg.norm(seen[:, None] - (start + share[..., None] * along), axis=2)
    nearest = distances.argmin(axis=1)
    rows = np.arange(len(seen))
    levels = position[:-1][nearest] + share[rows, nearest] * np.diff(position)[nearest]
    return distances[rows, nearest], levels
