"""Images that are no whole-spine radiograph are refused, by what the network makes of them.

A network that looks for vertebrae finds some in a chest, a pelvis, a photograph and in noise. What gives them away: too
few vertebrae are seen (a pelvis), the lumbar ones are missing (a chest), the maps stay wide, or the vertebrae do not
follow each other downwards (anything else).

Contract: limits stand in the model's calibration; a model without them, or of a landmark set that has not every
vertebra, refuses nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spine.landmarks import PLATES, VERTEBRAE
from spine.types import Floats

LONG_CHAIN = 12
"""Vertebrae from which on a chain may be less orderly and less sure."""

_SIDES = (("_left", "_right"), ("_post", "_ant"))


@dataclass(frozen=True)
class Signs:
    """What an image's landmarks look like.

    Attributes:
        vertebrae: how many have both plates.
        lowest: position of the lowest of them among T1..L5, -1 for none.
        downwards: share of neighbouring plates of which the lower lies lower.
        width_cells: median standard deviation of the plates' heat maps.
    """

    vertebrae: int
    lowest: int
    downwards: float
    width_cells: float


@dataclass(frozen=True)
class Limits:
    """What the signs of a whole-spine radiograph do not go beyond; attributes as in ``Signs``."""

    vertebrae: int = 7
    lowest: int = VERTEBRAE.index("L3")
    downwards: float = 0.9
    width_cells: float = 2.2

    def broken_by(self, signs: Signs) -> list[str]:
        """Every limit that is passed, in words."""
        lowest = VERTEBRAE[signs.lowest] if signs.lowest >= 0 else "none"
        # Severe curves lie across and are hard to read in places, but nothing else shows so many vertebrae.
        long = signs.vertebrae >= LONG_CHAIN
        downwards, width = (
            (self.downwards - 0.1, self.width_cells * 1.2) if long else (self.downwards, self.width_cells)
        )
        checks = [
            (
                signs.vertebrae >= self.vertebrae,
                f"{signs.vertebrae} vertebrae seen, at least {self.vertebrae} expected",
            ),
            (signs.lowest >= self.lowest, f"no lumbar spine: the lowest vertebra seen is {lowest}"),
            (signs.downwards >= downwards, "what looks like vertebrae does not follow from head to foot"),
            (signs.width_cells <= width, "nothing in it is told apart as a vertebra"),
        ]
        return [text for holds, text in checks if not holds]


def knows_every_vertebra(names: Sequence[str]) -> bool:
    """Whether a model with these landmarks could see every plate of T1..L5."""
    known = set(names)
    return all(plate in known or any({f"{plate}{s}" for s in side} <= known for side in _SIDES) for plate in PLATES)


def signs_of(points: Mapping[str, Floats], spread_cells: Mapping[str, float]) -> Signs:
    """The signs of one image.

    Args:
        points: landmark -> (2,) (column, row), of what is seen.
        spread_cells: landmark -> standard deviation of its map.
    """
    plates = {plate: found for plate in PLATES if (found := _plate(plate, points, spread_cells)) is not None}
    whole = [i for i, v in enumerate(VERTEBRAE) if f"{v}_sup" in plates and f"{v}_inf" in plates]
    rows = np.array([row for row, _ in plates.values()])
    return Signs(
        vertebrae=len(whole),
        lowest=whole[-1] if whole else -1,
        downwards=float((np.diff(rows) > 0).mean()) if len(rows) > 1 else 0.0,
        width_cells=float(np.median([width for _, width in plates.values()])) if plates else float("inf"),
    )


def _plate(plate: str, points: Mapping[str, Floats], spread: Mapping[str, float]) -> tuple[float, float] | None:
    """(row, width) of a plate: of its centre, or of the middle of two margins."""
    if plate in points:
        return float(points[plate][1]), spread[plate]
    for start, end in ((f"{plate}{a}", f"{plate}{b}") for a, b in _SIDES):
        if start in points and end in points:
            return float(points[start][1] + points[end][1]) / 2, (spread[start] + spread[end]) / 2
    return None


def limits_for(signs: Sequence[Signs], refused_share: float = 0.02) -> Limits:
    """The usual limits, widened as far as it takes to refuse hardly any of these images of spines."""
    usual = Limits()
    if not signs:
        return usual
    least = {
        name: float(np.quantile([getattr(s, name) for s in signs], refused_share, method="lower"))
        for name in ("vertebrae", "lowest", "downwards")
    }
    widths = [min(s.width_cells, 1e3) for s in signs]
    return Limits(
        vertebrae=int(min(usual.vertebrae, least["vertebrae"])),
        lowest=int(min(usual.lowest, least["lowest"])),
        downwards=min(usual.downwards, least["downwards"]),
        width_cells=max(usual.width_cells, 1.5 * float(np.quantile(widths, 1 - refused_share, method="higher"))),
    )
