"""Virtual patients rendered during training: the network gets the same inputs as in service."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.decoding import normalised_from_pixels
from inference.preprocessing import prepare
from simulation.stream.patients import VirtualPatients
from simulation.stream.stream_config import StreamConfig
from spine.errors import ContractViolation
from spine.landmarks import GALBUSERA39, MARGINS175, VIEWS, mirrored_name
from tests.training.drawn_cohort import write_drawn_dataset
from training.config import Augmentation, TrainingConfig
from training.data.dataset import change_greys, draw_affine, image_items
from training.data.pool import PoolBatches, change_greys_of_batch, draw_affines, warp_images
from training.data.preload import PreloadedPool
from training.data.virtual_patients import VirtualPool, prepare_rendered, stream_seed
from training.process_group import ProcessGroup

SHAPE = (128, 64)
NAMES = GALBUSERA39.names
CPU = torch.device("cpu")
DRAWN_TOGETHER = 8
"""Patients in one batch of the renderer, 32 in training: with 8 a pool of two batches is rendered in seconds."""


@pytest.fixture(scope="module", autouse=True)
def _small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.config.DRAWN_TOGETHER", DRAWN_TOGETHER)
        patch.setattr("training.data.virtual_patients.DRAWN_TOGETHER", DRAWN_TOGETHER)
        yield


def config_of(**changes):
    given = {"batch_size": 6, "virtual_pairs": 16, "reuse": 2, "seed": 5, "deterministic": False}
    return TrainingConfig(epochs=2, input_shape=SHAPE, **(given | changes))


@pytest.fixture(scope="module")
def drawn():
    spacing = StreamConfig.spacing_mm * StreamConfig.shape[0] / SHAPE[0]
    config = StreamConfig(
        seed=stream_seed(config_of()), count=24, batch_size=DRAWN_TOGETHER, shape=SHAPE, spacing_mm=spacing
    )
    return list(VirtualPatients(config))


@pytest.fixture(scope="module")
def pool():
    pool = VirtualPool(config_of(), VIEWS, CPU)
    pool.load_epoch(0)
    return pool


@pytest.mark.slow
def test_a_rendered_image_gives_the_same_input_as_one_from_disk(drawn):
    """Short fields are centred, grey values scaled between the same percentiles, and labels moved along."""
    short = 0
    for view in VIEWS:
        made = prepare_rendered(drawn[0], view)
        for i in range(DRAWN_TOGETHER):
            rows = int(drawn[0].bounds[view][i, 1])
            image = (drawn[0].images[view][i, 0, :rows] * 4095).round().numpy().astype(np.uint16)
            served = prepare(image, SHAPE)
            there = drawn[0].present[view][i].numpy()
            points = served.affine.apply(drawn[0].landmarks[view][i].numpy().astype(float))
            half_row = 0.5 if (SHAPE[0] - rows) % 2 else 0.0  # preprocessing centres to the half pixel
            expected = normalised_from_pixels(points, SHAPE)[there]
            assert np.abs(made.points[i].numpy()[there] - expected).max() < (half_row + 0.01) * 2 / SHAPE[1]
            if not half_row:
                assert np.abs(made.pixels[i].numpy() - served.pixels[0]).mean() < 0.03
            short += rows < SHAPE[0]
    assert short > 1


@pytest.mark.slow
def test_the_pool_of_an_epoch_is_the_same_after_an_interruption(pool, drawn):
    first = prepare_rendered(drawn[0], "frontal")
    assert torch.equal(pool.pixels[:DRAWN_TOGETHER], first.pixels.half())
    later = VirtualPool(config_of(), VIEWS, CPU)
    later.load_epoch(1)
    turned = VirtualPool(config_of(), VIEWS, CPU)
    turned.load_epoch(0)
    turned.load_epoch(1)
    assert torch.equal(later.pixels, turned.pixels)
    assert torch.equal(later.points, turned.points)
    assert torch.equal(turned.pixels[:DRAWN_TOGETHER], prepare_rendered(drawn[2], "frontal").pixels.half())
    assert torch.equal(
        turned.pixels[DRAWN_TOGETHER : 2 * DRAWN_TOGETHER], pool.pixels[DRAWN_TOGETHER : 2 * DRAWN_TOGETHER]
    )
    assert turned.seconds > 0


@pytest.mark.slow
def test_patients_that_were_rendered_ahead_are_those_of_the_next_epoch(pool):
    """A GPU renders ahead in parts while it learns; the CPU does the same here when it is told to."""
    ahead, turned = (VirtualPool(config_of(), VIEWS, CPU) for _ in range(2))
    for each in (ahead, turned):
        each.load_epoch(0)
    before = ahead.pixels.clone()
    for share in (0.1, 0.5, 1.0):
        ahead.render_ahead(1, share)
    assert torch.equal(ahead.pixels, before), "the images of this epoch stay until it ends"
    assert [source.next_patient for source in ahead.sources] == [24, 0]
    for each in (ahead, turned):
        each.load_epoch(1)
    assert torch.equal(ahead.pixels, turned.pixels)
    assert torch.equal(ahead.points, turned.points)
    assert not torch.equal(ahead.pixels, before)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_rendering_beside_the_learning_changes_nothing_but_the_rounding():
    """The order of a GPU's sums is not fixed, so two pools that are rendered alike differ a little too."""
    gpu, config = torch.device("cuda"), config_of(virtual_pairs=64, reuse=2)
    ahead, turned = (VirtualPool(config, VIEWS, gpu) for _ in range(2))
    for each in (ahead, turned):
        each.load_epoch(0)
    work = torch.randn(2048, 2048, device=gpu)
    for share in (0.1, 0.5, 0.9):
        ahead.look_ahead(1, share)
        work = (work @ work).clamp(-1, 1)
    for each in (ahead, turned):
        each.load_epoch(1)
    assert torch.equal(ahead.points, turned.points) and torch.equal(ahead.present, turned.present)
    assert float((ahead.pixels.float() - turned.pixels.float()).abs().mean()) < 1e-4


