"""Labels one level off take the shifted names nearest to the points found."""

import pytest
import torch

from spine.landmarks import CORNERS68, MARGINS175, VIEWS
from training.config import TrainingConfig
from training.data.dataset import Sample
from training.fitting.lightning_module import loss_parts
from training.model.label_shift import label_sources, shift_labels
from training.model.output_map import output_map_of

OUTPUT_MAP = output_map_of("corners68", CORNERS68.names, ("frontal",))
SHAPE = (128, 64)


def _place(name: str, levels: int = 0) -> tuple[float, float]:
    """Position of corner ``name`` in a spine that is ``levels`` lower."""
    index = CORNERS68.index[name]
    return (0.1 if name.endswith("left") else -0.1, -0.8 + 0.024 * (index // 2) + 0.048 * levels)


def _batch(levels: int) -> Sample:
    """Labels with every name ``levels`` too low."""
    target = torch.tensor([[_place(n, levels) for n in CORNERS68]])
    count = len(CORNERS68)
    present, one = torch.ones(1, count).bool(), torch.ones(1)
    return Sample(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64), target, present, one, one)


FOUND = torch.tensor([[_place(n) for n in CORNERS68]])


@pytest.mark.parametrize("levels", [-1, 0, 1])
def test_labels_take_the_nearest_names(levels):
    sources = label_sources(OUTPUT_MAP, CORNERS68.names, 1)
    shifted = shift_labels(_batch(levels), FOUND, sources, SHAPE)
    there = shifted.present[0]
    assert int(there.sum()) == 68 - 4 * abs(levels)
    assert torch.allclose(shifted.target[0][there], FOUND[0][there], atol=1e-5)
    missing = {n.split("_")[0] for n, p in zip(CORNERS68, there.tolist(), strict=True) if not p}
    assert missing == {-1: {"L5"}, 0: set(), 1: {"T1"}}[levels]


def test_every_image_shifts_by_itself():
    both = Sample(*(torch.cat([a, b]) for a, b in zip(_batch(1), _batch(0), strict=True)))
    shifted = shift_labels(both, FOUND.expand(2, -1, -1), label_sources(OUTPUT_MAP, CORNERS68.names, 1), SHAPE)
    assert shifted.present.sum(dim=1).tolist() == [64, 68]


def test_without_shifts_nothing_moves_and_the_sacrum_never_moves():
    assert label_sources(OUTPUT_MAP, CORNERS68.names, 0).shape == (1, len(VIEWS), 68)
    output_map = output_map_of("margins175", MARGINS175.names, VIEWS)
    sources = label_sources(output_map, MARGINS175.names, 1)
    for v, row in enumerate(output_map.landmark):
        for output, k in enumerate(row):
            if k >= 0 and MARGINS175.names[k].startswith(("S1", "HIP")):
                assert (sources[:, v, output] == output).all()


def test_the_loss_of_labels_one_level_off_is_that_of_right_ones():
    config = TrainingConfig(epochs=1, landmark_set="corners68", label_shift=1)
    sources = label_sources(OUTPUT_MAP, CORNERS68.names, 1)
    columns, rows = ((FOUND[0] + 1) / 2 * torch.tensor([64.0, 128.0])).long().T
    logits = torch.zeros(1, 68, *SHAPE)
    logits[0, torch.arange(68), rows, columns] = 25.0
    seen = torch.full((1, 68), 9.0)
    no_pairs, no_shift = torch.zeros(2, 0, dtype=torch.int64), sources[:1]
    right = loss_parts(logits, seen, _batch(0), config, no_pairs, sources)["euclidean"]
    off = loss_parts(logits, seen, _batch(1), config, no_pairs, sources)["euclidean"]
    strict = loss_parts(logits, seen, _batch(1), config, no_pairs, no_shift)["euclidean"]
    assert off == pytest.approx(float(right), rel=0.1)
    assert strict > 3 * right
