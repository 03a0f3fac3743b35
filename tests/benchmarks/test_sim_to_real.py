"""The sim-to-real benchmark: frame, matching, angles, augmentation and files against known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.sim_to_real.__main__ import main
from benchmarks.sim_to_real.appearance import distance_iqr, earth_movers_grey, measure_radiographs, table
from benchmarks.sim_to_real.augmentation import Strength, augment, normalised
from benchmarks.sim_to_real.detector import TINY, find_corners, rate_factor, train
from benchmarks.sim_to_real.diagnosis import diagnosis
from benchmarks.sim_to_real.letterbox import letterbox
from benchmarks.sim_to_real.level_matching import major_cobb_deg, match_levels
from benchmarks.sim_to_real.network import CornerNet, parameter_count
from benchmarks.sim_to_real.pack import jpeg_bytes, read_pack, write_pack
from benchmarks.sim_to_real.pools import rectangle_radiographs
from benchmarks.sim_to_real.scoring import score_radiographs, summary
from simulation.stream.radiographs import FrontalRadiographs

SEEN = np.ones((17, 4), dtype=bool)


def column(tilts_deg=(0.0,) * 17):
    """(17, 4, 2): vertebrae of 40 x 30 px, 45 apart, each turned by its tilt (left side up is negative)."""
    corners = np.zeros((17, 4, 2))
    for i, tilt in enumerate(np.radians(tilts_deg)):
        box = np.array([[-20, -15], [20, -15], [-20, 15], [20, 15]], dtype=float)
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        corners[i] = box @ turn.T + (190, 60 + 45 * i)
    return corners


@pytest.mark.parametrize("shape", [(300, 90), (300, 210), (1800, 700)])
def test_the_letterbox_maps_points_and_pixels_alike(shape):
    image = np.zeros(shape, dtype=np.uint8)
    row, column = shape[0] // 3, shape[1] // 4
    image[row - 12 : row + 13, column - 12 : column + 13] = 200
    framed, placed = letterbox(image)
    rows, columns = np.nonzero(framed > 100)
    expected = placed.apply(np.array([column, row], dtype=float))
    assert framed.shape == (896, 384)
    assert (columns.mean(), rows.mean()) == pytest.approx(tuple(expected), abs=0.5)


def test_a_pack_keeps_images_corners_and_facts(tmp_path):
    image = np.tile(np.arange(0, 192, 2, dtype=np.uint8), (64, 1))
    corners = np.random.default_rng(0).uniform(0, 60, (2, 17, 4, 2))
    seen = np.stack([SEEN, ~SEEN])
    write_pack(
        tmp_path / "p.npz",
        [jpeg_bytes(p, 95) for p in (image, image[:, ::-1])],
        corners,
        seen,
        ["a", "b"],
        {"angle_deg": np.array([1.0, 2.0])},
    )
    pack = read_pack(tmp_path / "p.npz")
    assert pack.names == ("a", "b")
    assert np.abs(pack.images[1].astype(int) - image[:, ::-1]).max() <= 4
    assert np.allclose(pack.corners, corners, atol=1e-4)
    assert (pack.visible == seen).all()
    assert read_pack(tmp_path / "p.npz", 1).facts["angle_deg"].tolist() == [1.0]


def test_the_major_angle_is_the_largest_between_mid_lines_of_visible_vertebrae():
    tilts = np.zeros(17)
    tilts[4], tilts[11], tilts[16] = -22.0, 14.0, 40.0
    seen = SEEN.copy()
    seen[16, 3] = False
    assert major_cobb_deg(column(tilts), SEEN) == pytest.approx(62.0)
    assert major_cobb_deg(column(tilts), seen) == pytest.approx(36.0)
    assert major_cobb_deg(column(tilts)[..., ::-1, :][:, [2, 3, 0, 1]], SEEN) == pytest.approx(62.0)


@pytest.mark.parametrize("shift", [-2, 0, 1])
def test_a_column_with_shifted_levels_is_matched_after_its_shift(shift):
    labelled = column()
    found = labelled + (0, 45.0 * shift) + (3, 4)
    match = match_levels(found, labelled, SEEN)
    assert match.shift == shift
    assert match.centre_px == pytest.approx(np.full(17 - abs(shift), 5.0))


def test_absent_labels_are_not_scored():
    labelled, seen = column(), SEEN.copy()
    seen[:3] = False
    labelled[:3] = 1e6
    match = match_levels(column(), labelled, seen)
    assert (match.shift, match.corner_px.shape) == (0, (14, 4))
    assert match.corner_px.max() == 0


def test_figures_of_exact_corners_and_of_one_wrong_vertebra():
    labelled = np.stack([column(np.linspace(-t, t, 17)) for t in (5, 20)])
    found = labelled.copy()
    found[1, 8] += (30, 0)
    figures = summary(score_radiographs(found, labelled, np.stack([SEEN, SEEN]), np.array([10.0, 44.0])))
    assert figures["centres_off_share"] == pytest.approx(1 / 34)
    assert figures["radiographs_completely_found_share"] == 0.5
    assert figures["level_shifts"]["0"] == 2
    assert figures["cobb_against_published"]["mean"] == pytest.approx(2.0, abs=1e-6)
    assert figures["cobb_against_labelled_corners"]["mean"] == pytest.approx(0.0, abs=1e-6)


def dotted(corners, shape=(448, 192)):
    """A dark image with a disc at each corner of the first vertebra, brighter from corner to corner."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, 40, dtype=np.uint8)
    for k, (x, y) in enumerate(corners):
        image[(columns - x) ** 2 + (rows - y) ** 2 <= 16] = 120 + 40 * k
    return image


