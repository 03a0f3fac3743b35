"""The landmark of each output of a network, for each view.

Contract: a network has S outputs, where S is the number of landmarks of the view with the most landmarks. Output s of
view v is landmark ``landmark[v][s]`` of the K landmarks of the fit, or -1 if it is not a landmark. A landmark that a
view does not show has no output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName
from spine.types import Float, Int
from training.data.dataset import Sample


@dataclass(frozen=True)
class OutputMap:
    """The landmarks that the outputs of a network predict.

    Attributes:
        views: the views, in the order of ``spine.landmarks.VIEWS``.
        landmark: for each view and each of the S outputs, the index of its landmark, or -1 if there is none.
        landmarks: number K of landmarks.
    """

    views: tuple[ViewName, ...]
    landmark: tuple[tuple[int, ...], ...]
    landmarks: int

    @property
    def count(self) -> int:
        """The number S of outputs."""
        return len(self.landmark[0])

    @property
    def is_identity(self) -> bool:
        """Whether output k is landmark k in every view."""
        return all(row == tuple(range(self.landmarks)) for row in self.landmark)

    def table(self, device: torch.device) -> Int[Tensor, "V S"]:
        """(V, S) int64 landmark of each output for all of ``VIEWS``. A view without a head has the first head's row."""
        rows = dict(zip(self.views, self.landmark, strict=True))
        return torch.tensor([rows.get(v, self.landmark[0]) for v in VIEWS], device=device)

    def to_landmarks(
        self, values: Float[Tensor, "N S *any"], view: Int[Tensor, " N"], fill: float
    ) -> Float[Tensor, "N K *any"]:
        """(N, S, ...) values of outputs -> (N, K, ...) values of landmarks; ``fill`` if a landmark has no output."""
        if self.is_identity:
            return values
        padded = torch.cat([values, torch.full_like(values[:, :1], fill)], dim=1)
        of_views = []
        for row in self.landmark:
            place = {landmark: output for output, landmark in enumerate(row) if landmark >= 0}
            of_views.append(padded[:, torch.tensor([place.get(k, self.count) for k in range(self.landmarks)])])
        if len(of_views) == 1:
            return of_views[0]
        is_second = view == VIEWS.index(self.views[1])
        return torch.where(is_second.reshape(-1, *(1,) * (values.dim() - 1)), of_views[1], of_views[0])


def to_outputs(sample: Sample, table: Int[Tensor, "V S"]) -> Sample:
    """``sample`` with labels of the S outputs of each image's view. An output without a landmark is absent."""
    index = table[sample.view]
    at = index.clamp(min=0)
    present = sample.present.gather(1, at) & (index >= 0)
    target = sample.target.gather(1, at[..., None].expand(-1, -1, 2))
    return sample._replace(target=target, present=present)


def output_map_of(landmark_set: str, names: Sequence[str], views: Sequence[ViewName]) -> OutputMap:
    """The output map for the K landmarks ``names`` of a landmark set."""
    known, rows = LANDMARK_SETS[landmark_set], []
    for view in views:
        shown = set(known.names_in(view))
        rows.append([k for k, name in enumerate(names) if name in shown])
    longest = max(map(len, rows))
    padded = tuple(tuple(row) + (-1,) * (longest - len(row)) for row in rows)
    return OutputMap(tuple(views), padded, len(names))
