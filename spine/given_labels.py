"""Checks 2D landmark labels that a person or a program gave for the images of one study.

Contract: labels that pass have known names, are finite and lie on their image. All faults of a study are reported at
once, and no message quotes a name or a number that was given.

    LABEL_VIEW_UNKNOWN     labels of a view that the study does not have
    LABEL_UNKNOWN          a landmark that no landmark set locates in this view
    LABELS_NOT_FINITE      a coordinate that is no finite number
    LABELS_OUTSIDE_IMAGE   a point outside its image
"""

from collections.abc import Mapping

import numpy as np

from spine.errors import LabelsRejected
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName
from spine.scanner import is_on_image
from spine.study import Points2D

LABEL_NAMES: Mapping[ViewName, frozenset[str]] = {
    view: frozenset(name for known in LANDMARK_SETS.values() for name in known.names_in(view)) for view in VIEWS
}
"""View -> the landmarks that may be labelled in it: those of every landmark set."""


def require_labels(points: Mapping[ViewName, Points2D], shapes: Mapping[ViewName, tuple[int, int]]) -> None:
    """Check points, (2,) (column, row) in pixels of an image of ``shapes`` (H, W), by view and landmark.

    Raises:
        LabelsRejected: see the head of the module.
    """
    for view, labels in points.items():
        if view not in shapes:
            raise _labels("LABEL_VIEW_UNKNOWN", "landmarks of a view without an image", "landmarks of the images")
        unknown = sum(name not in LABEL_NAMES[view] for name in labels)
        if unknown:
            found = f"{unknown} unknown landmark(s) in the {view} view"
            raise _labels("LABEL_UNKNOWN", found, "names of the landmark sets (docs/parameters.md)")
        wrong = sum(np.shape(xy) != (2,) or not np.all(np.isfinite(xy)) for xy in labels.values())
        if wrong:
            found = f"{wrong} {view} landmark(s) without two finite coordinates"
            raise _labels("LABELS_NOT_FINITE", found, "a column and a row in pixels")
        outside = sum(not is_on_image(xy, shapes[view]) for xy in labels.values())
        if outside:
            found = f"{outside} {view} landmark(s) outside the image"
            raise _labels("LABELS_OUTSIDE_IMAGE", found, "points on the image; leave out what it does not show")


def _labels(code: str, found: str, expected: str) -> LabelsRejected:
    return LabelsRejected(code, found, expected, "correct the landmarks and send them again")
