"""The networks: one encoder-decoder for all landmarks, or one encoder-decoder for each landmark.

    image (N, 1, H, W)
      -> space to depth: s x s pixels into s^2 channels         (H/s, W/s); s is the stride, 4 or 8
      -> encoder, each level half the size of the level before  (H/64, W/64)
      -> decoder with skip connections back up                  (H/s, W/s)
      -> a head per view at every decoder level; the logits of all levels are added

Coarse levels cover the whole spine and distinguish the vertebrae. Fine levels locate the margins of an end plate. The
logits of all levels are added, so their distributions are multiplied.

Contract: every network maps ``image`` (N, 1, H, W) and ``view`` (N,) int64 to (N, S, H/s, W/s) logits and (N, S)
visibility logits of the S outputs of each image's view.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from spine.landmarks import VIEWS, ViewName
from spine.types import Bool, Float, Int
from training.config import TrainingConfig
from training.model.dsnt import spatial_softmax
from training.model.output_map import OutputMap, output_map_of

SHARED_WIDTHS = {4: (64, 96, 160, 192, 192), 8: (64, 128, 192, 256)}
"""Stride -> channels per level of the ``shared`` network, finest level first. The coarsest level has stride 64."""

SINGLE_WIDTHS = {4: (8, 16, 24, 32, 48), 8: (16, 24, 32, 48)}
"""Stride -> channels per level of the network of one landmark, finest level first."""

_NOT_SHOWN = -30.0
"""Visibility logit of a landmark that a view does not show."""

Outputs = tuple[Float[Tensor, "N S h w"], Float[Tensor, "N S"]]
"""Heat-map logits and visibility logits."""


class ConvolutionBlock(nn.Sequential):
    """3 x 3 convolution, batch normalisation and ReLU, as ``groups`` independent blocks side by side."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False, groups=groups),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class EncoderDecoder(nn.Module):
    """One trunk with a head per view, or ``groups`` independent trunks side by side for different landmarks.

    Args:
        widths: channels per level of one trunk, finest level first.
        maps: number S of heat maps of all groups together.
        views: number of heads.
        stride: input pixels per cell.
        rows: number H / 64 of rows of the coarsest level. Visibility is computed from all these rows.
        groups: number of independent channel groups (grouped convolutions).
    """

    def __init__(self, widths: Sequence[int], maps: int, views: int, stride: int, rows: int, groups: int = 1) -> None:
        super().__init__()
        wide = [w * groups for w in widths]
        self.maps = maps
        # All groups have the same input image, so the first layer is independent for each group without grouping.
        self.stem = nn.Sequential(nn.PixelUnshuffle(stride), ConvolutionBlock(stride**2, wide[0]))
        self.encoder = nn.ModuleList([ConvolutionBlock(wide[0], wide[0], groups=groups)])
        for fine, coarse in pairwise(wide):
            self.encoder.append(
                nn.Sequential(
                    ConvolutionBlock(fine, coarse, 2, groups),
                    ConvolutionBlock(coarse, coarse, groups=groups),
                    ConvolutionBlock(coarse, coarse, groups=groups),
                )
            )
        self.lateral = nn.ModuleList(nn.Conv2d(c, f, 1, groups=groups) for f, c in pairwise(wide))
        self.decoder = nn.ModuleList(ConvolutionBlock(f, f, groups=groups) for f in wide[:-1])
        self.heads = nn.ModuleList(nn.Conv2d(f, maps * views, 1, groups=groups) for f in wide[:-1])
        # This is a convolution as high as the map, because a linear layer would mix the groups.
        self.seen = nn.Conv1d(wide[-1], maps * views, rows, groups=groups)

    def forward(self, image: Float[Tensor, "N 1 H W"], head: Bool[Tensor, " N"] | None) -> Outputs:
        """Logits and visibility logits. ``head`` is true for images of the second head, None if there is one head."""
        features = [self.encoder[0](self.stem(image))]
        for level in self.encoder[1:]:
            features.append(level(features[-1]))
        visibility = self._of_head(self.seen(features[-1].mean(dim=3))[..., 0], head)
        current, logits = features[-1], None
        for i in reversed(range(len(self.decoder))):
            current = functional.interpolate(self.lateral[i](current), scale_factor=2.0) + features[i]
            current = self.decoder[i](current)
            here = self._of_head(self.heads[i](current), head)
            if logits is not None:
                here = here + functional.interpolate(logits, scale_factor=2.0, mode="bilinear")
            logits = here
        assert logits is not None
        return logits, visibility

    def _of_head(self, every: Tensor, head: Tensor | None) -> Tensor:
        """The outputs of each image's head: (N, 2 S, ...) -> (N, S, ...)."""
        if head is None:
            return every
        return torch.where(head.reshape(-1, *(1,) * (every.dim() - 1)), every[:, self.maps :], every[:, : self.maps])


