"""Finds the landmarks of one study, and decides their vertebral levels.

Contract: every dropped landmark is listed. An image keeps the view name that the caller gave it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inference.blank_regions import in_blank_regions
from inference.decoding import Decoded
from inference.input_check import InputFeatures, InputLimits, features_of
from inference.inputs import ImageInput
from inference.levels import LevelEvidence, decide_levels, level_votes
from inference.mirrored_average import averaged_with_mirror_image
from inference.model import Model
from inference.preprocessing import Affine, Prepared, prepare
from inference.vertebral_column import centres_of, pitch_of
from inference.view_check import (
    ViewDetection,
    check_views,
    confidence,
    detections_from,
    is_clear,
    shows_whole_spine,
)
from spine.errors import ContractViolation
from spine.landmarks import VIEWS, ViewName, shifted_name

T = TypeVar("T")

MIN_GAIN_SCALE = 0.5
"""With a larger gain in confidence, another scale replaces the first one. The number is a choice: a smaller image shows
less detail, so a small gain is not enough."""

MIN_ENLARGEMENT = 1.7
"""A spine that can be enlarged less than this is not run again. On 160 virtual patients outside the test split, the
mean error of the landmarks falls from 1.8 to 0.7 mm if it can be enlarged more. Otherwise the vertebrae gain little,
and the hips, which then lie near the edge, lose."""

_AROUND_PITCHES = 3.0
_SOME_VERTEBRAE = 2
AT_ONE_SCALE = "vertebrae are found at one size of the image only"


@dataclass(frozen=True)
class Detection:
    """What the model found in one study.

    Attributes:
        decoded: view -> its landmarks, with the level names that fit all views best.
        levels: the evidence for the level names; None if too few landmarks are visible.
        view_margins: view -> margin of the level names by the evidence of this view alone.
        wrong_views: view -> reason why its image seems to show the other view, to be turned or mirrored, or no spine.
    """

    decoded: Mapping[ViewName, Decoded]
    levels: LevelEvidence | None
    view_margins: Mapping[ViewName, float]
    wrong_views: Mapping[ViewName, str]


def detect_landmarks(model: Model, views: Mapping[ViewName, ImageInput]) -> Detection:
    """Run the model on one study. No view, an unknown view or an invalid image raises ``ContractViolation``."""
    order: list[ViewName] = [view for view in VIEWS if view in views]
    unknown = [view for view in order if view not in model.contract.views]
    if not order or unknown:
        expected = f"at least one of {model.contract.views}, and only views that the model was trained for"
        remedy = "leave the other views out, or use a model that was trained for them"
        raise ContractViolation("VIEW_UNKNOWN", f"views {tuple(views)}", expected, remedy)
    runs = _run_scales(model, {view: views[view] for view in order})
    detections = {view: _clearest(model, runs[view]) for view in order}
    once = {view: AT_ONE_SCALE for view in order if _is_chance(detections[view], runs[view])}
    inputs = {view: _inputs_of(found, runs[view][0]) for view, found in detections.items()}
    wrong_views = {**once, **check_views(model, detections, inputs)}
    for view in order:
        if detections[view] is runs[view][0]:  # at a smaller scale, the landmarks are clearer than at a larger one
            detections[view] = _enlarged(model, view, views[view], detections[view])
    if model.contract.mirrored_average and "frontal" in detections and not is_clear(detections["frontal"]):
        detections["frontal"] = averaged_with_mirror_image(model, detections["frontal"])
    decoded = {view: _without_blank_regions(detection) for view, detection in detections.items()}
    names = model.contract.names
    votes = {view: level_votes(detections[view].heatmaps, names, found.cells) for view, found in decoded.items()}
    levels = decide_levels(list(votes.values()))
    if levels and levels.shift:
        decoded = {view: _shifted(found, levels.shift) for view, found in decoded.items()}
    alone = {view: evidence.margin for view, own in votes.items() if (evidence := decide_levels([own])) is not None}
    return Detection(decoded, levels, alone, wrong_views)


def clearest_run(model: Model, view: ViewName, image: ImageInput) -> ViewDetection:
    """The run of one image at the scale that shows its spine most clearly."""
    return _clearest(model, _run_scales(model, {view: image})[view])


def _run_scales(model: Model, views: Mapping[ViewName, ImageInput]) -> dict[ViewName, list[ViewDetection]]:
    """The result of each image at the first scale, and at the others if it is unclear and shows no whole spine.

    A radiograph of a small field of view, such as a lumbar one, fills the input with larger vertebrae than a radiograph
    of the whole spine. Its heat maps are narrower if it is made smaller.
    """
    first, *others = model.contract.scales
    found = {v: [run] for v, run in zip(views, _detections_at(model, [(v, first) for v in views], views), strict=True)}
    limits = model.contract.limits
    unclear = [v for v in views if not is_clear(found[v][0])]
    partial = [v for v in unclear if limits is None or not shows_whole_spine(found[v][0], limits)]
    tried = [(view, scale) for view in partial for scale in others]
    for (view, _), run in zip(tried, _detections_at(model, tried, views), strict=True):
        found[view].append(run)
    return found


def _inputs_of(chosen: ViewDetection, first: ViewDetection) -> tuple[Prepared, ...]:
    """The input of the chosen run, and that of the first run if it is another one."""
    return (chosen.prepared,) if chosen is first else (chosen.prepared, first.prepared)


def _clearest(model: Model, runs: Sequence[ViewDetection]) -> ViewDetection:
    """The run with the highest confidence among those that show a spine.

    The first run has an advantage. If it shows a spine, runs that lose more than one of its vertebrae do not count.
    """
    limits = model.contract.limits
    first, accepted = runs[0], [run for run in runs if limits is None or not limits.violations(_features(run))]
    if any(run is first for run in accepted):
        most = _features(first).vertebrae
        accepted = [run for run in accepted if _features(run).vertebrae >= most - 1]

    def rank(run: ViewDetection) -> float:
        return confidence(run, model.contract.names) + (MIN_GAIN_SCALE if run is first else 0.0)

    return max(accepted or runs, key=rank)


def _enlarged(model: Model, view: ViewName, image: ImageInput, found: ViewDetection) -> ViewDetection:
    """The result for the part of the image that shows the spine, if the spine can be made much larger in the input.

    In a whole-body image, the spine is half as high as the input. The result for the part replaces ``found`` only if it
    has all of its landmarks.
    """
    window = _window(found)
    if len(model.contract.scales) < 2 or window is None:
        return found
    size, normalisation = model.contract.input_shape, model.contract.normalisation
    left, top, right, bottom = window
    part = image.image[top:bottom, left:right]
    prepared = prepare(part, size, spacing_mm=image.spacing_mm, normalisation=normalisation)
    if prepared.affine.matrix[0, 0] < MIN_ENLARGEMENT * found.prepared.affine.matrix[0, 0]:
        return found
    moved = Affine(np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]))
    prepared = replace(prepared, affine=prepared.affine.after(moved))
    again = detections_from(model, [view], [prepared], [found.shape])[0]
    return again if found.decoded.points.keys() <= again.decoded.points.keys() else found


def _window(found: ViewDetection) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom pixel of the part of the image with all landmarks, and some more around it."""
    pitch = pitch_of(centres_of(found.decoded.points))
    if pitch is None:
        return None
    points = np.stack(list(found.decoded.points.values()))
    low, high = points.min(axis=0) - _AROUND_PITCHES * pitch, points.max(axis=0) + _AROUND_PITCHES * pitch
    left, top = np.maximum(low, 0).astype(int)
    right, bottom = np.minimum(np.ceil(high), [found.shape[1], found.shape[0]]).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _is_chance(chosen: ViewDetection, runs: Sequence[ViewDetection]) -> bool:
    """Whether a few vertebrae are found at one scale only. A cervical spine looks like a lumbar one at some scale."""
    few = _features(chosen).vertebrae < InputLimits.vertebrae
    return len(runs) > 1 and few and sum(_features(run).vertebrae >= _SOME_VERTEBRAE for run in runs) == 1


def _features(run: ViewDetection) -> InputFeatures:
    return features_of(run.decoded.points, run.decoded.spread_cells)


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
