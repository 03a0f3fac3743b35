"""Solids with closed-form chords: lofts and ellipsoids, for one patient and for N patients.

Contract: millimetres, patient frame. A batch has S lofts or E ellipsoids for each patient. A solid that a patient lacks
is small and far away.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spine.types import Float, Floats

CONTROLS = 48
"""Number of control heights of a loft."""

NOWHERE_MM = 1.0e4


@dataclass(frozen=True)
class Loft:
    """An upright stack of superellipses |x/a|^n + |y/b|^n = 1 at K control heights.

    Attributes:
        z_mm: heights, evenly spaced and increasing; the solid ends at the first and at the last height.
        centre_mm: x and y of the centres.
        half_mm: half-width a and half-depth b.
        power: exponent n; 2 gives an ellipse.
    """

    z_mm: Float[Floats, " K"]
    centre_mm: Float[Floats, "K 2"]
    half_mm: Float[Floats, "K 2"]
    power: float = 2.0

    def array(self) -> Float[NDArray[np.float32], "rows 4"]:
        """A row x, y, a, b for each height, and a last row with the lowest height, the highest height and the power."""
        body = np.concatenate([self.centre_mm, self.half_mm], axis=1)
        last = np.array([[self.z_mm[0], self.z_mm[-1], self.power, 0.0]])
        return np.concatenate([body, last]).astype(np.float32)


@dataclass(frozen=True)
class Ellipsoid:
    """A solid ellipsoid: its centre, and its half-axes as columns, mm.

    Attributes:
        floor_mm: height below which the ellipsoid is cut off (a fluid level), or None.
    """

    centre_mm: Float[Floats, " 3"]
    axes_mm: Float[Floats, "3 3"]
    floor_mm: float | None = None

    def array(self) -> Float[NDArray[np.float32], " 13"]:
        """The centre, the half-axes and the floor as one array."""
        floor = -NOWHERE_MM if self.floor_mm is None else self.floor_mm
        return np.concatenate([self.centre_mm, self.axes_mm.ravel(), [floor]]).astype(np.float32)


Solid = Loft | Ellipsoid

NO_ELLIPSOID = Ellipsoid(np.array([0.0, 0.0, -NOWHERE_MM]), np.eye(3))


@dataclass(frozen=True)
class Lofts:
    """S lofts for each of N patients: lowest and highest height, power, and x, y, a, b at K evenly spaced heights."""

    low_mm: Float[Tensor, "N S"]
    high_mm: Float[Tensor, "N S"]
    power: Float[Tensor, "N S"]
    controls: Float[Tensor, "N S K 4"]

    def __getitem__(self, which: slice) -> "Lofts":
        return Lofts(self.low_mm[:, which], self.high_mm[:, which], self.power[:, which], self.controls[:, which])

    def grown(self, by_mm: Float[Tensor, " N"]) -> "Lofts":
        """Lofts whose half-axes are longer by ``by_mm`` (shorter if negative), and at least 1 mm."""
        half = (self.controls[..., 2:] + by_mm[:, None, None, None]).clamp(min=1.0)
        return Lofts(self.low_mm, self.high_mm, self.power, torch.cat([self.controls[..., :2], half], dim=-1))


@dataclass(frozen=True)
class Ellipsoids:
    """E ellipsoids for each of N patients: centre, half-axes as columns, and the height below which each is cut off."""

    centre_mm: Float[Tensor, "N E 3"]
    axes_mm: Float[Tensor, "N E 3 3"]
    floor_mm: Float[Tensor, "N E"]

    def __getitem__(self, which: slice) -> "Ellipsoids":
        return Ellipsoids(self.centre_mm[:, which], self.axes_mm[:, which], self.floor_mm[:, which])


def lofts_of(arrays: Float[Tensor, "N S rows 4"]) -> Lofts:
    """Lofts from the values of ``Loft.array``."""
    last = arrays[:, :, -1]
    return Lofts(last[..., 0], last[..., 1], last[..., 2], arrays[:, :, :-1])


def ellipsoids_of(arrays: Float[Tensor, "N E 13"]) -> Ellipsoids:
    """Ellipsoids from the values of ``Ellipsoid.array``."""
    return Ellipsoids(arrays[..., :3], arrays[..., 3:12].unflatten(-1, (3, 3)), arrays[..., 12])
