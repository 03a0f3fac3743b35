"""Training of the plain detector for a fixed time, and the corners that it finds.

Contract: random numbers come from a seed. The learning rate depends on the elapsed time, so the number of steps is a
result. Soft-max and losses are in float32. A loss that is not finite stops the run.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.sim_to_real.augmentation import MIRRORED, augment, normalised
from benchmarks.sim_to_real.network import TINY_WIDTHS, WIDTHS, CornerNet
from inference.decoding import pixels_from_normalised
from simulation.stream.radiographs import FrontalRadiographs
from training.model.dsnt import euclidean_loss, expected_coordinates, jensen_shannon_loss, masked_mean, spatial_softmax


@dataclass(frozen=True)
class Recipe:
    """The fixed recipe. A run may choose minutes and seed; a dry run uses ``TINY``.

    Attributes:
        minutes: of training, without compilation.
        batch: images per step.
        learning_rate: at the peak.
        warm_up: share of the time before the peak.
        weight_decay: of convolution weights.
        coordinate_weight: of the Euclidean loss (half heights) relative to the divergence (nats).
        sigma_cells: SD of the target maps.
        gradient_norm: largest norm of the gradient.
        widths: of the network.
        max_steps: largest number of steps, for dry runs.
        seed: of weights, order and augmentation.
    """

    minutes: float = 3.0
    batch: int = 24
    learning_rate: float = 2e-3
    warm_up: float = 0.15
    weight_decay: float = 1e-2
    coordinate_weight: float = 10.0
    sigma_cells: float = 1.5
    gradient_norm: float = 1.0
    widths: tuple[int, ...] = WIDTHS
    max_steps: int | None = None
    seed: int = 0


TINY = Recipe(minutes=1.0, batch=2, widths=TINY_WIDTHS, max_steps=3)


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Attributes:
        network: in evaluation mode.
        steps, seconds: of training, without compilation.
        compile_seconds: of the first step with compilation.
        compiled: whether the losses are compiled.
        losses: (share of the time, divergence, distance in px) after every twentieth of the time.
    """

    network: nn.Module
    steps: int
    seconds: float
    compile_seconds: float
    compiled: bool
    losses: tuple[tuple[float, float, float], ...]


def rate_factor(progress: float, warm_up: float) -> float:
    """The learning rate relative to its peak: a cosine from 1/25 up to 1, then a cosine down to 1/10,000."""
    low, share = (1 / 25, progress / warm_up) if progress < warm_up else (1e-4, (1 - progress) / (1 - warm_up))
    return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * min(max(share, 0.0), 1.0)))