@pytest.mark.slow
def test_radiographs_come_beside_the_pairs_as_frontal_images_centred_in_black():
    config = config_of(virtual_frontals=16)
    pool = VirtualPool(config, VIEWS, CPU)
    pool.load_epoch(0)
    assert len(pool.pixels) == len(pool.view) == 2 * 16 + 16
    assert (pool.view[32:] == VIEWS.index("frontal")).all()
    inside = pool.pixels[32:].float() > -1
    assert 0.2 < inside.float().mean() < 0.95  # strips
    left, right = inside.any(1).float().argmax(1), inside.any(1).flip(-1).float().argmax(1)
    assert (left - right).abs().float().mean() < 0.5  # centred, but for corners that happen to be black
    t7 = pool.points[32:, NAMES.index("T7_sup")]
    assert pool.present[32:, NAMES.index("T7_sup")].float().mean() > 0.9
    assert t7.abs().max() < 1.2
    pool.load_epoch(1)
    assert [source.next_patient for source in pool.sources] == [24, 24]


@pytest.mark.slow
def test_images_of_a_data_set_stay_in_front_of_the_virtual_radiographs(tmp_path):
    items = image_items(write_drawn_dataset(tmp_path, (3, 1, 1)).in_split("train"), VIEWS)
    config = config_of(virtual_pairs=0, virtual_frontals=16, preload=True)
    pool = VirtualPool(config, VIEWS, CPU, folder=tmp_path, items=items)
    real = PreloadedPool(tmp_path, items, config, CPU)
    before = torch.zeros_like(pool.pixels)
    for epoch in (0, 1):
        pool.load_epoch(epoch)
        assert torch.equal(pool.pixels[:6], real.pixels)
        assert torch.equal(pool.points[:6], real.points)
        assert (pool.view == torch.cat([real.view, torch.zeros(16, dtype=torch.int64)])).all()
        changed = (pool.pixels != before).flatten(1).any(dim=1)
        assert changed[6:].sum() == (16 if epoch == 0 else 8)
        before = pool.pixels.clone()
    severe = VirtualPool(replace(config, severe_share=1.0), VIEWS, CPU, folder=tmp_path, items=items)
    severe.load_epoch(0)
    bent, usual = (each.points[6:, NAMES.index("T9_sup"), 0].std() for each in (severe, pool))
    assert bent > usual