class SharedTrunk(nn.Module):
    """The default network, which predicts all landmarks of all views. It has the arguments of ``EncoderDecoder``."""

    def __init__(self, widths: Sequence[int], output_map: OutputMap, stride: int, rows: int) -> None:
        super().__init__()
        self.views = tuple(VIEWS.index(v) for v in output_map.views)
        self.trunk = EncoderDecoder(widths, output_map.count, len(output_map.views), stride, rows)

    def forward(self, image: Float[Tensor, "N 1 H W"], view: Int[Tensor, " N"]) -> Outputs:
        """Logits and visibility logits."""
        outputs: Outputs = self.trunk(image, None if len(self.views) == 1 else view == self.views[1])
        return outputs


class OnePerLandmark(nn.Module):
    """One network per landmark and view (Galbusera 2019). The networks of a view run side by side in one pass."""

    def __init__(self, output_map: OutputMap, stride: int, rows: int) -> None:
        super().__init__()
        self.views = tuple(VIEWS.index(v) for v in output_map.views)
        self.networks = nn.ModuleList(
            EncoderDecoder(SINGLE_WIDTHS[stride], output_map.count, 1, stride, rows, groups=output_map.count)
            for _ in output_map.views
        )

    def forward(self, image: Float[Tensor, "N 1 H W"], view: Int[Tensor, " N"]) -> Outputs:
        """Logits and visibility logits."""
        if self.training and len(self.views) > 1:
            return self._own_view_only(image, view)
        first, *others = (network(image, None) for network in self.networks)
        logits, visibility = first
        for second in others:
            is_second = view == self.views[1]
            logits = torch.where(is_second[:, None, None, None], second[0], logits)
            visibility = torch.where(is_second[:, None], second[1], visibility)
        return logits, visibility

    def _own_view_only(self, image: Tensor, view: Tensor) -> Outputs:
        """Run each image only through the networks of its view: half the work, and batch statistics of one view."""
        rows = [torch.nonzero(view == v)[:, 0] for v in self.views]
        parts = [network(image[r], None) for network, r in zip(self.networks, rows, strict=True) if len(r)]
        back = torch.argsort(torch.cat(rows))
        return torch.cat([p[0] for p in parts])[back], torch.cat([p[1] for p in parts])[back]


class ServedNetwork(nn.Module):
    """A network in the form that is exported, with a soft-max and with one map for each of the K landmarks.

    Args:
        network: a network of this module.
        output_map: the outputs of each view. Landmarks without an output have flat maps and are never visible.
    """

    def __init__(self, network: nn.Module, output_map: OutputMap) -> None:
        super().__init__()
        self.network = network
        self.output_map = output_map

    def forward(
        self, image: Float[Tensor, "N 1 H W"], view: Int[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N K h w"], Float[Tensor, "N K"]]:
        """Heat maps that sum to one, and visibility logits."""
        logits, visibility = self.network(image, view)
        cells = logits.shape[-1] * logits.shape[-2]
        return (
            self.output_map.to_landmarks(spatial_softmax(logits), view, 1.0 / cells),
            self.output_map.to_landmarks(visibility, view, _NOT_SHOWN),
        )


def build_network(config: TrainingConfig, views: Sequence[ViewName]) -> nn.Module:
    """The network of the config's preset, with random weights from torch's global generator."""
    rows, output_map = config.input_shape[0] // 64, output_map_of(config.landmark_set, config.names, views)
    if config.preset == "galbusera2019":
        return OnePerLandmark(output_map, config.heatmap_stride, rows)
    widths = [max(8, round(w * config.width / 8) * 8) for w in SHARED_WIDTHS[config.heatmap_stride]]
    return SharedTrunk(widths, output_map, config.heatmap_stride, rows)
