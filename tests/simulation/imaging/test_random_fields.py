"""Random numbers for each patient and purpose, smooth fields, and the sums and widths of blurs."""

import numpy as np
import pytest
import torch

from simulation.body.constants import float_tensor, index_tensor
from simulation.imaging.blur import blur, masked_mean, wide_blur
from simulation.imaging.fused_kernels import fused
from simulation.imaging.random_fields import CELLS, hashed_normal, mixed, smooth_noise, standard_normal
from simulation.imaging.rays import rays_of
from simulation.randomness import host_generator, stream_seed
from spine.scanner import ViewGeometry

CPU = torch.device("cpu")


def of_gpu(seeds: tuple[int, ...], purpose: int, shapes: list[tuple[int, ...]], device: torch.device):
    """The numbers that a GPU uses, computed on the CPU."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    parts = hashed_normal(torch.as_tensor(seeds), purpose, sum(sizes)).split(sizes, dim=1)
    return tuple(part.reshape(len(seeds), *shape) for part, shape in zip(parts, shapes, strict=True))


BOTH = pytest.mark.parametrize("standard_normal", [standard_normal, of_gpu])


def test_the_hash_is_splitmix64() -> None:
    mask, bits = 2**64 - 1, 12345
    for _ in range(3):  # the reference in Python's whole numbers, which do not overflow
        bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & mask
        bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & mask
        bits ^= bits >> 31
    found = torch.tensor(12345)
    for _ in range(3):
        found = mixed(found)
    assert int(found) & mask == bits


@BOTH
def test_the_same_seed_and_purpose_give_the_same_numbers(standard_normal) -> None:
    first, second = standard_normal((3, 4), 7, [(5, 6), (11,)], CPU)
    assert (first.shape, second.shape) == ((2, 5, 6), (2, 11))
    again, rest = standard_normal((4, 3), 7, [(5, 6), (11,)], CPU)
    assert torch.equal(again[1], first[0])
    assert torch.equal(again[0], first[1])
    assert torch.equal(rest[1], second[0])


@BOTH
def test_streams_of_different_seeds_and_purposes_are_uncorrelated(standard_normal) -> None:
    found = {}
    for seed in (0, 1, 2, 2**40, 2**62 + 1):
        for purpose in (0, 1, 21, 22, 61, 62):
            found[seed, purpose] = standard_normal((seed,), purpose, [(400,)], CPU)[0][0].numpy()
    table = np.corrcoef(np.stack(list(found.values())))
    assert np.abs(table - np.eye(len(table))).max() < 0.3
    one, other = standard_normal((9,), 3, [(400,), (400,)], CPU)
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.2


@BOTH
def test_numbers_are_standard_normal(standard_normal) -> None:
    (found,) = standard_normal(tuple(range(20)), 5, [(5000,)], CPU)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.015)
    assert float(found.std()) == pytest.approx(1.0, abs=0.015)
    assert float((found.abs() > 1.96).float().mean()) == pytest.approx(0.05, abs=0.005)


def test_stream_seeds_are_distinct_63_bit_numbers() -> None:
    seeds = [stream_seed(seed, purpose) for seed in range(500) for purpose in range(64)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds)
    assert max(seeds) < 2**63


def test_a_host_generator_follows_seed_and_purpose() -> None:
    assert host_generator(3, 4).random() == host_generator(3, 4).random()
    assert len({host_generator(seed, purpose).random() for seed in range(5) for purpose in range(7)}) == 35


def rays(pixel: float, shape: tuple[int, int], count: int = 1):
    return rays_of([ViewGeometry("frontal", shape, (pixel, pixel), 987.0)] * count)


def fields_of(count: int, octaves: int) -> torch.Tensor:
    return standard_normal(tuple(range(count)), 1, [(octaves, CELLS, CELLS)], CPU)[0]


def test_a_texture_has_mean_0_and_sd_1() -> None:
    found = smooth_noise(fields_of(12, 3), rays(2.0, (160, 130), 12), (5.0, 8.0, 13.0))
    assert found.shape == (12, 160, 130)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(found.std()) == pytest.approx(1.0, abs=0.06)
    assert bool((found.std(dim=(1, 2)) > 0.8).all())


def test_the_same_patient_has_the_same_texture_at_any_pixel_size() -> None:
    """With pixels of a third the size, every third pixel centre is the same."""
    cells = (9.0, 31.0)
    coarse = smooth_noise(fields_of(2, 2), rays(3.0, (21, 15), 2), cells)
    fine = smooth_noise(fields_of(2, 2), rays(1.0, (63, 45), 2), cells)
    assert fine[:, 1::3, 1::3].numpy() == pytest.approx(coarse.numpy(), abs=1e-4)
    assert not torch.equal(fine[0], fine[1])


def test_coarser_octaves_vary_over_longer_distances_and_have_larger_weights() -> None:
    steps = []
    for cell in (4.0, 16.0):
        found = smooth_noise(fields_of(6, 1), rays(1.0, (90, 80), 6), (cell,))
        steps.append(float((found[:, :, 1:] - found[:, :, :-1]).std() / found.std()))
    assert steps[0] > 3 * steps[1]
    both = fields_of(1, 2)
    alone = both.clone()
    alone[:, 1] = 0
    mixed, fine = (smooth_noise(f, rays(1.0, (90, 80)), (4.0, 64.0)) for f in (both, alone))
    assert float(fine.std() / mixed.std()) == pytest.approx((4 / 68) ** 0.5, rel=0.6)


def spot(count: int, shape: tuple[int, int], at: tuple[int, int]) -> torch.Tensor:
    image = torch.zeros(count, *shape)
    image[:, at[0], at[1]] = 1.0
    return image


def spread(image: torch.Tensor) -> tuple[float, float]:
    """Standard deviations down and across, pixels."""
    p = image.double()
    found = []
    for line in (p.sum(1), p.sum(0)):
        at = torch.arange(len(line))
        middle = (line * at).sum() / line.sum()
        found.append(float((line * (at - middle) ** 2).sum() / line.sum()) ** 0.5)
    return found[0], found[1]


@pytest.mark.parametrize("how", [blur, wide_blur])
def test_a_blur_has_the_given_width_for_each_image_and_conserves_the_sum(how) -> None:
    sigma = torch.tensor([2.0, 3.5, 5.0])
    found = how(spot(3, (71, 64), (34, 30)), sigma, 5.0)
    for image, wanted in zip(found, sigma, strict=True):
        assert float(image.sum()) == pytest.approx(1.0, rel=1e-4)
        assert spread(image) == pytest.approx([float(wanted)] * 2, rel=0.05)


def test_a_wide_blur_on_a_reduced_image_has_the_given_width() -> None:
    sigma = torch.tensor([14.0, 24.0])
    image = torch.zeros(2, 190, 174)
    image[:, 90:98, 84:91] = 1.0
    found = wide_blur(image, sigma, 24.0)
    for one, wanted in zip(found, sigma, strict=True):
        assert spread(one) == pytest.approx([float(wanted)] * 2, rel=0.08)


def test_a_wide_blur_conserves_the_sum_of_a_spot_at_any_position() -> None:
    for at in ((90, 84), (92, 86), (94, 83)):
        found = wide_blur(spot(1, (190, 174), at), torch.tensor([20.0]), 24.0)
        assert float(found.sum()) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("how", [blur, wide_blur])
def test_a_blurred_image_does_not_depend_on_the_others_and_a_flat_one_stays_flat(how) -> None:
    images = torch.rand(3, 70, 58, generator=torch.Generator().manual_seed(0))
    images[2] = 4.0
    sigma = torch.tensor([1.0, 8.0, 6.0])
    found = how(images, sigma, 8.0)
    assert float((how(images[:1], sigma[:1], 8.0) - found[:1]).abs().max()) < 1e-6
    assert found[2].numpy() == pytest.approx(4.0, abs=1e-4)
    assert float(found[1].std()) < float(found[0].std()) / 3


def test_a_blur_of_width_0_changes_nothing() -> None:
    images = torch.rand(1, 20, 30, generator=torch.Generator().manual_seed(0))
    assert blur(images, torch.zeros(1), 3.0).numpy() == pytest.approx(images.numpy(), abs=1e-6)


def test_a_masked_mean_ignores_values_outside_the_mask() -> None:
    masks = torch.zeros(2, 60, 50)
    masks[0, 10:50, 10:30], masks[1, :, 20:] = 1.0, 1.0
    inside = torch.tensor([3.0, -2.0])[:, None, None] * masks
    found = masked_mean(inside + 1e3 * (1 - masks), masks, torch.tensor([4.0, 6.0]), 6.0)
    for image, mask, value in zip(found, masks, (3.0, -2.0), strict=True):
        assert image[mask > 0].numpy() == pytest.approx(value, abs=1e-3)


def test_constants_are_made_once_and_a_fused_function_is_the_same_on_a_cpu() -> None:
    assert float_tensor(CPU, 1.0, 2.5) is float_tensor(CPU, 1.0, 2.5)
    assert float_tensor(CPU, (1.0, 2.0), (3.0, 4.0)).tolist() == [[1, 2], [3, 4]]
    assert (float_tensor(CPU, 1.0).dtype, index_tensor(CPU, 3, 5).dtype) == (torch.float32, torch.int64)
    assert index_tensor(CPU, 3, 5).tolist() == [3, 5]
    doubled = fused(lambda x: 2 * x)
    assert torch.equal(doubled(torch.ones(3)), torch.full((3,), 2.0))
