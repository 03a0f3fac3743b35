"""Augmentation keeps labels exact, the order is reproducible, and images stay on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.decoding import pixels_from_normalised
from spine.dataset import Example, ExampleView, Manifest
from spine.dataset_writing import write_manifest
from spine.landmarks import GALBUSERA39, VIEWS
from spine.storage import write_array_atomically
from training.config import Augmentation
from training.data.dataset import ImageDataset, PositionSampler, change_greys, draw_affine, image_items

INPUT = (192, 128)
GEOMETRIC = Augmentation(rotation_deg=8, scale=0.2, shift=0.05, mirror=0.5, contrast=0, brightness=0, gamma=0, noise=0)


def _dot_set(folder: Path, shape: tuple[int, int]) -> tuple[Manifest, dict[str, np.ndarray]]:
    """Frontal and lateral images that are black but for a soft dot on HIP_L."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    points = {
        "HIP_L": np.array([0.63 * shape[1], 0.58 * shape[0]]),
        "HIP_R": np.array([0.37 * shape[1], 0.41 * shape[0]]),
    }
    distance = np.hypot(columns - points["HIP_L"][0], rows - points["HIP_L"][1])
    image = (60000 * np.exp(-0.5 * (distance / (shape[0] / 60)) ** 2)).astype(np.uint16)
    write_array_atomically(folder / "images" / "dot.npy", image)
    views = {v: ExampleView(v, "images/dot.npy", "dot", shape, None, "NONE", None, points) for v in VIEWS}
    return write_manifest(folder, "galbusera39", 0, [Example("dot", "dot", "train", "drawn", views)]), points


@pytest.mark.parametrize("shape", [(192, 128), (500, 211), (1500, 500)])
def test_a_drawn_dot_follows_its_label(tmp_path, shape):
    manifest, _ = _dot_set(tmp_path, shape)
    items = image_items(tuple(manifest.examples()), VIEWS)
    data = ImageDataset(tmp_path, items, GALBUSERA39.names, INPUT, seed=3, augmentation=GEOMETRIC)
    left, right = GALBUSERA39.index["HIP_L"], GALBUSERA39.index["HIP_R"]
    mirrored = 0
    for epoch in range(12):
        for index, item in enumerate(items):
            sample = data[epoch, index]
            weights = sample.pixels[0].double().numpy() + 1.0
            weights[weights < 0.05] = 0.0
            rows, columns = np.mgrid[: INPUT[0], : INPUT[1]]
            seen = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
            labels = pixels_from_normalised(sample.target.double().numpy(), INPUT)
            distances = np.linalg.norm(labels[[left, right]] - seen, axis=1)
            assert distances.min() < 0.35
            mirrored += int(distances[1] < distances[0])
            assert item.view == "frontal" or distances[0] < distances[1], "a lateral was mirrored"
    assert 2 <= mirrored <= 10


def test_mirroring_swaps_partners_and_nothing_else(tmp_path):
    manifest, points = _dot_set(tmp_path, INPUT)
    always = Augmentation(rotation_deg=0, scale=0, shift=0, mirror=1, contrast=0, brightness=0, gamma=0, noise=0)
    data = ImageDataset(
        tmp_path, image_items(tuple(manifest.examples()), VIEWS), GALBUSERA39.names, INPUT, augmentation=always
    )
    frontal = pixels_from_normalised(data[0, 0].target.double().numpy(), INPUT)
    lateral = pixels_from_normalised(data[0, 1].target.double().numpy(), INPUT)
    index = GALBUSERA39.index
    mirrored = np.array([INPUT[1] - 1, 0]) + points["HIP_R"] * [-1, 1]
    np.testing.assert_allclose(frontal[index["HIP_L"]], mirrored, atol=1e-4)
    np.testing.assert_allclose(lateral[index["HIP_L"]], points["HIP_L"], atol=1e-4)


def test_affine_round_trip_with_augmentation_and_mirror():
    random = np.random.default_rng(0)
    points = random.uniform(-50, 900, (40, 2))
    for _ in range(50):
        affine, _ = draw_affine(random, Augmentation(mirror=0.5, rotation_deg=20, scale=0.5), INPUT, "frontal")
        np.testing.assert_allclose(affine.inverse.apply(affine.apply(points)), points, atol=1e-6)