def test_corners_move_with_the_image():
    at = np.array([[70.0, 150], [120, 160], [75, 210], [125, 220]])
    count = 24
    corners = torch.from_numpy(np.broadcast_to(at, (count, 17, 4, 2)).astype(np.float32).copy())
    images = torch.from_numpy(np.stack([dotted(at)] * count))
    plain = Strength(invert=0, bars=0, equalise=0, occlude=0, blur=0, rotation_deg=6, shift=0.04)
    warped, moved, seen = augment(
        images, corners, torch.ones(count, 17, 4, dtype=torch.bool), torch.Generator().manual_seed(3), plain
    )
    assert seen.any(dim=2).all()
    assert (moved[:, 0, 0::2, 0] < moved[:, 0, 1::2, 0]).all(), "left corners stay on the image's left"
    inner = warped[:, 0]
    contrast = []
    for n in range(count):
        for x, y in moved[n, 0][seen[n, 0]].round().long().tolist():
            if 12 <= x < 180 and 12 <= y < 436:
                around = torch.cat([inner[n, y, [x - 11, x + 11]], inner[n, [y - 11, y + 11], x]]).mean()
                contrast.append(float(inner[n, y - 1 : y + 2, x - 1 : x + 2].mean() - around))
    assert len(contrast) > 60
    assert np.mean(np.array(contrast) > 0.05) > 0.9  # windows clip a few discs to white on white


def test_a_mirrored_batch_exchanges_sides_and_corners_outside_the_image_are_not_visible():
    radiographs = rectangle_radiographs(4, 0, "cpu")
    always = Strength(mirror=1.0, rotation_deg=0, scale=1.0001, anisotropy=1.0001, shift=0, perspective=0)
    _, moved, seen = augment(
        radiographs.images, radiographs.corners, radiographs.visible, torch.Generator().manual_seed(0), always
    )
    mirrored = radiographs.corners[:, :, [1, 0, 3, 2]].clone()
    mirrored[..., 0] = 383 - mirrored[..., 0]
    assert torch.allclose(moved, mirrored, atol=0.2)
    assert seen.all()
    far = replace(always, shift=3.0)
    _, moved, seen = augment(
        radiographs.images, radiographs.corners, radiographs.visible, torch.Generator().manual_seed(0), far
    )
    inside = (moved >= -0.5).all(-1) & (moved[..., 0] <= 383.5) & (moved[..., 1] <= 895.5)
    assert (seen == inside).all()
    assert not seen.all()


def test_normalisation_ignores_black_margins():
    grey = torch.rand(2, 1, 16, 8) * 0.5 + 0.3
    padded = torch.cat([grey, torch.zeros(2, 1, 16, 8)], dim=3)
    assert torch.allclose(normalised(padded)[..., :8], normalised(grey), atol=1e-5)


class BrightSpot(nn.Module):
    """Finds every corner at the brightest spot."""

    def forward(self, image):
        return 200.0 * nn.functional.avg_pool2d(image, 2).expand(-1, 68, -1, -1)


def test_found_corners_are_in_pixels_and_agree_with_the_mirror_image():
    images = torch.full((3, 448, 192), 20, dtype=torch.uint8)
    images[:, 200:202, 60:62] = 250
    assert np.allclose(find_corners(BrightSpot(), images, batch=2), [60.5, 200.5], atol=1e-3)