@pytest.mark.slow
def test_without_replacement_the_patients_stay(pool):
    kept = VirtualPool(config_of(reuse=0), VIEWS, CPU)
    for epoch in (0, 1, 50):
        kept.load_epoch(epoch)
    assert torch.equal(kept.pixels, pool.pixels)


@pytest.mark.slow
def test_every_process_of_a_group_renders_patients_of_its_own():
    config = config_of(devices=2, batch_size=4, virtual_pairs=32)
    first, second = (VirtualPool(config, VIEWS, CPU, group=ProcessGroup(rank, 2)) for rank in (0, 1))
    for pool in (first, second):
        pool.load_epoch(0)
    assert len(first.pixels) == len(second.pixels) == 2 * 32 // 2
    assert not (first.points.flatten(1)[:, None] == second.points.flatten(1)[None]).all(-1).any()


@pytest.mark.slow
def test_a_patient_of_the_held_out_splits_is_refused(drawn):
    leaking = VirtualPool(config_of(), VIEWS, CPU, frozenset(drawn[0].seeds[3:5]))
    with pytest.raises(ContractViolation, match=r"HELD_OUT_LEARNT.*2 virtual patients"):
        leaking.load_epoch(0)


@pytest.mark.slow
def test_a_margin_is_labelled_in_its_own_view_alone():
    config = config_of(landmark_set="margins175", virtual_pairs=8, reuse=1)
    pool = VirtualPool(config, VIEWS, CPU)
    pool.load_epoch(0)
    for v, (own, other) in enumerate((("_left", "_ant"), ("_post", "_right"))):
        seen = pool.present[v * 8 : (v + 1) * 8].any(dim=0)
        assert seen[[n.endswith(own) for n in MARGINS175]].float().mean() > 0.9
        assert not seen[[n.count("_") == 2 and n.endswith(other) for n in MARGINS175]].any()