def train(radiographs: FrontalRadiographs, recipe: Recipe) -> Trained:
    """A network, trained on these radiographs.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    device = radiographs.images.device
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True  # for the products of the last layer
    torch.backends.cuda.matmul.allow_tf32 = False  # a position in 896 pixels needs more than the ten bits of TF32
    network = CornerNet(recipe.widths).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(network, recipe, device.type == "cuda")
    generator = torch.Generator(device=device).manual_seed(recipe.seed)

    def batch(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, corners, visible = augment(
            radiographs.images[rows], radiographs.corners[rows], radiographs.visible[rows], generator
        )
        return images, corners.flatten(1, 2), visible.flatten(1)

    rows = _orders(radiographs.images.shape[0], recipe.batch, generator)
    started = time.monotonic()
    losses, compiled = _compiled_losses(network, batch(next(rows)), recipe)
    compile_seconds = time.monotonic() - started
    parameters = list(network.parameters())
    network.train()
    history: list[tuple[float, float, float]] = []
    started, steps, progress = time.monotonic(), 0, 0.0
    sums = torch.zeros(2, device=device)
    since = 0
    while progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate_factor(progress, recipe.warm_up)
        images, corners, visible = batch(next(rows))
        divergence, distance = losses(logits_of(network, images), corners, visible, recipe.sigma_cells)
        optimizer.zero_grad(set_to_none=True)
        (divergence + recipe.coordinate_weight * distance).backward()
        nn.utils.clip_grad_norm_(parameters, recipe.gradient_norm)
        optimizer.step()
        sums += torch.stack([divergence.detach(), distance.detach()])
        steps, since = steps + 1, since + 1
        if steps % 8 == 0 and device.type == "cuda":
            torch.cuda.synchronize()  # otherwise the host is ahead of the device, and the time is wrong
        progress = (time.monotonic() - started) / (60 * recipe.minutes)
        if recipe.max_steps is not None:
            progress = max(progress, steps / recipe.max_steps)
        if progress >= (len(history) + 1) / 20 or progress >= 1:
            history.append(
                _report(progress, sums / since, radiographs.images.shape[-2], steps, time.monotonic() - started)
            )
            sums, since = torch.zeros_like(sums), 0
    seconds = time.monotonic() - started
    return Trained(network.eval(), steps, seconds, compile_seconds, compiled, tuple(history))


def _optimizer(network: nn.Module, recipe: Recipe, fused: bool) -> torch.optim.Optimizer:
    decayed = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=fused)


def _orders(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of row numbers without end: one random order after another, without incomplete batches."""
    batch = min(batch, count)
    while True:
        order = torch.randperm(count, generator=generator, device=generator.device)
        yield from order[: count // batch * batch].split(batch)


def _report(progress: float, means: Tensor, height: int, steps: int, seconds: float) -> tuple[float, float, float]:
    divergence, distance = (float(m) for m in means)
    if not math.isfinite(divergence + distance):
        raise FloatingPointError(
            f"found a loss of {divergence} + {distance} at {progress:.0%} of the time; expected finite values: "
            "check the radiographs of the pool"
        )
    row = (round(progress, 3), divergence, distance * height / 2)
    sys.stdout.write(
        f"  {progress:4.0%}  step {steps:5d}  {steps / seconds:5.1f}/s  divergence {divergence:.4f}  "
        f"distance {row[2]:6.2f} px\n"
    )
    sys.stdout.flush()
    return row


def map_losses(logits: Tensor, corners: Tensor, visible: Tensor, sigma_cells: float) -> Tensor:
    """(2,) mean losses over visible corners: the divergence in nats, and the distance in half heights of the image.

    Args:
        logits: (N, 68, h, w) at half resolution.
        corners: (N, 68, 2) pixels of the input.
        visible: (N, 68).
        sigma_cells: SD of the target maps.
    """
    shape = (logits.shape[-2], logits.shape[-1])
    heatmaps = spatial_softmax(logits)
    x, y = (corners[..., 0] + 0.5) / shape[1] - 1, (corners[..., 1] + 0.5) / shape[0] - 1  # 2 / (2 w)
    target = torch.stack([x, y], dim=-1)
    distance = euclidean_loss(expected_coordinates(heatmaps), target, shape)
    divergence = jensen_shannon_loss(heatmaps, target, sigma_cells)
    return torch.stack([masked_mean(divergence, visible), masked_mean(distance, visible)])


MapLosses = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def logits_of(network: nn.Module, image: Tensor) -> Tensor:
    """(N, 68, H/2, W/2) contiguous float32 logits of (N, 1, H, W) images."""
    with torch.autocast(image.device.type, dtype=torch.bfloat16):
        logits = network(image.contiguous(memory_format=torch.channels_last))
    return logits.float().contiguous()


def _compiled_losses(
    network: nn.Module, batch: tuple[Tensor, Tensor, Tensor], recipe: Recipe
) -> tuple[MapLosses, bool]:
    """The losses, and whether they are compiled. Losses that are not compiled take as long as the network.

    The network is not compiled, because compilation would take a minute and save a few milliseconds.
    """
    if not batch[0].is_cuda:
        return map_losses, False
    state = {name: value.clone() for name, value in network.state_dict().items()}
    losses, compiled = torch.compile(map_losses, dynamic=False), True
    try:
        losses(logits_of(network, batch[0]), *batch[1:], recipe.sigma_cells).sum().backward()
    except Exception as error:  # whatever fails in the compiler, the recipe works without it
        sys.stdout.write(f"  not compiled: {type(error).__name__}: {str(error)[:300]}\n")
        losses, compiled = map_losses, False
    network.zero_grad(set_to_none=True)
    network.load_state_dict(state)  # the trial has changed the running means of the batch normalisation
    return losses, compiled


@torch.no_grad()
def find_corners(network: nn.Module, images: Tensor, batch: int = 24) -> NDArray[np.float64]:
    """(N, 17, 4, 2) corners in pixels of (N, H, W) uint8 images: means over each image and its mirror image."""
    network.eval()
    shape = (images.shape[-2], images.shape[-1])
    found = []
    for part in images.split(batch):
        grey = normalised(part[:, None].float() / 255)
        straight = _corners(network, grey, shape)
        mirrored = _corners(network, grey.flip(-1), shape)[:, :, list(MIRRORED)]
        mirrored[..., 0] = shape[1] - 1 - mirrored[..., 0]
        found.append((straight + mirrored) / 2)
    return np.concatenate(found)


def _corners(network: nn.Module, grey: Tensor, shape: tuple[int, int]) -> NDArray[np.float64]:
    points = expected_coordinates(spatial_softmax(logits_of(network, grey))).cpu().numpy().astype(np.float64)
    return pixels_from_normalised(points, shape).reshape(-1, 17, 4, 2)
