"""Checks whether an image is a radiograph of a spine that can be measured, by the landmarks that the network finds.

A landmark network may also find vertebrae in a chest, a pelvis, a photograph or noise. Four features reveal such
images: too few vertebrae are visible (a pelvis), no lumbar vertebra is visible (a chest), the heat maps are wide, or
the vertebrae are not in order from head to foot (anything else). How many vertebrae are enough depends on the field of
view: a lumbar radiograph shows few, but it shows L5 on the sacrum.

Contract: the limits are part of the model's calibration. A model without limits, or with a landmark set that lacks a
vertebra, refuses no image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spine.landmarks import PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE
from spine.types import Float, Floats

LONG_COLUMN = 12
"""With at least this number of visible vertebrae, the limits on order and map width are less strict."""

LONG_WIDTH = 1.5
"""Factor on the limit of the map width for a long column."""

_SIDES = (("_left", "_right"), ("_post", "_ant"))


@dataclass(frozen=True)
class InputFeatures:
    """Features of the landmarks found in one image.

    Attributes:
        vertebrae: number of vertebrae with both end plates.
        lowest: position of the lowest such vertebra among T1..L5; -1 if there is none.
        downwards: fraction of pairs of neighbouring end plates that are in the right order in the image.
        width_cells: median standard deviation of the heat maps of end plates.
        on_sacrum: whether the S1 plate is seen, and the lowest such vertebra is L5, or L4 of four lumbar vertebrae.
    """

    vertebrae: int
    lowest: int
    downwards: float
    width_cells: float
    on_sacrum: bool = False


@dataclass(frozen=True)
class InputLimits:
    """Limits for the features of a radiograph of the spine; attributes as in ``InputFeatures``.

    ``above_sacrum`` is the least number of vertebrae if the lowest one is L5 on the sacrum.
    """

    vertebrae: int = 7
    above_sacrum: int = 3
    lowest: int = VERTEBRAE.index("L4")
    downwards: float = 0.9
    width_cells: float = 2.2

    def violations(self, features: InputFeatures) -> list[str]:
        """A sentence for every limit that the features violate."""
        if features.vertebrae == 0:
            return ["no spine is found"]
        lowest = VERTEBRAE[features.lowest]
        # Vertebrae of a severe curve lie across the image and some are hard to see, but only a spine shows so many.
        long = features.vertebrae >= LONG_COLUMN
        downwards = self.downwards - (0.1 if long else 0.0)
        width = self.width_cells * (LONG_WIDTH if long else 1.0)
        least = min(self.above_sacrum, self.vertebrae) if features.on_sacrum else self.vertebrae
        seen = "1 vertebra" if features.vertebrae == 1 else f"{features.vertebrae} vertebrae"
        few = f"{seen} seen, at least {least} expected"
        checks = [
            (features.vertebrae >= least, few),
            (features.lowest >= self.lowest, f"no lumbar spine: the lowest vertebra seen is {lowest}"),
            (features.downwards >= downwards, "the vertebrae seen are not in order from head to foot"),
            (features.width_cells <= width, "no vertebra is clearly visible"),
        ]
        return [text for holds, text in checks if not holds]


def other_part_violations(features: InputFeatures, body_part: str | None) -> list[str]:
    """A sentence if the image's tag names another part than the spine, and no long column shows that the tag is wrong.

    ``body_part`` is that of ``ImageInput``. Whole-spine radiographs often have the tag of another protocol.
    """
    contradicted = body_part is None or features.vertebrae >= LONG_COLUMN
    return [] if contradicted else [f"the tag BodyPartExamined names the {body_part}"]


def covers_every_vertebra(names: Sequence[str]) -> bool:
    """Whether these landmarks include every end plate of T1..L5."""
    known = set(names)
    return all(plate in known or any({f"{plate}{s}" for s in side} <= known for side in _SIDES) for plate in PLATES)


def features_of(points: Mapping[str, Float[Floats, " 2"]], spread_cells: Mapping[str, float]) -> InputFeatures:
    """The features of one image, from its visible landmarks and the standard deviations of their heat maps."""
    plates = {plate: found for plate in PLATES if (found := _plate(plate, points, spread_cells)) is not None}
    whole = [i for i, v in enumerate(VERTEBRAE) if f"{v}_sup" in plates and f"{v}_inf" in plates]
    rows = np.array([row for row, _ in plates.values()])
    sacrum = any(name in points for name in (S1_PLATE, *S1_MARGINS))
    return InputFeatures(
        vertebrae=len(whole),
        lowest=whole[-1] if whole else -1,
        downwards=float((np.diff(rows) > 0).mean()) if len(rows) > 1 else 0.0,
        width_cells=float(np.median([width for _, width in plates.values()])) if plates else float("inf"),
        on_sacrum=sacrum and bool(whole) and VERTEBRAE[whole[-1]] in ("L4", "L5"),
    )


def _plate(plate: str, points: Mapping[str, Floats], spread: Mapping[str, float]) -> tuple[float, float] | None:
    """(row, width of the heat map) of an end plate, from its centre or as the means of its two margins."""
    if plate in points:
        return float(points[plate][1]), spread[plate]
    for start, end in ((f"{plate}{a}", f"{plate}{b}") for a, b in _SIDES):
        if start in points and end in points:
            return float(points[start][1] + points[end][1]) / 2, (spread[start] + spread[end]) / 2
    return None


def limits_from(features: Sequence[InputFeatures], refused_share: float = 0.02) -> InputLimits:
    """The default limits, widened until they refuse at most ``refused_share`` of the images with these features."""
    usual = InputLimits()
    if not features:
        return usual
    least = {
        name: float(np.quantile([getattr(f, name) for f in features], refused_share, method="lower"))
        for name in ("vertebrae", "lowest", "downwards")
    }
    widths = [min(f.width_cells, 1e3) for f in features]
    return InputLimits(
        vertebrae=int(min(usual.vertebrae, least["vertebrae"])),
        lowest=int(min(usual.lowest, least["lowest"])),
        downwards=min(usual.downwards, least["downwards"]),
        width_cells=max(usual.width_cells, 1.5 * float(np.quantile(widths, 1 - refused_share, method="higher"))),
    )