@pytest.mark.slow
def test_an_epoch_has_every_image_once_and_continues_after_an_interruption(pool):
    batches = PoolBatches(pool, config_of())
    whole = list(batches)
    assert len(whole) == len(batches) == 32 // 6
    assert batches.epoch == 1
    again = list(PoolBatches(pool, config_of(), first_epoch=0, seen=2 * 6))
    assert len(again) == len(whole) - 2
    for one, other in zip(again, whole[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert sum(int((b.view == 0).sum()) for b in whole) > 7
    assert whole[0].pixels.shape == (6, 1, *SHAPE)
    assert all((b.target[b.present].abs() < 1).all() and (b.target[~b.present] == 0).all() for b in whole)


def test_labels_stay_on_their_pixels():
    """A bright dot at every label: after augmentation the label still marks it."""
    random, strengths = np.random.default_rng(3), Augmentation(rotation_deg=8.0, mirror=1.0)
    count = 16
    points = torch.from_numpy(random.uniform(-0.5, 0.5, (count, 2))).float()
    columns, rows = (((points[:, a] + 1) / 2 * SHAPE[1 - a] - 0.5).round().long() for a in (0, 1))
    exact = (torch.stack([columns, rows], -1) + 0.5) * 2 / torch.tensor([SHAPE[1], SHAPE[0]]) - 1
    pixels = torch.full((count, *SHAPE), -1.0)
    for i in range(count):
        pixels[i, rows[i], columns[i]] = 1.0
    frontal = np.arange(count) % 2 == 0
    linear, shift, mirrored = draw_affines(random, strengths, SHAPE, frontal)
    assert mirrored.tolist() == frontal.tolist()
    moved = warp_images(pixels, linear, shift) + 1
    target = (linear @ exact[..., None])[..., 0] + shift
    weight = moved.flatten(1).sum(1)
    grid = [torch.arange(n) for n in SHAPE]
    row = (moved.sum(2) * grid[0]).sum(1) / weight
    column = (moved.sum(1) * grid[1]).sum(1) / weight
    found = (torch.stack([column, row], -1) + 0.5) * 2 / torch.tensor([SHAPE[1], SHAPE[0]]) - 1
    assert (found - target).abs().max() < 0.6 * 2 / SHAPE[1]
    lengths = torch.linalg.det(linear).abs().sqrt()
    assert 0.75 < float(lengths.min()) <= float(lengths.max()) < 1.35


@pytest.mark.slow
def test_a_mirrored_frontal_image_exchanges_left_and_right(pool):
    names = ("HIP_L", "HIP_R", "T1_sup")
    indices = [NAMES.index(n) for n in names]
    batches = PoolBatches(pool, config_of())
    where = torch.arange(8)
    plain, there = batches._labels(where, torch.zeros(8, dtype=torch.bool))
    swapped, there_too = batches._labels(where, torch.ones(8, dtype=torch.bool))
    assert [mirrored_name(n) for n in names] == ["HIP_R", "HIP_L", "T1_sup"]
    assert torch.equal(swapped[:, indices], plain[:, [indices[1], indices[0], indices[2]]])
    assert torch.equal(there_too[:, indices[2]], there[:, indices[2]])


class Same:
    """Stands in for a random generator that always gives these numbers."""

    def __init__(self, normal: float, uniform: float) -> None:
        self.values = normal, uniform

    def normal(self, size=(), dtype=None):
        return np.full(size, self.values[0])

    standard_normal = normal

    def random(self, size=()):
        return np.full(size, self.values[1])

    def integers(self, high):
        return 1


@pytest.mark.parametrize(
    ("normal", "uniform", "view"), [(0.7, 0.2, "frontal"), (-1.3, 0.9, "frontal"), (0.9, 0.1, "lateral")]
)
@pytest.mark.parametrize("stretch", [0.0, 0.4])
def test_augmentation_on_the_device_equals_that_from_disk(normal, uniform, view, stretch):
    random, strengths = Same(normal, uniform), Augmentation(noise=0.0, stretch=stretch)
    affine, mirrored = draw_affine(random, strengths, SHAPE, view)
    linear, shift, mirrors = draw_affines(random, strengths, SHAPE, np.array([view == "frontal"]))
    assert mirrors.tolist() == [mirrored]
    points = np.array([[3.0, 100.0], [40.0, 20.0]])
    before, after = (normalised_from_pixels(p, SHAPE) for p in (points, affine.apply(points)))
    assert before @ linear[0].double().numpy().T + shift[0].numpy() == pytest.approx(after, abs=1e-5)
    pixels = np.linspace(-1.5, 1.5, 64, dtype=np.float32)[None].repeat(4, 0)
    changed = change_greys_of_batch(random, strengths, torch.from_numpy(pixels)[None])
    assert changed[0].numpy() == pytest.approx(change_greys(random, strengths, pixels[None])[0], abs=1e-5)


def test_greys_change_within_their_limits():
    random = np.random.default_rng(1)
    pixels = torch.linspace(-1.5, 1.5, 64).repeat(6, 32, 1)
    changed = change_greys_of_batch(random, Augmentation(), pixels)
    assert changed.shape == pixels.shape
    assert float(changed.min()) >= -1.5
    assert float(changed.max()) <= 1.5
    assert (changed - pixels).abs().mean() > 0.01
    still = Augmentation(contrast=0, brightness=0, gamma=0, noise=0)
    assert change_greys_of_batch(random, still, pixels) == pytest.approx(pixels, abs=1e-5)
