"""Augmentation in batches on the device: one projective warp, then changes of grey values. Part of the fixed recipe.

Contract: the input is (N, H, W) uint8 images and (N, 17, 4, 2) corners. The output is (N, 1, H, W) float32 normalised
images, corners and visibility. A corner outside the image is not visible. Left and right corners of a mirrored image
are exchanged, so that corner 0 is always upper left in the image. All random numbers come from one generator.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

MIRRORED = (1, 0, 3, 2)
"""Order of the corners in a mirrored image."""

_BLACK = 0.02


@dataclass(frozen=True)
class Strength:
    """The strength of each change.

    Attributes:
        rotation_deg: SD of the rotation.
        scale: largest factor of the size.
        anisotropy: largest factor of width relative to height.
        shift: largest shift in each direction, as a share of the size of the image.
        perspective: SD of the projective terms.
        mirror, invert, bars, equalise, occlude, blur: probabilities.
    """

    rotation_deg: float = 8.0
    scale: float = 1.3
    anisotropy: float = 1.12
    shift: float = 0.08
    perspective: float = 0.05
    mirror: float = 0.5
    invert: float = 0.1
    bars: float = 0.3
    equalise: float = 0.3
    occlude: float = 0.5
    blur: float = 0.5


class Chance:
    """Random numbers of one batch of N images: (N, 1, 1, 1), or (N, 1, H, W) where a shape is given."""

    def __init__(self, count: int, generator: Generator) -> None:
        self.count, self.generator, self.device = count, generator, generator.device

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform random numbers."""
        drawn = torch.rand(self.count, 1, 1, 1, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, deviation: float) -> Tensor:
        """Normal random numbers with mean 0."""
        return deviation * torch.randn(self.count, 1, 1, 1, generator=self.generator, device=self.device)

    def happens(self, probability: float) -> Tensor:
        """True with this probability."""
        return self.uniform(0, 1) < probability

    def field(self, rows: int, columns: int, shape: tuple[int, int]) -> Tensor:
        """Smooth, nearly normal random images, interpolated from (rows, columns) knots."""
        knots = torch.randn(self.count, 1, rows, columns, generator=self.generator, device=self.device)
        return functional.interpolate(knots, size=shape, mode="bicubic", align_corners=True)

    def noise(self, shape: tuple[int, int]) -> Tensor:
        """Images of white normal noise."""
        return torch.randn(self.count, 1, *shape, generator=self.generator, device=self.device)


def augment(
    images: Tensor, corners: Tensor, visible: Tensor, generator: Generator, strength: Strength | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """One augmented batch: images, corners and visibility; see the module."""
    strength = strength or Strength()
    chance = Chance(images.shape[0], generator)
    warped, corners, visible = _warp(images, corners, visible, chance, strength)
    return normalised(_greys(_bars(warped, corners, visible, chance, strength), chance, strength)), corners, visible


def normalised(grey: Tensor) -> Tensor:
    """(N, 1, H, W) greys with mean 0 and SD 1 over the pixels that are not black, from greys in 0..1."""
    lit = (grey > _BLACK).to(grey.dtype)
    count = lit.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1.0)
    mean = (grey * lit).sum(dim=(1, 2, 3), keepdim=True) / count
    variance = ((grey - mean).square() * lit).sum(dim=(1, 2, 3), keepdim=True) / count
    return (grey - mean) / variance.clamp(min=1e-4).sqrt()


def _warp(
    images: Tensor, corners: Tensor, visible: Tensor, chance: Chance, strength: Strength
) -> tuple[Tensor, Tensor, Tensor]:
    height, width = images.shape[-2:]
    # float32 is enough: coordinates of 896 pixels have a precision of 1e-4 px.
    forward, mirrored = _matrices(chance, strength, height, width)
    inverse = torch.linalg.inv_ex(forward).inverse  # without a check, for which the host would wait for the device
    rows = torch.arange(height, device=images.device, dtype=torch.float32)
    columns = torch.arange(width, device=images.device, dtype=torch.float32)
    target = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(1, -1, 2)
    source = _through(inverse, target.expand(images.shape[0], -1, -1))
    grid = torch.stack([(source[..., 0] + 0.5) * (2 / width) - 1, (source[..., 1] + 0.5) * (2 / height) - 1], dim=-1)
    grid = grid.reshape(-1, height, width, 2)
    # Outside the image is black, one grey, or the repeated edge, with a probability of a third each.
    kind = chance.uniform(0, 1)
    inside = (grid.abs() <= 1).all(dim=-1)[:, None]
    grey = functional.grid_sample(
        images[:, None].float() / 255, grid.clamp(-1, 1), padding_mode="border", align_corners=False
    )
    flat = torch.where(kind < 0.67, chance.uniform(0, 0.9), torch.zeros_like(kind))
    flat = torch.where(kind < 0.34, torch.zeros_like(flat), flat)
    grey = torch.where(inside | (kind >= 0.67), grey, flat)
    moved = _through(forward, corners.reshape(corners.shape[0], -1, 2)).reshape(corners.shape)
    moved = torch.where(mirrored[..., None], _exchanged(moved), moved)
    seen = torch.where(mirrored, _exchanged(visible), visible)
    x, y = moved[..., 0], moved[..., 1]
    here = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    return grey, moved, seen & here


