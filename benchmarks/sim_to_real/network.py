"""The fixed, plain detector: a U-Net with residual blocks, 68 corner maps at half resolution, 8.34 M parameters.

Contract: (N, 68, H/2, W/2) logits from (N, 1, H, W) images, whose H and W are multiples of 64. The logits are float32
also under autocast.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (48, 64, 128, 192, 240, 240)
"""Number of channels at strides 2, 4, .. 64."""

TINY_WIDTHS = (8, 8, 8, 16, 16, 16)
"""Number of channels for a dry run."""

CORNERS = 68


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.cut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, outputs, H/stride, W/stride) from (N, inputs, H, W)."""
        y = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(y)) + self.cut(x))


class CornerNet(nn.Module):
    """The detector; see the module."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), ResidualBlock(4, widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(ResidualBlock(fine, coarse, 2), ResidualBlock(coarse, coarse))
            for fine, coarse in pairwise(widths)
        )
        self.across = nn.ModuleList(nn.Conv2d(c, f, 1, bias=False) for f, c in pairwise(widths))
        self.up = nn.ModuleList(ResidualBlock(f, f) for f in widths[:-1])
        self.head = nn.Conv2d(widths[0], CORNERS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 68, H/2, W/2) logits of (N, 1, H, W) images."""
        levels = [self.stem(image)]
        for down in self.down:
            levels.append(down(levels[-1]))
        current = levels.pop()
        for across, up in zip(reversed(self.across), reversed(self.up), strict=True):
            fine = levels.pop()
            current = up(functional.interpolate(across(current), scale_factor=2.0) + fine)
        # In bfloat16 a logit of 20 has steps of 1/8, so the last layer uses float32.
        with torch.autocast(current.device.type, enabled=False):
            return self.head(current.float())


def parameter_count(network: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in network.parameters())
