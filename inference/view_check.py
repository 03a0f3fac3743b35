"""Detects images of the other view, upside-down images and mirrored laterals by running the network again.

The network gets the view of each image as an input. The network expects the head at the top and, in a lateral image,
the front on one side. It also finds a spine in an image of the other view or in a turned image, but its heat maps are
then wider.

The network is run again in two cases. First, a single radiograph is run as the other view. Both images of a pair are
run as the other view if one of them has wide heat maps, which is rare for patients like the training patients. Second,
an image with wide heat maps is run mirrored, if it is lateral, and with the head down (upside down, and turned by 180
degrees). An image that shows the whole spine in order is not run with the head down: the network finds no whole spine
in an image whose head is down. If the confidence rises enough, the image is reported as wrong. The confidence is the
mean, over the landmarks found, of the logarithm of (maximum of the heat map / its width). A mirrored frontal image
looks like an image of another patient and is not detected.

Contract: the network is not run again for a model that has only one view or no limits. A rise in confidence is ignored
if the input check refuses the result of the second run. The constants were chosen with the bundled model on virtual
patients outside the test splits, on 481 real frontal radiographs and on 12 real lumbar laterals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.calibration import shift_of
from inference.decoding import Decoded, decode
from inference.input_check import InputLimits, features_of
from inference.model import Model
from inference.preprocessing import Prepared
from spine.landmarks import VIEWS, ViewName

WIDE = 0.025
"""Heat maps are wide if the mean logarithm of their widths (in cells) is above this. In 90 % of virtual images, the
mean is at most 0.015. In frontal images given as lateral, the mean is 0.15 or more. Nearly all real radiographs are
above the limit."""

MIN_GAIN_OTHER_VIEW: Mapping[ViewName, float] = {"frontal": 0.16, "lateral": 0.05}
"""Given view of an image -> limit of the gain. If the confidence as the other view is higher by more than the limit,
the image is of the other view. `make bench` prints the shares that are refused: of 200 virtual patients all frontals
and 97.5 % of the laterals, of 481 real frontals given as laterals 97 %. Of 12 real lumbar laterals given as frontals, 8
are (`python -m benchmarks.outside_radiographs`)."""

MIN_GAIN_TURNED: Mapping[ViewName, float] = {"frontal": 0.2, "lateral": 0.15}
"""With a larger gain in confidence after turning, the image is reported as turned. `make bench`: of 200 virtual
patients, all images upside down or turned by 180 degrees are refused, and of 481 real frontals 98 %. Of
12 real lumbar laterals, 9 are refused upside down and all turned (``benchmarks.outside_radiographs``)."""

MIN_GAIN_MIRRORED = 0.1
"""The same for a mirrored lateral: all of 200 virtual patients (`make bench`), and 11 of 12 real lumbar
laterals (``benchmarks.outside_radiographs``)."""

WHOLE_SPINE_VERTEBRAE = 15
WHOLE_SPINE_WIDTH = 0.6
"""An image that passes the input check shows the whole spine if it has at least so many vertebrae, and at most this
mean logarithm of the widths. The limits were chosen so that no image with the head down shows a whole spine in a trial
on real and virtual images; `make bench` prints what is refused with them."""

_OTHER: Mapping[ViewName, ViewName] = {"frontal": "lateral", "lateral": "frontal"}


Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Alternative:
    """Another view or orientation in which an image is run.

    Attributes:
        view: the view that the image is run as.
        turn: function that turns the (1, H, W) pixels before the run.
        min_gain: with a larger gain in confidence, the image is reported as wrong.
        reason: the message of this report.
        at_every_scale: whether the image is also run at the model's first scale.
    """

    view: ViewName
    turn: Callable[[Pixels], Pixels]
    min_gain: float
    reason: str
    at_every_scale: bool = False


@dataclass(frozen=True)
class ViewDetection:
    """Result of one run: the network's input, the (h, w) of the image, the (K, h, w) heat maps, the (K,) visibility
    logits, and the landmarks.
    """

    prepared: Prepared
    shape: tuple[int, int]
    heatmaps: NDArray[np.float32]
    visibility: NDArray[np.float32]
    decoded: Decoded


def detections_from(
    model: Model,
    views: Sequence[ViewName],
    prepared: Sequence[Prepared],
    shapes: Sequence[tuple[int, int]],
    turns: Sequence[Callable[[Pixels], Pixels]] | None = None,
) -> list[ViewDetection]:
    """Run the model once on N images with their views, inputs and (h, w) shapes. ``turns`` change the pixels first."""
    pixels = [p.pixels if turns is None else turns[i](p.pixels) for i, p in enumerate(prepared)]
    output, contract = model.run(np.stack(pixels), views), model.contract
    # Landmarks of a turned image stay in the turned frame. Both frames have the same letterbox.
    return [
        ViewDetection(
            p, shape, maps, logits, decode(maps, logits, contract.names, contract.input_shape, p.affine, shape)
        )
        for p, shape, maps, logits in zip(prepared, shapes, output.heatmaps, output.visibility, strict=True)
    ]


def check_views(
    model: Model, first: Mapping[ViewName, ViewDetection], inputs: Mapping[ViewName, Sequence[Prepared]]
) -> dict[ViewName, str]:
    """View -> reason, for images that are of the other view, upside down or mirrored.

    ``first`` are the results of each image as its given view. ``inputs`` begin with the inputs of these results, at the
    scale that suits the given view: at another scale, every alternative to a lumbar radiograph would look unclear. The
    input at the model's first scale follows, if it is another one: it suits a whole spine with the head down.
    """
    limits = model.contract.limits
    if limits is None or set(model.contract.views) != set(VIEWS):
        return {}
    tried = [
        (view, way, prepared)
        for view in first
        for way in _alternatives(view, first, limits)
        for prepared in (inputs[view] if way.at_every_scale else inputs[view][:1])
    ]
    if not tried:
        return {}
    second = detections_from(
        model,
        [way.view for _, way, _ in tried],
        [prepared for _, _, prepared in tried],
        [first[view].shape for view, _, _ in tried],
        [way.turn for _, way, _ in tried],
    )
    best: dict[ViewName, tuple[float, Alternative]] = {}
    as_other = dict.fromkeys(first, -np.inf)
    for (view, way, _), again in zip(tried, second, strict=True):
        gain = _gain(first[view], again, model, limits)
        if way.view != view:
            as_other[view] = gain
        if gain - way.min_gain > max(0.0, best[view][0] if view in best else 0.0):
            best[view] = gain - way.min_gain, way
    # In a pair, a small gain of both images is enough: no image of a right pair gains.
    if len(first) == len(VIEWS) and min(as_other.values()) > 0.0:
        return dict.fromkeys(first, "the images look exchanged")
    return {view: way.reason for view, (_, way) in best.items()}


def _alternatives(view: ViewName, first: Mapping[ViewName, ViewDetection], limits: InputLimits) -> list[Alternative]:
    """The alternatives in which the image given as ``view`` is run again."""
    wide = {name: not is_clear(detection) for name, detection in first.items()}
    ways = []
    # In an exchanged pair at least one image has wide maps. A single radiograph has no other to compare with.
    if len(first) < len(VIEWS) or any(wide.values()):
        reason = f"looks like a {_OTHER[view]}, given as {view}"
        ways.append(Alternative(_OTHER[view], lambda pixels: pixels, MIN_GAIN_OTHER_VIEW[view], reason))
    if wide[view] and not shows_whole_spine(first[view], limits):
        gain = MIN_GAIN_TURNED[view]
        ways.append(Alternative(view, lambda p: p[:, ::-1, ::-1], gain, "looks turned by 180 degrees, head down", True))
        ways.append(Alternative(view, lambda p: p[:, ::-1], gain, "looks upside down and mirrored, head down", True))
    if wide[view] and view == "lateral":
        reason = "looks mirrored, front for back: check its orientation tags"
        ways.append(Alternative(view, lambda p: p[:, :, ::-1], MIN_GAIN_MIRRORED, reason))
    return ways


def _gain(first: ViewDetection, second: ViewDetection, model: Model, limits: InputLimits) -> float:
    """Gain in confidence of the second run; minus infinity if the second run shows no spine."""
    if limits.violations(features_of(second.decoded.points, second.decoded.spread_cells)):
        return -np.inf
    names = model.contract.names
    return confidence(second, names) - confidence(first, names)


def is_clear(detection: ViewDetection) -> bool:
    """Whether landmarks were found and their heat maps are narrow."""
    return bool(detection.decoded.points) and _mean_log_width(detection.decoded) <= WIDE


def shows_whole_spine(detection: ViewDetection, limits: InputLimits) -> bool:
    """Whether nearly all vertebrae were found in order, with heat maps that are not very wide."""
    found = detection.decoded
    features = features_of(found.points, found.spread_cells)
    many = features.vertebrae >= WHOLE_SPINE_VERTEBRAE
    return many and _mean_log_width(found) <= WHOLE_SPINE_WIDTH and not limits.violations(features)


def _mean_log_width(decoded: Decoded) -> float:
    return shift_of(decoded.spread_cells)


def confidence(detection: ViewDetection, names: tuple[str, ...]) -> float:
    """Mean of log(maximum of the heat map / its width) over the landmarks found; minus infinity if none is found."""
    found = detection.decoded.points
    if not found:
        return -np.inf
    peaks = detection.heatmaps[[names.index(name) for name in found]].max(axis=(1, 2)).astype(np.float64)
    return float(np.log(np.maximum(peaks, 1e-12)).mean()) - _mean_log_width(detection.decoded)
