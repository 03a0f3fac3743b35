"""The Lightning module: one step of learning, and nothing else.

What belongs here: loss, optimiser, the learning rate of the moment. What does not: budgets, validation,
checkpoints (``conductor``), architectures (``networks``). Contract: a loss that is not finite stops the fit
with a reason; it never becomes a candidate.
"""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from spine.errors import ContractViolation
from training.budget import rate_factor
from training.config import TrainingConfig
from training.data import Sample
from training.dsnt import euclidean_loss, expected_coordinates, jensen_shannon_loss, masked_mean, spatial_softmax

VISIBILITY_WEIGHT = 0.3


class LandmarkModule(LightningModule):
    """Learns one network.

    Args:
        network: maps (picture, view) to (logits, visibility logits).
        config: of the run.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.progress = 0.0  # of the budget, kept up to date by the conductor
        self.losses: dict[str, Tensor] = {}  # sums since the conductor last emptied them

    def training_step(self, batch: Sample, batch_index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            ContractViolation: the loss is not finite.
        """
        logits, visibility = self.network(batch.pixels, batch.view)
        parts = loss_parts(logits.float(), visibility.float(), batch, self.config)
        loss = (
            parts["js"] + self.config.coordinate_weight * parts["euclidean"] + VISIBILITY_WEIGHT * parts["visibility"]
        )
        if not bool(torch.isfinite(loss)):
            raise ContractViolation(
                "LOSS_NOT_FINITE",
                found=f"loss {loss.item()} at {self.progress:.0%} of the budget",
                expected="a finite loss",
                remedy="lower the learning rate, use precision 32, or look for impossible labels",
            )
        for name, value in {"loss": loss, **parts}.items():
            self.losses[name] = self.losses.get(name, torch.zeros_like(value)) + value.detach()
        self.losses["batches"] = self.losses.get("batches", torch.zeros_like(loss)) + 1
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; convolution weights decay, normalisation and biases do not."""
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate)

    def on_train_batch_start(self, batch: Sample, batch_index: int) -> None:
        """Set the learning rate of the moment."""
        optimizer = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate_factor(self.progress)

    def take_losses(self) -> dict[str, float]:
        """Mean losses since the last call, ``train/<name>``."""
        sums, self.losses = self.losses, {}
        batches = float(sums.pop("batches", torch.ones(())))
        return {f"train/{name}": float(value) / batches for name, value in sums.items()}


def loss_parts(logits: Tensor, visibility: Tensor, batch: Sample, config: TrainingConfig) -> dict[str, Tensor]:
    """Euclidean, Jensen-Shannon and visibility losses of (B, K, h, w) logits and (B, K) visibility logits."""
    heatmaps = spatial_softmax(logits)
    shape = (logits.shape[-2], logits.shape[-1])
    distance = euclidean_loss(expected_coordinates(heatmaps), batch.target, shape)
    divergence = jensen_shannon_loss(heatmaps, batch.target, config.sigma_cells)
    return {
        "euclidean": masked_mean(distance, batch.present),
        "js": masked_mean(divergence, batch.present),
        "visibility": functional.binary_cross_entropy_with_logits(visibility, batch.present.float()),
    }
