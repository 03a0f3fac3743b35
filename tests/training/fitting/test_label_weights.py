"""Label weights in the loss: a factor for each image, and nothing at all where every weight is 1."""

import torch

from spine.landmarks import MARGINS175, VIEWS
from training.config import TrainingConfig
from training.data.dataset import Sample
from training.fitting.lightning_module import LandmarkModule, loss_parts, margin_pairs
from training.model.dsnt import masked_mean
from training.model.label_shift import label_sources
from training.model.networks import build_network
from training.model.output_map import output_map_of

CONFIG = TrainingConfig(landmark_set="margins175", input_shape=(128, 64), epochs=1)
OUTPUT_MAP = output_map_of("margins175", MARGINS175.names, VIEWS)
PAIRS = margin_pairs(OUTPUT_MAP, MARGINS175.names)
SOURCES = label_sources(OUTPUT_MAP, MARGINS175.names, 0)


def batch(weight):
    torch.manual_seed(1)
    count = len(weight)
    return Sample(
        pixels=torch.randn(count, 1, 128, 64),
        view=torch.arange(count) % 2,
        target=torch.rand(count, OUTPUT_MAP.count, 2) - 0.5,
        present=torch.rand(count, OUTPUT_MAP.count) > 0.3,
        unit_per_px=torch.ones(count),
        weight=torch.tensor(weight),
    )


def parts(sample, weight):
    torch.manual_seed(2)
    logits, seen = (
        torch.randn(len(sample.view), OUTPUT_MAP.count, 8, 4),
        torch.randn(len(sample.view), OUTPUT_MAP.count),
    )
    return loss_parts(logits, seen, sample, CONFIG, PAIRS, SOURCES, weight)


def test_a_mean_counts_each_image_with_its_weight():
    values, mask = torch.tensor([[1.0, 3.0], [5.0, 9.0]]), torch.tensor([[True, True], [True, False]])
    assert masked_mean(values, mask, torch.tensor([1.0, 0.25])).item() == (1 + 3 + 0.25 * 5) / 3


def test_every_loss_of_a_lighter_batch_is_lighter_by_its_weight():
    sample = batch([0.25, 0.25, 0.25])
    light, full = parts(sample, sample.weight), parts(sample, None)
    for name in full:
        assert torch.allclose(light[name], 0.25 * full[name], rtol=1e-6), name


def test_an_image_without_weight_teaches_nothing():
    sample = batch([1.0, 0.0])
    other = sample._replace(target=torch.cat([sample.target[:1], -sample.target[1:]]))
    first, second = parts(sample, sample.weight), parts(other, sample.weight)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_module_without_weights_does_not_read_them():
    torch.manual_seed(3)
    network = build_network(CONFIG, VIEWS)
    labels = batch([0.25, 0.5])
    sample = labels._replace(
        target=torch.zeros(2, len(MARGINS175), 2), present=torch.ones(2, len(MARGINS175), dtype=torch.bool)
    )
    losses = {}
    for weighted, weight in ((False, sample.weight), (False, torch.ones(2)), (True, sample.weight)):
        module = LandmarkModule(network, OUTPUT_MAP, CONFIG, weighted=weighted)
        losses[weighted, tuple(weight.tolist())] = module.training_step(sample._replace(weight=weight), 0)
    plain = losses[False, (1.0, 1.0)]
    assert torch.equal(losses[False, (0.25, 0.5)], plain)
    assert losses[True, (0.25, 0.5)] < 0.6 * plain
