"""The networks: one encoder-decoder, used whole or once per landmark.

    picture (N, 1, H, W)
      -> space to depth: s x s pixels into s^2 channels         (H/s, W/s), s the stride, 4 or 8
      -> encoder, each level half the size of the last          (H/64, W/64)
      -> decoder with skip connections back up                  (H/s, W/s)
      -> at every decoder level a head per view; the logits of all levels add up

Coarse levels see the whole spine and know which vertebra is which, fine ones know where its plate ends;
their logits add, that is, their distributions multiply.

What belongs here: architectures. What does not: losses (``dsnt``), training (``module``). Contract: every
network maps ``picture`` (N, 1, H, W) and ``view`` (N,) int64 to (N, K, H/s, W/s) logits and (N, K)
visibility logits.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from spine.landmarks import VIEWS, ViewName
from training.config import TrainingConfig
from training.dsnt import spatial_softmax

SHARED_WIDTHS = {4: (32, 64, 128, 192, 256), 8: (64, 128, 192, 256)}
"""Stride -> channels per level of the ``shared`` network, finest first; the coarsest level has stride 64."""

SINGLE_WIDTHS = {4: (8, 16, 24, 32, 48), 8: (16, 24, 32, 48)}
"""The same for one landmark's network."""


class ConvolutionBlock(nn.Sequential):
    """3 x 3 convolution, batch normalisation, rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class EncoderDecoder(nn.Module):
    """One trunk with a head per view.

    Args:
        widths: channels per level, finest first.
        landmarks: K.
        views: the views there is a head for, in the order of ``spine.landmarks.VIEWS``.
        stride: input pixels per cell.
        rows: of the coarsest level, H / 64: which landmarks are cut off is a matter of height.
    """

    def __init__(
        self, widths: Sequence[int], landmarks: int, views: Sequence[ViewName], stride: int, rows: int
    ) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.views = tuple(VIEWS.index(v) for v in views)
        self.stem = nn.Sequential(nn.PixelUnshuffle(stride), ConvolutionBlock(stride**2, widths[0]))
        self.encoder = nn.ModuleList([ConvolutionBlock(widths[0], widths[0])])
        for fine, coarse in pairwise(widths):
            self.encoder.append(
                nn.Sequential(
                    ConvolutionBlock(fine, coarse, 2),
                    ConvolutionBlock(coarse, coarse),
                    ConvolutionBlock(coarse, coarse),
                )
            )
        self.lateral = nn.ModuleList(nn.Conv2d(c, f, 1) for f, c in pairwise(widths))
        self.decoder = nn.ModuleList(ConvolutionBlock(f, f) for f in widths[:-1])
        self.heads = nn.ModuleList(nn.Conv2d(f, landmarks * len(views), 1) for f in widths[:-1])
        self.seen = nn.Linear(widths[-1] * rows, landmarks * len(views))

    def forward(self, picture: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W), (N,) -> (N, K, H/s, W/s) logits, (N, K) visibility logits."""
        features = [self.encoder[0](self.stem(picture))]
        for level in self.encoder[1:]:
            features.append(level(features[-1]))
        visibility = self._of_view(self.seen(features[-1].mean(dim=3).flatten(1)), view)
        current, logits = features[-1], None
        for i in reversed(range(len(self.decoder))):
            current = functional.interpolate(self.lateral[i](current), scale_factor=2.0) + features[i]
            current = self.decoder[i](current)
            here = self._of_view(self.heads[i](current), view)
            logits = (
                here if logits is None else here + functional.interpolate(logits, scale_factor=2.0, mode="bilinear")
            )
        assert logits is not None
        return logits, visibility

    def _of_view(self, every: Tensor, view: Tensor) -> Tensor:
        """Of (N, V K, ...) the (N, K, ...) that belong to each picture's view."""
        if len(self.views) == 1:
            return every
        first, second = every[:, : self.landmarks], every[:, self.landmarks :]
        is_second = (view == self.views[1]).reshape(-1, *(1,) * (every.dim() - 1))
        return torch.where(is_second, second, first)


class OnePerLandmark(nn.Module):
    """Galbusera 2019: a network of its own for every landmark and view, behind the same signature.

    Args:
        landmarks: K.
        views: views, as in ``EncoderDecoder``.
        stride, rows: as there.
    """

    def __init__(self, landmarks: int, views: Sequence[ViewName], stride: int, rows: int) -> None:
        super().__init__()
        self.views = tuple(VIEWS.index(v) for v in views)
        self.networks = nn.ModuleList(
            nn.ModuleList(EncoderDecoder(SINGLE_WIDTHS[stride], 1, (v,), stride, rows) for _ in range(landmarks))
            for v in views
        )

    def forward(self, picture: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W), (N,) -> (N, K, H/s, W/s) logits, (N, K) visibility logits."""
        found = []
        for networks in self.networks:
            pairs = [network(picture, view) for network in networks]
            found.append((torch.cat([p[0] for p in pairs], dim=1), torch.cat([p[1] for p in pairs], dim=1)))
        if len(found) == 1:
            return found[0]
        is_second = view == self.views[1]
        logits = torch.where(is_second[:, None, None, None], found[1][0], found[0][0])
        return logits, torch.where(is_second[:, None], found[1][1], found[0][1])


class ServedNetwork(nn.Module):
    """A network with the soft-max that service expects: heat maps instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W), (N,) -> (N, K, H/s, W/s) heat maps, (N, K) visibility logits."""
        logits, visibility = self.network(picture, view)
        return spatial_softmax(logits), visibility


def build_network(config: TrainingConfig, views: Sequence[ViewName]) -> nn.Module:
    """The whole network of a preset, with fresh weights (seed torch first)."""
    rows = config.input_shape[0] // 64
    if config.preset == "galbusera2019":
        return OnePerLandmark(len(config.names), views, config.heatmap_stride, rows)
    widths = [max(8, round(w * config.width / 8) * 8) for w in SHARED_WIDTHS[config.heatmap_stride]]
    return EncoderDecoder(widths, len(config.names), views, config.heatmap_stride, rows)
