"""Finds the landmarks of one study, and decides their vertebral levels.

Contract: every dropped landmark is listed. An image keeps the view name that the caller gave it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inference.blank_regions import in_blank_regions
from inference.decoding import Decoded
from inference.inputs import ImageInput
from inference.levels import LevelEvidence, decide_levels, level_votes
from inference.mirrored_average import averaged_with_mirror_image
from inference.model import Model
from inference.preprocessing import prepare
from inference.view_check import ViewDetection, check_views, confidence, detections_from, is_clear
from spine.errors import ContractViolation
from spine.landmarks import VIEWS, ViewName, shifted_name

T = TypeVar("T")

MIN_GAIN_SCALE = 0.5
"""With a larger gain in confidence, another scale replaces the first one. The number is a choice: a smaller image shows
less detail, so a small gain is not enough."""


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
    wrong_views = check_views(model, detections)
    if model.contract.mirrored_average and "frontal" in detections:
        detections["frontal"] = averaged_with_mirror_image(model, detections["frontal"])
    decoded = {view: _without_blank_regions(detection) for view, detection in detections.items()}
    votes = [level_votes(detections[v].heatmaps, model.contract.names, found.cells) for v, found in decoded.items()]
    levels = decide_levels(votes)
    if levels and levels.shift:
        decoded = {view: _shifted(found, levels.shift) for view, found in decoded.items()}
    return Detection(decoded, levels, wrong_views)


def _detect_views(model: Model, views: Mapping[ViewName, ImageInput]) -> dict[ViewName, ViewDetection]:
    """The result of each image at the scale at which its landmarks are clearest.

    A radiograph of a small field of view, such as a lumbar one, fills the input with larger vertebrae than a radiograph
    of the whole spine. Its heat maps are narrower if it is made smaller.
    """
    first, *others = model.contract.scales
    found = dict(zip(views, _detections_at(model, [(view, first) for view in views], views), strict=True))
    tried = [(view, scale) for view in views if not is_clear(found[view]) for scale in others]
    names = model.contract.names
    needed = {view: confidence(detection, names) + MIN_GAIN_SCALE for view, detection in found.items()}
    for (view, _), detection in zip(tried, _detections_at(model, tried, views), strict=True):
        if (gained := confidence(detection, names)) > needed[view]:
            found[view], needed[view] = detection, gained
    return found


def _detections_at(
    model: Model, tried: Sequence[tuple[ViewName, float]], views: Mapping[ViewName, ImageInput]
) -> list[ViewDetection]:
    """The results of one run for each (view, scale)."""
    size, normalisation = model.contract.input_shape, model.contract.normalisation
    images = [views[view] for view, _ in tried]
    prepared = [
        prepare(image.image, size, spacing_mm=image.spacing_mm, scale=scale, normalisation=normalisation)
        for image, (_, scale) in zip(images, tried, strict=True)
    ]
    shapes = [(int(image.image.shape[0]), int(image.image.shape[1])) for image in images]
    return detections_from(model, [view for view, _ in tried], prepared, shapes) if tried else []


def _without_blank_regions(detection: ViewDetection) -> Decoded:
    found = detection.decoded
    if not found.points:
        return found
    at = detection.prepared.affine.apply(np.stack(list(found.points.values())))
    lost = in_blank_regions(detection.prepared.pixels[0], dict(zip(found.points, at, strict=True)))
    return found.without(lost, "LANDMARKS_IN_BLANK_REGION")


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
        dropped=renamed(found.dropped),
    )
