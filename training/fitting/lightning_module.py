"""The Lightning module: one step of learning, and nothing else.

Contract: a loss that is not finite stops the fit with a reason; it never becomes a candidate.
"""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from spine.errors import ContractViolation
from spine.landmarks import PLATES
from training.config import TrainingConfig
from training.data.dataset import Sample
from training.fitting.budget import rate_factor
from training.model.dsnt import euclidean_loss, expected_coordinates, jensen_shannon_loss, masked_mean, spatial_softmax
from training.model.label_shift import label_sources, renamed
from training.model.output_map import OutputMap, of_views

VISIBILITY_WEIGHT = 0.3

DIRECTION_WEIGHT = 3.0
"""Of the direction between the margins of one plate, against the place of one landmark. It is not the mean over the
pairs that counts: where a set has one pair (the sacrum's), that would outweigh the places of its two points by far, and
they were never learnt."""

CHECKED_EVERY = 10
"""Steps between looks at the loss on a GPU: each look waits for all work queued there."""


class LandmarkModule(LightningModule):
    """Learns one network.

    Args:
        network: maps (image, view) to (logits, visibility logits) of the output_map of each view.
        output_map: which map is which landmark.
        config: of the run.
        compiled: compile network and losses (on a GPU the losses alone cost as much as the network, uncompiled).
    """

    def __init__(
        self, network: nn.Module, output_map: OutputMap, config: TrainingConfig, compiled: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.output_map = output_map
        self.config = config
        self.register_buffer("table", output_map.table(torch.device("cpu")), persistent=False)
        # Networks that know nothing of each other cannot agree on a direction.
        alone = config.preset == "galbusera2019"
        pairs = torch.zeros(2, 0, dtype=torch.int64) if alone else margin_pairs(output_map, config.names)
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("sources", label_sources(output_map, config.names, config.label_shift), persistent=False)
        self._parts = torch.compile(self._loss_parts, dynamic=False) if compiled else self._loss_parts
        self._unchecked = 0
        self.progress = 0.0  # of the budget, kept up to date by the conductor
        self.table: Tensor
        self.pairs: Tensor
        self.sources: Tensor
        self.losses: dict[str, Tensor] = {}  # sums since the conductor last emptied them

    def training_step(self, batch: Sample, batch_index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            ContractViolation: the loss is not finite.
        """
        parts = self._parts(batch)
        loss = (
            parts["js"]
            + self.config.coordinate_weight * (parts["euclidean"] + parts["direction"])
            + VISIBILITY_WEIGHT * parts["visibility"]
        )
        self._unchecked += 1
        if not loss.is_cuda or self._unchecked >= CHECKED_EVERY:
            self.check(loss)
        for name, value in {"loss": loss, **parts}.items():
            self.losses[name] = self.losses.get(name, torch.zeros_like(value)) + value.detach()
        self.losses["batches"] = self.losses.get("batches", torch.zeros_like(loss)) + 1
        return loss

    def check(self, loss: Tensor | None = None) -> None:
        """Refuse to go on with a loss, or a sum of losses since the last journal entry, that is not finite.

        Raises:
            ContractViolation: it is not.
        """
        self._unchecked = 0
        value = self.losses.get("loss") if loss is None else loss + self.losses.get("loss", torch.zeros_like(loss))
        if value is not None and not bool(torch.isfinite(value)):
            raise ContractViolation(
                "LOSS_NOT_FINITE",
                found=f"loss {value.item()} at {self.progress:.0%} of the budget",
                expected="a finite loss",
                remedy="lower the learning rate, use precision 32, or look for impossible labels",
            )

    def _loss_parts(self, batch: Sample) -> dict[str, Tensor]:
        logits, visibility = self.network(batch.pixels, batch.view)
        sought = of_views(batch, self.table)
        return loss_parts(logits.float(), visibility.float(), sought, self.config, self.pairs, self.sources)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; convolution weights decay, normalisation and biases do not."""
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate)

    def on_train_batch_start(self, batch: Sample, batch_index: int) -> None:
        """Set the learning rate of the moment."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.learning_rate * rate_factor(self.progress)

    def take_losses(self) -> dict[str, float]:
        """Mean losses since the last call, ``train/<name>``."""
        sums, self.losses = self.losses, {}
        batches = float(sums.pop("batches", torch.ones(())))
        return {f"train/{name}": float(value) / batches for name, value in sums.items()}


def margin_pairs(output_map: OutputMap, names: Sequence[str]) -> Tensor:
    """(2, P) output_map of the two margins of every plate."""
    known = [{names[k]: s for s, k in enumerate(row) if k >= 0} for row in output_map.landmark]
    wanted = [(f"{plate}_{a}", f"{plate}_{b}") for plate in PLATES for a, b in (("right", "left"), ("post", "ant"))]
    found = {(at[a], at[b]) for a, b in [*wanted, ("S1_post", "S1_ant")] for at in known if a in at and b in at}
    return torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2).T.contiguous()


def loss_parts(
    logits: Tensor,
    visibility: Tensor,
    batch: Sample,
    config: TrainingConfig,
    pairs: Tensor | None = None,
    sources: Tensor | None = None,
) -> dict[str, Tensor]:
    """Euclidean, direction, Jensen-Shannon and visibility losses of (B, S, h, w) logits and (B, S) visibility logits.

    The direction loss is the distance of the vectors between the two points of each of ``pairs``: of two margins that
    are off by as much the tilt of their plate is right, and tilts are what is measured. With ``sources`` of more than
    one shift the labels are taken under the names nearest to what is found (``renaming``).
    """
    heatmaps = spatial_softmax(logits)
    shape = (logits.shape[-2], logits.shape[-1])
    found = expected_coordinates(heatmaps)
    labelled = batch.present
    if sources is not None and len(sources) > 1:
        batch = renamed(batch, found, sources, shape)
    parts = {
        "euclidean": masked_mean(euclidean_loss(found, batch.target, shape), batch.present),
        "js": masked_mean(jensen_shannon_loss(heatmaps, batch.target, config.sigma_cells), batch.present),
        "visibility": functional.binary_cross_entropy_with_logits(visibility, labelled.float()),
        "direction": logits.new_zeros(()),
    }
    if pairs is not None and pairs.shape[1]:
        starts, ends = pairs
        aside = euclidean_loss(
            found[:, ends] - found[:, starts], batch.target[:, ends] - batch.target[:, starts], shape
        )
        seen = batch.present[:, starts] & batch.present[:, ends]
        total = torch.where(seen, aside, torch.zeros_like(aside)).sum()
        parts["direction"] = DIRECTION_WEIGHT * total / batch.present.sum().clamp(min=1)
    return parts
