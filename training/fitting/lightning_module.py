"""The Lightning module, which computes one training step with its losses and its optimiser.

Contract: a loss that is not finite stops the fit with a reason.
"""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from spine.errors import ContractViolation
from spine.landmarks import PLATES
from spine.types import Float, Int
from training.config import TrainingConfig
from training.data.dataset import Sample
from training.fitting.budget import rate_factor
from training.model.dsnt import euclidean_loss, expected_coordinates, jensen_shannon_loss, masked_mean, spatial_softmax
from training.model.label_shift import label_sources, shift_labels
from training.model.output_map import OutputMap, to_outputs

VISIBILITY_WEIGHT = 0.3

DIRECTION_WEIGHT = 3.0
"""Weight of the direction between the two margins of one end plate, relative to the position of one landmark. The sum
of the direction losses is divided by the number of landmarks, not by the number of pairs. With a mean over pairs, a
single pair (the sacrum's) outweighed the positions of its two points by far, and these were never learnt."""

CHECKED_EVERY = 10
"""Number of steps between two checks of the loss on a GPU. A check waits for all work that is queued on the GPU."""


class LandmarkModule(LightningModule):
    """Trains one network, which maps (image, view) to heat-map logits and visibility logits of the outputs.

    ``compiled`` compiles network and losses. On a GPU, losses that are not compiled take as long as the network.
    ``weighted`` multiplies the losses of an image by ``Sample.weight``. Without it the weights are not used, so that a
    fit in which all of them are 1 gives the same bits as before there were weights.
    """

    def __init__(
        self,
        network: nn.Module,
        output_map: OutputMap,
        config: TrainingConfig,
        compiled: bool = False,
        *,
        weighted: bool = False,
    ) -> None:
        super().__init__()
        self.weighted = weighted
        self.network = network
        self.output_map = output_map
        self.config = config
        self.register_buffer("table", output_map.table(torch.device("cpu")), persistent=False)
        # Independent networks cannot learn a direction together.
        alone = config.preset == "galbusera2019"
        pairs = torch.zeros(2, 0, dtype=torch.int64) if alone else margin_pairs(output_map, config.names)
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("sources", label_sources(output_map, config.names, config.label_shift), persistent=False)
        # In this mode a step is one CUDA graph, because a GPU runs its operations faster than the host launches them.
        graphs = torch.compile(self._loss_parts, dynamic=False, mode="reduce-overhead") if compiled else None
        self._parts = graphs or self._loss_parts
        self._unchecked = 0
        self.progress = 0.0  # used fraction of the budget, updated by the callback
        self.table: Tensor
        self.pairs: Tensor
        self.sources: Tensor
        self.losses: dict[str, Tensor] = {}  # sums since the last ``take_losses``

    def training_step(self, batch: Sample, batch_index: int) -> Float[Tensor, ""]:
        """The loss of one batch.

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
        """Check that the loss, and the sum of losses since the last journal entry, are finite.

        Raises:
            ContractViolation: the loss or the sum is not finite.
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
        labels = to_outputs(batch, self.table)
        weight = labels.weight if self.weighted else None
        return loss_parts(logits.float(), visibility.float(), labels, self.config, self.pairs, self.sources, weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser AdamW, which applies weight decay to convolution kernels only."""
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate, fused=plain[0].is_cuda or None)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients. Lightning does not clip for a fused optimiser, whose step may scale them.

        Nothing is scaled here: bfloat16 has the range of single precision.
        """
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val or torch.inf)

    def on_train_batch_start(self, batch: Sample, batch_index: int) -> None:
        """Set the learning rate of this step."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.learning_rate * rate_factor(self.progress)

    def take_losses(self) -> dict[str, float]:
        """``train/<name>`` -> mean loss since the last call."""
        sums, self.losses = self.losses, {}
        batches = float(sums.pop("batches", torch.ones(())))
        return {f"train/{name}": float(value) / batches for name, value in sums.items()}


def margin_pairs(output_map: OutputMap, names: Sequence[str]) -> Int[Tensor, "2 P"]:
    """(2, P) indices of the outputs that are the two margins of each end plate."""
    known = [{names[k]: s for s, k in enumerate(row) if k >= 0} for row in output_map.landmark]
    wanted = [(f"{plate}_{a}", f"{plate}_{b}") for plate in PLATES for a, b in (("right", "left"), ("post", "ant"))]
    found = {(at[a], at[b]) for a, b in [*wanted, ("S1_post", "S1_ant")] for at in known if a in at and b in at}
    return torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2).T.contiguous()


def loss_parts(
    logits: Float[Tensor, "B S h w"],
    visibility: Float[Tensor, "B S"],
    batch: Sample,
    config: TrainingConfig,
    pairs: Int[Tensor, "2 P"],
    sources: Int[Tensor, "shifts V S"],
    weight: Float[Tensor, " B"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Name -> loss: ``euclidean``, ``js`` (Jensen-Shannon), ``visibility`` and ``direction``.

    The direction loss compares the vector between the two points of each of ``pairs`` with the labelled vector. Angles
    are measured from these vectors, and two margins with the same error give the correct angle. If ``sources`` has
    several shifts, the labels of each image are renamed by the shift that fits the found points best (``label_shift``).

    Args:
        logits, visibility: heat-map logits and visibility logits of the S outputs of B images.
        batch: labels of the outputs.
        pairs: the result of ``margin_pairs``.
        sources: the result of ``label_sources``.
        weight: factor on the losses of each image; None for 1.
    """
    heatmaps, shape, labelled = spatial_softmax(logits), (logits.shape[-2], logits.shape[-1]), batch.present
    found = expected_coordinates(heatmaps)
    if len(sources) > 1:
        batch = shift_labels(batch, found, sources, shape)
    of_images = None if weight is None else weight[:, None].expand_as(visibility)
    parts = {
        "euclidean": masked_mean(euclidean_loss(found, batch.target, shape), batch.present, weight),
        "js": masked_mean(jensen_shannon_loss(heatmaps, batch.target, config.sigma_cells), batch.present, weight),
        "visibility": functional.binary_cross_entropy_with_logits(visibility, labelled.float(), of_images),
        "direction": logits.new_zeros(()),
    }
    if pairs.shape[1]:
        starts, ends = pairs
        vectors, wanted = (points[:, ends] - points[:, starts] for points in (found, batch.target))
        difference = euclidean_loss(vectors, wanted, shape)
        both = batch.present[:, starts] & batch.present[:, ends]
        kept = torch.where(both, difference, torch.zeros_like(difference))
        total = (kept if weight is None else kept * weight[:, None]).sum()
        parts["direction"] = DIRECTION_WEIGHT * total / batch.present.sum().clamp(min=1)
    return parts