def _matrices(chance: Chance, strength: Strength, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(N, 3, 3) matrices from image pixels to warped pixels, and (N, 1, 1) whether an image is mirrored."""

    def column(value: Tensor) -> Tensor:
        return value.reshape(-1)

    angle = column(chance.normal(math.radians(strength.rotation_deg)))
    size = column(torch.exp(chance.uniform(-1, 1) * math.log(strength.scale)))
    wide = column(torch.exp(chance.uniform(-1, 1) * math.log(strength.anisotropy) / 2))
    mirrored = column(chance.happens(strength.mirror))
    sign = torch.where(mirrored, -1.0, 1.0)
    # Coordinates are from the centre, in half heights, so that the size of the image does not matter.
    matrix = torch.zeros(chance.count, 3, 3, device=chance.device)
    matrix[:, 0, 0], matrix[:, 0, 1] = size * wide * torch.cos(angle) * sign, -size * wide * torch.sin(angle)
    matrix[:, 1, 0], matrix[:, 1, 1] = size / wide * torch.sin(angle) * sign, size / wide * torch.cos(angle)
    matrix[:, 0, 2] = column(chance.uniform(-2, 2)) * strength.shift * width / height
    matrix[:, 1, 2] = column(chance.uniform(-2, 2)) * strength.shift
    matrix[:, 2, 0], matrix[:, 2, 1] = (
        column(chance.normal(strength.perspective)),
        column(chance.normal(strength.perspective)),
    )
    matrix[:, 2, :2] = matrix[:, 2, :2].clamp(-0.2, 0.2)
    matrix[:, 2, 2] = 1.0
    to_middle, back = torch.eye(3, device=chance.device), torch.eye(3, device=chance.device)
    for axis, size_px in ((0, width), (1, height)):
        to_middle[axis, axis], to_middle[axis, 2] = 2 / height, (1 - size_px) / height
        back[axis, axis], back[axis, 2] = height / 2, (size_px - 1) / 2
    return back @ matrix @ to_middle, mirrored.reshape(-1, 1, 1)


def _exchanged(corners: Tensor) -> Tensor:
    """(N, 17, 4, ...) with left and right exchanged, by a flip; for a list of indices the host would wait."""
    return corners.unflatten(2, (2, 2)).flip(3).flatten(2, 3)


def _through(matrix: Tensor, points: Tensor) -> Tensor:
    """(N, M, 2) points, mapped by (N, 3, 3) matrices term by term; a TF32 product would be wrong by a pixel."""
    x, y, m = points[..., 0], points[..., 1], matrix[:, None]
    depth = (m[..., 2, 0] * x + m[..., 2, 1] * y + m[..., 2, 2]).clamp(min=0.1)
    across = (m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2]) / depth
    return torch.stack([across, (m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2]) / depth], dim=-1)


def _bars(grey: Tensor, corners: Tensor, visible: Tensor, chance: Chance, strength: Strength) -> Tensor:
    """Images with black bars up to the outermost visible corner, as around a smaller radiograph."""
    height, width = grey.shape[-2:]
    for axis, size in ((0, width), (1, height)):
        place = corners[..., axis].reshape(corners.shape[0], -1)
        seen = visible.reshape(place.shape)
        first = torch.where(seen, place, float(size)).amin(dim=1).clamp(min=0).reshape(-1, 1, 1, 1)
        last = torch.where(seen, place, 0.0).amax(dim=1).clamp(max=size - 1).reshape(-1, 1, 1, 1)
        low = first * chance.uniform(0, 0.95) * chance.happens(strength.bars)
        high = size - 1 - (size - 1 - last) * chance.uniform(0, 0.95) * chance.happens(strength.bars)
        pixel = torch.arange(size, device=grey.device, dtype=grey.dtype)
        pixel = pixel.reshape(1, 1, 1, -1) if axis == 0 else pixel.reshape(1, 1, -1, 1)
        grey = grey * ((pixel >= low) & (pixel <= high))
    return grey


def _greys(grey: Tensor, chance: Chance, strength: Strength) -> Tensor:
    shape = (grey.shape[-2], grey.shape[-1])
    black = grey <= _BLACK
    grey = _equalised(grey, chance, strength)
    grey = grey.clamp(1e-3, 1) ** torch.exp(chance.normal(0.4))
    grey = grey * torch.exp(0.25 * chance.uniform(0, 1) * chance.field(7, 4, shape))
    grey = grey + 0.15 * chance.uniform(0, 1) * chance.field(5, 3, shape)
    grey = _occluded(grey, chance, strength)
    grey = _sharpness(grey, chance, strength)
    # Values outside the window are clipped, like lungs and abdomen on radiographs of high contrast.
    low, high = chance.uniform(-0.3, 0.25), chance.uniform(0.7, 1.3)
    grey = ((grey - low) / (high - low)).clamp(0, 1)
    coarse = functional.interpolate(chance.noise((shape[0] // 2, shape[1] // 2)), size=shape, mode="bilinear")
    grain = chance.uniform(0, 1).square() * chance.noise(shape) + chance.uniform(0, 1).square() * coarse
    grey = (grey + 0.05 * grain).clamp(0, 1)
    grey = torch.where(chance.happens(strength.invert), 1 - grey, grey)
    # In most images, black margins stay black.
    return torch.where(black & chance.happens(0.7), torch.zeros_like(grey), grey)


def _equalised(grey: Tensor, chance: Chance, strength: Strength) -> Tensor:
    """Images of which some have an equalised local contrast, to a random degree."""
    small = functional.avg_pool2d(grey, 8)
    mean = functional.avg_pool2d(small, 9, 1, 4, count_include_pad=False)
    square = functional.avg_pool2d(small.square(), 9, 1, 4, count_include_pad=False)
    size = grey.shape[-2:]
    mean, square = (functional.interpolate(m, size=size, mode="bilinear") for m in (mean, square))
    even = 0.5 + 0.2 * (grey - mean) / (square - mean.square()).clamp(min=4e-4).sqrt()
    share = chance.uniform(0, 1) * chance.happens(strength.equalise)
    return grey + share * (even.clamp(0, 1) - grey)


def _occluded(grey: Tensor, chance: Chance, strength: Strength, count: int = 3) -> Tensor:
    """Images with semi-transparent grey rectangles, as small as markers or as large as shields."""
    height, width = grey.shape[-2:]
    row = torch.arange(height, device=grey.device, dtype=grey.dtype).reshape(1, 1, -1, 1)
    column = torch.arange(width, device=grey.device, dtype=grey.dtype).reshape(1, 1, 1, -1)
    for _ in range(count):
        middle = chance.uniform(0, height), chance.uniform(0, width)
        half = height * (0.01 + 0.09 * chance.uniform(0, 1).square()), height * (0.01 + 0.09 * chance.uniform(0, 1))
        covered = ((row - middle[0]).abs() < half[0]) & ((column - middle[1]).abs() < half[1])
        share = covered * chance.happens(strength.occlude) * chance.uniform(0.3, 1.0)
        grey = grey + share * (chance.uniform(0, 1) - grey)
    return grey


def _sharpness(grey: Tensor, chance: Chance, strength: Strength) -> Tensor:
    """Images that are blurred with an SD of 0.5 to 2.5 px, or sharpened by what such a blur removes."""
    sigma = chance.uniform(0.5, 2.5)
    tap = torch.arange(-6, 7, device=grey.device, dtype=grey.dtype)
    kernel = torch.exp(-0.5 * (tap / sigma.reshape(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    count = grey.shape[0]
    stacked = grey.reshape(1, count, *grey.shape[-2:])
    stacked = functional.conv2d(stacked, kernel.reshape(count, 1, 13, 1), padding=(6, 0), groups=count)
    stacked = functional.conv2d(stacked, kernel.reshape(count, 1, 1, 13), padding=(0, 6), groups=count)
    share = chance.uniform(-1.2, 1.0) * chance.happens(strength.blur)
    return grey + share * (stacked.reshape(grey.shape) - grey)
