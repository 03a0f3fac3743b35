"""Images of the other view, upside down or mirrored are found by asking the network again.

The network is told which view an image is of, and knows spines head up and, from the side, with the front on one side.
Told wrongly or shown a turned image it still finds a spine, with wider maps; told and shown rightly it is surer. So a
radiograph alone, and a pair where maps are wider than is usual (hardly ever, on patients like those of the training),
are run once more as of the other view, and an image with wide maps also turned by 180 degrees, upside down and, a
lateral, mirrored. Where that makes the network surer the image is not what it was given as. A mirrored frontal looks
like another patient's and is not found. *Sure* is the mean, over the landmarks found, of the logarithm of a map's
greatest value over its width.

Contract: a model of one view, and one without limits, is never asked again; an image that would be refused the other
way too is not said to be wrong in that way. The figures below were chosen with the released model on virtual patients
in no test split and on 481 real frontal radiographs; no real lateral radiograph was at hand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.decoding import Decoded, decode
from inference.input_check import Limits, signs_of
from inference.model import Model
from inference.preprocessing import Prepared
from spine.landmarks import VIEWS, ViewName

WIDE = 0.025
"""Mean logarithm of a view's map widths (cells) beyond which a pair is worth a second look: 0.015 at most in nine of
ten virtual images, 0.15 and more in frontals given as laterals. Real radiographs are nearly all looked at twice."""

SURER: Mapping[ViewName, float] = {"frontal": 0.0, "lateral": 0.2}
"""Given as this view, by how much the network has to be surer of the other one. Wrongly given: by 0.06 and more for
virtual laterals (0.03 for the demo's), by 0.42 for frontals. Rightly given: -0.42 at most for frontals, -0.06 for
laterals; real frontal radiographs -0.24 at most, but for two at -0.003 and 0.14."""

TURNED = 0.25
"""By how much the network has to be surer of an image turned back: by 0.5 and more for 360 virtual ones that were
turned, by -0.5 at most for the same as they are."""

_OTHER: Mapping[ViewName, ViewName] = {"frontal": "lateral", "lateral": "frontal"}


Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Alternative:
    """Another way to take an image.

    Attributes:
        view: as which it is seen.
        turn: what is done to (1, H, W) pixels before.
        surer: by how much the network has to be surer.
        reason: what to say then.
    """

    view: ViewName
    turn: Callable[[Pixels], Pixels]
    surer: float
    reason: str


@dataclass(frozen=True)
class Look:
    """One image seen as of one view: what the network got, its (K, h, w) maps and what was read from them."""

    prepared: Prepared
    shape: tuple[int, int]
    heatmaps: NDArray[np.float32]
    decoded: Decoded


def given_wrongly(model: Model, first: Mapping[ViewName, Look]) -> dict[ViewName, str]:
    """View -> why, of images that are of the other view, upside down or mirrored.

    Args:
        model: which gave the first looks.
        first: view -> the image seen as what it was given as.
    """
    limits = model.contract.calibration.limits if model.contract.calibration else None
    if limits is None or set(model.contract.views) != set(VIEWS):
        return {}
    asked = [(view, way) for view in first for way in _alternatives(view, first)]
    if not asked:
        return {}
    seconds = _looks_again(model, first, asked)
    best: dict[ViewName, tuple[float, Alternative]] = {}
    for (view, way), second in zip(asked, seconds, strict=True):
        gain = _gain(first[view], second, model, limits) - way.surer
        if gain > max(0.0, best[view][0] if view in best else 0.0):
            best[view] = gain, way
    if len(best) == len(VIEWS) and all(way.view != view for view, (_, way) in best.items()):
        return dict.fromkeys(best, "the images look exchanged")
    return {view: way.reason for view, (_, way) in best.items()}


def _alternatives(view: ViewName, first: Mapping[ViewName, Look]) -> list[Alternative]:
    """How the image given as ``view`` is worth another look."""
    wide = {name: _width(look.decoded) > WIDE for name, look in first.items()}
    ways = []
    # Of a pair both are asked again where one is wide: two exchanged images are hardly both usual. A radiograph alone
    # has no other to give it away and always is.
    if len(first) < len(VIEWS) or any(wide.values()):
        reason = f"looks like a {_OTHER[view]}, given as {view}"
        ways.append(Alternative(_OTHER[view], lambda pixels: pixels, SURER[view], reason))
    if wide[view]:
        ways.append(Alternative(view, lambda p: p[:, ::-1, ::-1], TURNED, "looks turned by 180 degrees, head down"))
        ways.append(Alternative(view, lambda p: p[:, ::-1], TURNED, "looks upside down and mirrored, head down"))
        if view == "lateral":
            reason = "looks mirrored, front for back: check its orientation tags"
            ways.append(Alternative(view, lambda p: p[:, :, ::-1], TURNED, reason))
    return ways


def _looks_again(
    model: Model, first: Mapping[ViewName, Look], asked: Sequence[tuple[ViewName, Alternative]]
) -> list[Look]:
    pixels = np.stack([way.turn(first[view].prepared.pixels) for view, way in asked])
    output, contract, looks = model.run(pixels, [way.view for _, way in asked]), model.contract, []
    for i, (view, _) in enumerate(asked):
        look, maps = first[view], output.heatmaps[i]
        # Landmarks of a turned image come out in its own, turned, frame: the letterbox is the same either way round.
        decoded = decode(
            maps, output.visibility[i], contract.names, contract.input_shape, look.prepared.affine, look.shape
        )
        looks.append(Look(look.prepared, look.shape, maps, decoded))
    return looks


def _gain(first: Look, second: Look, model: Model, limits: Limits) -> float:
    """By how much the network is surer the second time; less than anything where that is no spine."""
    spread = {name: value / second.decoded.cell_px for name, value in second.decoded.spread_px.items()}
    if limits.broken_by(signs_of(second.decoded.points, spread)):
        return -np.inf
    names = model.contract.names
    return sureness(second, names) - sureness(first, names)


def _log_widths(decoded: Decoded) -> NDArray[np.float64]:
    return np.log(np.maximum(np.array(list(decoded.spread_px.values())) / decoded.cell_px, 1e-3))


def _width(decoded: Decoded) -> float:
    return float(_log_widths(decoded).mean()) if decoded.spread_px else 0.0


def sureness(look: Look, names: tuple[str, ...]) -> float:
    """Mean logarithm of a map's greatest value over its width, of the landmarks found; very little for none."""
    found = look.decoded.points
    if not found:
        return -np.inf
    peaks = look.heatmaps[[names.index(name) for name in found]].max(axis=(1, 2)).astype(np.float64)
    return float(np.log(np.maximum(peaks, 1e-12)).mean()) - _width(look.decoded)
