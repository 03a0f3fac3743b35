"""What the network finds in the images of one study, and under which names.

Contract: what is dropped here is named, and the view an image was given as is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inference.blank_regions import in_blank_regions
from inference.decoding import Decoded, decode
from inference.inputs import ImageInput
from inference.levels import LevelEvidence, chain_votes, decided
from inference.model import Model
from inference.preprocessing import Prepared, prepare
from inference.view_check import Look, given_wrongly
from spine.errors import ContractViolation
from spine.landmarks import VIEWS, ViewName, shifted_name

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """What one study's images show.

    Attributes:
        decoded: view -> what is seen, under the level names that explain all views best.
        levels: how sure those names are; None where too little is seen to tell.
        given_wrongly: view -> why its image is not what it was given as.
    """

    decoded: Mapping[ViewName, Decoded]
    levels: LevelEvidence | None
    given_wrongly: Mapping[ViewName, str]


def find_landmarks(model: Model, views: Mapping[ViewName, ImageInput]) -> Found:
    """Ask the model of one study.

    Raises:
        ContractViolation: no view, a view the model was not trained for, or an image that is none.
    """
    order: list[ViewName] = [view for view in VIEWS if view in views]
    unknown = [view for view in order if view not in model.contract.views]
    if not order or unknown:
        raise ContractViolation(
            "VIEW_UNKNOWN",
            found=f"views {tuple(views)}",
            expected=f"one or more of {model.contract.views}, which the model was trained for",
            remedy="leave the other view out, or use a model trained for it",
        )
    looks = _looks(model, {view: views[view] for view in order})
    decoded = {view: _without_undrawn(look) for view, look in looks.items()}
    votes = [chain_votes(looks[v].heatmaps, model.contract.names, seen.cells) for v, seen in decoded.items()]
    levels = decided(votes)
    if levels and levels.shift:
        decoded = {view: _renamed(seen, levels.shift) for view, seen in decoded.items()}
    return Found(decoded, levels, given_wrongly(model, looks))


def _looks(model: Model, views: Mapping[ViewName, ImageInput]) -> dict[ViewName, Look]:
    contract = model.contract
    prepared = {view: _prepare(model, given) for view, given in views.items()}
    output = model.run(np.stack([p.pixels for p in prepared.values()]), list(views))
    looks: dict[ViewName, Look] = {}
    for i, (view, ready) in enumerate(prepared.items()):
        maps, shape = output.heatmaps[i], (int(views[view].image.shape[0]), int(views[view].image.shape[1]))
        decoded = decode(maps, output.visibility[i], contract.names, contract.input_shape, ready.affine, shape)
        looks[view] = Look(ready, shape, maps, decoded)
    return looks


def _prepare(model: Model, view: ImageInput) -> Prepared:
    contract = model.contract
    return prepare(view.image, contract.input_shape, spacing_mm=view.spacing_mm, normalisation=contract.normalisation)


def _without_undrawn(look: Look) -> Decoded:
    seen = look.decoded
    if not seen.points:
        return seen
    at = look.prepared.affine.apply(np.stack(list(seen.points.values())))
    lost = in_blank_regions(look.prepared.pixels[0], dict(zip(seen.points, at, strict=True)))
    if not lost:
        return seen

    def kept(values: Mapping[str, T]) -> dict[str, T]:
        return {name: value for name, value in values.items() if name not in lost}

    return replace(
        seen, points=kept(seen.points), spread_px=kept(seen.spread_px), cells=kept(seen.cells), in_blank_regions=lost
    )  # fmt: skip


def _renamed(seen: Decoded, shift: int) -> Decoded:
    """The same places under names ``shift`` levels further down."""
    new = {name: moved for name in seen.visibility if (moved := shifted_name(name, shift)) is not None}

    def under(values: Mapping[str, T]) -> dict[str, T]:
        return {new[name]: value for name, value in values.items() if name in new}

    return replace(
        seen, points=under(seen.points), spread_px=under(seen.spread_px), visibility=under(seen.visibility),
        cells=under(seen.cells), in_blank_regions=tuple(new[name] for name in seen.in_blank_regions if name in new),
    )  # fmt: skip
