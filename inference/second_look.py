"""Pictures of the other view are found by asking the network again.

The network is told which view a picture is of. Told wrongly it still finds a spine, with wider maps; told rightly it is
surer. So a film alone, and a pair where maps are wider than is usual (hardly ever, on patients like those of the
training), are run once more as of the other view, and where that makes the network surer a picture is not what it was
given as.
*Sure* is the mean, over the landmarks found, of the logarithm of a map's greatest value over its width.

What belongs here: when to look again, and what it says. What does not: other signs of a wrong picture (``refusal``).
Contract: a model of one view, and one without limits, is never asked again; a picture that would be refused as the
other view too is not said to be of that one. The figures below were chosen with the released model on 528 virtual
patients in no test split and on 481 real frontal films; no real lateral film was at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.decoding import Decoded, decode
from inference.model import Model
from inference.preprocessing import Prepared
from inference.refusal import Limits, signs_of
from spine.landmarks import VIEWS, ViewName

WIDE = 0.025
"""Mean logarithm of a view's map widths (cells) beyond which a pair is worth a second look: 0.015 at most in nine of
ten virtual pictures, 0.15 and more in frontals given as laterals. Real films are nearly all looked at twice."""

SURER: Mapping[ViewName, float] = {"frontal": 0.0, "lateral": 0.2}
"""Given as this view, by how much the network has to be surer of the other one. Wrongly given: by 0.06 and more for
virtual laterals (0.03 for the demo's), by 0.42 for frontals. Rightly given: -0.42 at most for frontals, -0.06 for
laterals; real frontal films -0.24 at most, but for two at -0.003 and 0.14."""

_OTHER: Mapping[ViewName, ViewName] = {"frontal": "lateral", "lateral": "frontal"}


@dataclass(frozen=True)
class Look:
    """One picture seen as of one view: what the network got, its (K, h, w) maps and what was read from them."""

    prepared: Prepared
    shape: tuple[int, int]
    heatmaps: NDArray[np.float32]
    decoded: Decoded


def given_as_the_other(model: Model, first: Mapping[ViewName, Look]) -> dict[ViewName, str]:
    """View -> why, of pictures that are of the other view.

    Args:
        model: which gave the first looks.
        first: view -> the picture seen as what it was given as.
    """
    limits = model.contract.calibration.limits if model.contract.calibration else None
    if limits is None or set(model.contract.views) != set(VIEWS):
        return {}
    # Of a pair both are asked again where one is wide: two exchanged pictures are hardly both usual. A film alone has
    # no other to give it away and always is.
    if len(first) == len(VIEWS) and not any(_width(look.decoded) > WIDE for look in first.values()):
        return {}
    second = _looks_as_the_other(model, first)
    wrong = [view for view in first if _is_clearly_surer(first[view], second[view], view, model, limits)]
    if len(wrong) == len(VIEWS):
        return dict.fromkeys(wrong, "the pictures look exchanged")
    return {view: f"looks like a {_OTHER[view]}, given as {view}" for view in wrong}


def _looks_as_the_other(model: Model, first: Mapping[ViewName, Look]) -> dict[ViewName, Look]:
    output = model.run(np.stack([look.prepared.pixels for look in first.values()]), [_OTHER[view] for view in first])
    return {
        view: Look(look.prepared, look.shape, output.heatmaps[i], decode(
            output.heatmaps[i], output.visibility[i], model.contract.names, model.contract.input_shape,
            look.prepared.affine, look.shape,
        ))
        for i, (view, look) in enumerate(first.items())
    }  # fmt: skip


def _is_clearly_surer(first: Look, second: Look, view: ViewName, model: Model, limits: Limits) -> bool:
    spread = {name: value / second.decoded.cell_px for name, value in second.decoded.spread_px.items()}
    if limits.broken_by(signs_of(second.decoded.points, spread)):
        return False
    return sureness(second, model.contract.names) - sureness(first, model.contract.names) > SURER[view]


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