def test_stretching_makes_curves_steeper_without_changing_the_area():
    none = {"rotation_deg": 0.0, "scale": 0.0, "shift": 0.0, "mirror": 0.0}
    plain, _ = draw_affine(np.random.default_rng(5), Augmentation(**none), INPUT, "frontal")
    np.testing.assert_allclose(plain.matrix, np.eye(3), atol=1e-12)
    widths = []
    for seed in range(200):
        affine, _ = draw_affine(np.random.default_rng(seed), Augmentation(**none, stretch=0.4), INPUT, "frontal")
        assert affine.scale == pytest.approx(1.0)
        assert affine.matrix[0, 1] == affine.matrix[1, 0] == 0
        widths.append(np.log2(affine.matrix[0, 0] / affine.matrix[1, 1]))
    assert np.std(widths) == pytest.approx(0.4, rel=0.2)


def test_absent_and_pushed_out_landmarks_are_masked(tmp_path):
    manifest, _ = _dot_set(tmp_path, INPUT)
    items = image_items(tuple(manifest.examples()), VIEWS)
    sample = ImageDataset(tmp_path, items, GALBUSERA39.names, INPUT)[0, 0]
    assert sample.present.sum() == 2
    assert not sample.present[GALBUSERA39.index["T4_sup"]]
    assert (sample.target[~sample.present] == 0).all()
    far = Augmentation(rotation_deg=0, scale=0, shift=3, mirror=0, contrast=0, brightness=0, gamma=0, noise=0)
    pushed = ImageDataset(tmp_path, items, GALBUSERA39.names, INPUT, augmentation=far)
    assert sum(int(pushed[e, 0].present.sum()) for e in range(6)) < 12


def test_augmentation_depends_on_epoch_and_index_alone(drawn):
    folder, manifest = drawn
    items = image_items(manifest.in_split("train"), VIEWS)
    data = ImageDataset(folder, items, GALBUSERA39.names, (128, 64), seed=1, augmentation=Augmentation())
    first, again, later = data[2, 5], data[2, 5], data[3, 5]
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.pixels, later.pixels)
    keys = [(1, 3), (0, 2)]
    assert all(torch.equal(a.pixels, data[k].pixels) for a, k in zip(data.__getitems__(keys), keys, strict=True))


def test_sampler_resumes_in_the_middle_of_an_epoch():
    whole = PositionSampler(11, seed=4)
    whole.set_epoch(2)
    expected = list(whole)
    assert sorted(i for _, i in expected) == list(range(11))
    resumed = PositionSampler(11, seed=4, first_epoch=2, skip=4)
    resumed.set_epoch(0)
    assert list(resumed) == expected[4:]
    resumed.set_epoch(1)
    whole.set_epoch(3)
    assert list(resumed) == list(whole)
    assert list(resumed) != expected


def test_greys_stay_bounded_and_zero_strength_changes_nothing():
    random = np.random.default_rng(0)
    pixels = random.uniform(-1.5, 1.5, (1, 16, 8)).astype(np.float32)
    strong = Augmentation(contrast=2, brightness=2, gamma=1, noise=2)
    for _ in range(20):
        changed = change_greys(random, strong, pixels)
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert np.abs(changed).max() <= 1.5 + 1e-6
    np.testing.assert_allclose(change_greys(random, GEOMETRIC, pixels), pixels, atol=1e-6)


def test_images_are_read_from_disk_one_by_one(drawn, monkeypatch):
    import training.data.dataset

    opened: list[np.ndarray] = []
    load = training.data.dataset.load_example_image
    monkeypatch.setattr(
        training.data.dataset, "load_example_image", lambda f, r: opened.append(load(f, r)) or opened[-1]
    )
    folder, manifest = drawn
    data = ImageDataset(folder, image_items(tuple(manifest.examples()), VIEWS), GALBUSERA39.names, (128, 64))
    assert not opened
    data[0, 3]
    assert len(opened) == 1
    assert isinstance(opened[0], np.memmap)
