"""Finds the landmarks of one study, and decides their vertebral levels.

Contract: every dropped landmark is listed. An image keeps the view name that the caller gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inference.blank_regions import in_blank_regions
from inference.decoding import Decoded
from inference.inputs import ImageInput
from inference.levels import LevelEvidence, decide_levels, level_votes
from inference.model import Model
from inference.preprocessing import prepare
from inference.view_check import ViewDetection, check_views, detections_from
from spine.errors import ContractViolation
from spine.landmarks import VIEWS, ViewName, shifted_name

T = TypeVar("T")


@dataclass(frozen=True)
class Detection:
    """What the model found in one study.

    Attributes:
        decoded: view -> its landmarks, with the level names that fit all views best.
        levels: the evidence for the level names; None if too few landmarks are visible.
        wrong_views: view -> reason why its image seems to show the other view, or to be turned or mirrored.
    """

    decoded: Mapping[ViewName, Decoded]
    levels: LevelEvidence | None
    wrong_views: Mapping[ViewName, str]


def detect_landmarks(model: Model, views: Mapping[ViewName, ImageInput]) -> Detection:
    """Run the model on one study. No view, an unknown view or an invalid image raises ``ContractViolation``."""
    order: list[ViewName] = [view for view in VIEWS if view in views]
    unknown = [view for view in order if view not in model.contract.views]
    if not order or unknown:
        expected = f"at least one of {model.contract.views}, and only views that the model was trained for"
        remedy = "leave the other views out, or use a model that was trained for them"
        raise ContractViolation("VIEW_UNKNOWN", f"views {tuple(views)}", expected, remedy)
    detections = _detect_views(model, {view: views[view] for view in order})
    decoded = {view: _without_blank_regions(detection) for view, detection in detections.items()}
    votes = [level_votes(detections[v].heatmaps, model.contract.names, found.cells) for v, found in decoded.items()]
    levels = decide_levels(votes)
    if levels and levels.shift:
        decoded = {view: _shifted(found, levels.shift) for view, found in decoded.items()}
    return Detection(decoded, levels, check_views(model, detections))


def _detect_views(model: Model, views: Mapping[ViewName, ImageInput]) -> dict[ViewName, ViewDetection]:
    size, normalisation = model.contract.input_shape, model.contract.normalisation
    prepared = [prepare(v.image, size, spacing_mm=v.spacing_mm, normalisation=normalisation) for v in views.values()]
    shapes = [(int(v.image.shape[0]), int(v.image.shape[1])) for v in views.values()]
    return dict(zip(views, detections_from(model, list(views), prepared, shapes), strict=True))


def _without_blank_regions(detection: ViewDetection) -> Decoded:
    found = detection.decoded
    if not found.points:
        return found
    at = detection.prepared.affine.apply(np.stack(list(found.points.values())))
    lost = in_blank_regions(detection.prepared.pixels[0], dict(zip(found.points, at, strict=True)))
    kept = _renamed(found, {name: name for name in found.points if name not in lost})
    return replace(kept, visibility=found.visibility, in_blank_regions=lost)


def _shifted(found: Decoded, shift: int) -> Decoded:
    """The same points under the names of the levels that are ``shift`` further down."""
    return _renamed(found, {n: new for n in found.visibility if (new := shifted_name(n, shift)) is not None})


def _renamed(found: Decoded, new: Mapping[str, str]) -> Decoded:
    """The landmarks in ``new``, under their new names."""

    def renamed(values: Mapping[str, T]) -> dict[str, T]:
        return {new[name]: value for name, value in values.items() if name in new}

    return replace(
        found,
        points=renamed(found.points),
        spread_px=renamed(found.spread_px),
        visibility=renamed(found.visibility),
        cells=renamed(found.cells),
        in_blank_regions=tuple(new[name] for name in found.in_blank_regions if name in new),
    )