def test_training_with_one_seed_gives_the_same_weights():
    radiographs = rectangle_radiographs(4, 0, "cpu")
    small = FrontalRadiographs(
        radiographs.images[:, ::7, ::6].contiguous(), radiographs.corners / 7, radiographs.visible
    )  # 128 x 64
    runs = [train(small, replace(TINY, max_steps=2)) for _ in range(2)]
    assert runs[0].steps == 2
    assert np.isfinite(runs[0].losses).all()
    for a, b in zip(runs[0].network.parameters(), runs[1].network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_network_has_the_documented_size_and_half_resolution():
    assert 8.2e6 < parameter_count(CornerNet()) < 8.5e6
    network = CornerNet(TINY.widths).eval()
    assert network(torch.zeros(1, 1, 128, 64)).shape == (1, 68, 64, 32)


def test_one_cycle_rises_and_falls():
    rates = np.array([rate_factor(p, 0.15) for p in np.linspace(0, 1, 21)])
    assert rates[[0, 3, 20]] == pytest.approx([0.04, 1.0, 1e-4])
    assert (np.diff(rates[:4]) > 0).all()
    assert (np.diff(rates[3:]) < 0).all()


def test_the_appearance_distance_is_0_to_itself_and_negative_for_a_darker_image():
    radiographs = rectangle_radiographs(6, 0, "cpu")
    images, corners, seen = (t.numpy() for t in (radiographs.images, radiographs.corners, radiographs.visible))
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 5, images.shape), 0, 255).astype(np.uint8)
    real, dark = measure_radiographs(noisy, corners, seen), measure_radiographs(noisy // 2, corners, seen)
    assert earth_movers_grey(real, real) == 0
    assert earth_movers_grey(real, dark) == pytest.approx(noisy.mean() / 2, abs=6)
    assert distance_iqr(real, real, "grey, 50 % quantile") == 0
    assert distance_iqr(real, dark, "grey, 50 % quantile") < -1
    assert real.quartiles["upper plate, lumbar: step"][1] > 1  # bright bodies on a dark ground
    assert "| grey, 50 % quantile |" in table(real, {"dark": dark})


def test_a_missing_pack_is_reported(tmp_path, capsys):
    assert main(["run", "--dry-run", "--device", "cpu", "--real", str(tmp_path / "none.npz")]) == 3
    assert "none.npz" in capsys.readouterr().err


def test_a_level_shift_is_no_tilt_error_and_one_wrong_corner_is() -> None:
    rows = 40.0 + 48.0 * np.arange(17)
    half = np.array([[-30.0, -15.0], [30.0, -15.0], [-30.0, 15.0], [30.0, 15.0]])
    labelled = (np.stack([np.full(17, 190.0), rows], axis=-1)[:, None] + half)[None]
    seen = np.ones((1, 17, 4), dtype=bool)
    shifted = labelled - np.array([0.0, 48.0])
    found = diagnosis(shifted, labelled, seen, np.zeros(1))
    assert found["tilt error of a vertebra, median, smallest and largest of 17"] == (0.0, 0.0)
    assert found["vertebrae by which a vertebra is found below its label, median, T1 to L5"] == [-1.0] * 17
    wrong = labelled.copy()
    wrong[0, 8, 1, 1] += 40.0
    found = diagnosis(wrong, labelled, seen, np.zeros(1))
    assert found["Cobb error for each best shift, mean"][0] == pytest.approx(major_cobb_deg(wrong[0], seen[0]))
    assert found["Cobb error for each best shift, mean"][0] > 15
    assert found["Cobb error if tilts are medians of three neighbours, mean"] == pytest.approx(0.0, abs=1e-9)


def test_the_tilt_per_slope_of_the_line_of_centres_is_measured():
    rng, level = np.random.default_rng(3), np.arange(17)
    leaning = np.tan(np.deg2rad(rng.uniform(-25, 25, (40, 1)))) * np.ones(17)
    x, y = 190.0 + leaning * 48.0 * (level - 8), 40.0 + 48.0 * level
    middle = np.stack([x, np.broadcast_to(y, x.shape)], axis=-1)
    tilt = 0.5 * np.arctan(-leaning)
    along = np.stack([np.cos(tilt), np.sin(tilt)], axis=-1)
    down = np.array([0.0, 15.0])
    corners = np.stack([middle + side * 30.0 * along + up * down for up in (-1, 1) for side in (-1, 1)], axis=2)
    figures = diagnosis(corners, corners, np.ones((40, 17, 4), dtype=bool), np.zeros(40))
    assert figures["ratio of tilt to the slope of the line through the neighbours, labels, T2 to L4"] == [0.5] * 15
