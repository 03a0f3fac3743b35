"""From path lengths to grey values: physics against closed forms, noise, appearance, overlays."""

from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch

from simulation.body.batch import PatientBatch, collate
from simulation.body.materials import BINS, EFFECTIVE_KEV, attenuation_per_mm
from simulation.body.patient import build_patient
from simulation.body.patient_mass import sample_patient_mass
from simulation.imaging.annotation import Overlay, collimate, draw_marks, glyph, overlay_table, sample_overlay
from simulation.imaging.appearance import (
    FAMILY_SHARES,
    RADIOGRAPH_SHARES,
    Appearance,
    AppearanceFamily,
    sample_appearance,
    sample_exposure,
    sample_family,
)
from simulation.imaging.display import MAXIMUM, appearance_batch, apply_display
from simulation.imaging.exposure import Exposure, PathLengths, detect, exposure_batch, line_integrals
from simulation.imaging.rays import Rays, rays_of
from simulation.imaging.render import exact_paths
from simulation.population.sampling import sample_patient
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

VIEWS = ("frontal", "lateral")
SEEDS = (3, 8)
MATERIALS = ("soft", "fat", "lung", "mineral", "titanium")
QUIET = Exposure(scatter_share=0.0, texture=0.0, mottle=0.0)


def rays(view="lateral", shape=(64, 80), pixel=1.4, count=1) -> Rays:
    return rays_of([ViewGeometry(view, shape, (pixel, pixel), SOURCE_TO_ISOCENTRE_MM[view])] * count)


@cache
def patients() -> PatientBatch:
    return collate([build_patient(sample_patient(seed), seed).arrays for seed in SEEDS])


def uniform(shape: tuple[int, int], count: int, **lengths: torch.Tensor | float) -> PathLengths:
    found = {}
    for name in ("skin", *MATERIALS):
        value = torch.as_tensor(lengths.get(name, 0.0), dtype=torch.float32)
        found[name] = (value if value.ndim else value.expand(count)).reshape(count, 1, 1).expand(count, *shape).clone()
    return PathLengths(**found)


def integrals(view, exposure: Exposure, **lengths) -> np.ndarray:
    """(2,) line integral in the middle of each of two patients' images."""
    shape = (7, 9)
    found = line_integrals(
        uniform(shape, 2, **lengths), patients(), rays(view, shape, count=2), exposure_batch([exposure] * 2), SEEDS
    )
    assert found.shape == (2, *shape)
    return found[:, 3, 4].double().numpy()


def test_bone_absorbs_more_than_soft_tissue_and_all_absorb_less_at_higher_energy() -> None:
    order = ("lung", "fat", "soft", "trabecular", "cortical", "titanium")
    low = [attenuation_per_mm(m, 62.0) for m in order]
    assert low == sorted(low)
    assert all(attenuation_per_mm(m, 67.0) < a for m, a in zip(order, low, strict=True))
    assert attenuation_per_mm("cortical", 60.0) == pytest.approx(0.0604)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("material", MATERIALS)
def test_a_slab_of_each_material_absorbs_as_a_beam_of_two_energies(material, view) -> None:
    thick = np.array([3.0, 17.0])
    expected = []
    for t in thick:
        total = 0.0
        for share, weight in BINS:
            kev = EFFECTIVE_KEV[view] * share
            mu = {"mineral": attenuation_per_mm("cortical", kev) - attenuation_per_mm("soft", kev)}.get(
                material
            ) or attenuation_per_mm(material, kev)
            total += weight * np.exp(-mu * t)
        expected.append(-np.log(total))
    found = integrals(view, QUIET, **{material: torch.from_numpy(thick)})
    assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("view", VIEWS)
def test_metal_hardens_the_beam(view) -> None:
    thin, thick = integrals(view, QUIET, titanium=torch.tensor([1.0, 30.0])) / [1.0, 30.0]
    assert thick < 0.9 * thin
    soft = integrals(view, QUIET, soft=torch.tensor([1.0, 30.0])) / [1.0, 30.0]
    assert soft[1] > 0.98 * soft[0]  # soft tissue hardly does
    # Soft tissue and metal together absorb less than their sum, again by hardening.
    both = integrals(view, QUIET, titanium=10.0, soft=200.0)
    apart = integrals(view, QUIET, titanium=10.0) + integrals(view, QUIET, soft=200.0)
    assert (both < apart).all()


def test_a_softer_beam_absorbs_more() -> None:
    usual, softer = (integrals("frontal", replace(QUIET, energy=e), soft=150.0) for e in (1.0, 1.1))
    assert softer == pytest.approx(1.1 * usual, rel=2e-3)


def test_texture_varies_about_its_mean_and_mottle_only_reduces_attenuation() -> None:
    shape = (90, 100)
    paths = uniform(shape, 2, soft=150.0, skin=170.0)
    args = paths, patients(), rays("frontal", shape, 7.0, 2)
    flat, uneven, mottled = (
        line_integrals(*args, exposure_batch([e] * 2), SEEDS)
        for e in (QUIET, replace(QUIET, texture=1.0), replace(QUIET, mottle=1.0))
    )
    assert float(flat.std(dim=(1, 2)).max()) < 1e-4
    relative = (uneven / flat - 1).numpy()
    assert np.abs(relative.mean(axis=(1, 2))).max() < 0.012
    assert relative.std(axis=(1, 2)) == pytest.approx([0.022] * 2, rel=0.35)
    assert bool((mottled <= flat + 1e-5).all())
    assert 0.001 < float((mottled < 0.98 * flat).float().mean()) < 0.4
    other = line_integrals(*args, exposure_batch([replace(QUIET, texture=1.0)] * 2), (3, 9))
    assert torch.equal(other[0], uneven[0])
    assert not torch.equal(other[1], uneven[1])


def test_noise_grows_where_few_photons_arrive() -> None:
    depths = (3.0, 7.0, 10.0)
    integral = torch.tensor(depths)[:, None, None].expand(3, 64, 80)
    measured = detect(integral, rays(count=3), exposure_batch([Exposure(scatter_share=0.0)] * 3), (0, 0, 0))
    assert torch.isfinite(measured).all()
    spread = [float(m.std()) for m in measured]
    assert spread == sorted(spread)
    # Photon noise 1 / sqrt(N), plus electronic and row noise.
    photons = 1.9e6 * 1.4**2 * np.exp(-7.0)
    assert spread[1] == pytest.approx(np.hypot(np.sqrt(photons + 36) / photons, 0.002), rel=0.06)
    assert float(measured[1].mean()) == pytest.approx(7.0, abs=0.01)


def test_photons_reduce_noise_scatter_brightens_shadows_and_dark_pixels_are_finite() -> None:
    integral = torch.full((4, 64, 80), 6.0)
    integral[:2, :, :40] = 1.0  # a bright half that scatters into the dark one
    integral[3] = 60.0
    exposures = [
        Exposure(scatter_share=0.0, row_noise=0.0),
        Exposure(scatter_share=0.5, row_noise=0.0),
        Exposure(scatter_share=0.0, row_noise=0.0, fluence=16.0),
        Exposure(),
    ]
    found = detect(integral, rays(count=4), exposure_batch(exposures), (0, 0, 0, 0))
    dark = found[:, :, 60:]
    assert float(dark[1].mean()) < float(dark[0].mean()) - 0.3
    assert float(dark[2].std()) == pytest.approx(float(dark[0].std()) / 4, rel=0.15)
    assert torch.isfinite(found).all()
    assert float(found[3].max()) <= np.log(1.9e6 * 1.4**2) + 0.01


def test_electronic_noise_adds_to_photon_noise() -> None:
    photons = 1.9e6 * 1.4**2 * np.exp(-8.0)
    quiet = Exposure(scatter_share=0.0, row_noise=0.0, blur_mm=0.1)
    exposures = exposure_batch([replace(quiet, electronic_noise=e) for e in (0.0, 40.0)])
    found = detect(torch.full((2, 64, 80), 8.0), rays(count=2), exposures, (0, 0))
    expected = [np.sqrt(photons) / photons, np.sqrt(photons + 40**2) / photons]
    assert found.std(dim=(1, 2)).numpy() == pytest.approx(expected, rel=0.05)


def test_row_noise_is_constant_along_rows() -> None:
    quiet = Exposure(scatter_share=0.0, row_noise=0.0, electronic_noise=0.0, fluence=1e4)
    found = detect(
        torch.ones(2, 64, 80), rays(count=2), exposure_batch([quiet, replace(quiet, row_noise=0.02)]), (1, 1)
    )
    assert float(found[1].mean(dim=1).std()) == pytest.approx(0.02, rel=0.3)
    assert float((found[1] - found[1].mean(dim=1, keepdim=True)).std()) < 0.002
    assert float(found[0].mean(dim=1).std()) < 0.002


def test_noise_depends_on_the_seed_not_on_the_position_in_the_batch() -> None:
    integral = torch.full((3, 20, 30), 4.0)
    one = detect(integral, rays(shape=(20, 30), count=3), exposure_batch([Exposure()] * 3), (5, 6, 7))
    other = detect(integral, rays(shape=(20, 30), count=3), exposure_batch([Exposure()] * 3), (7, 5, 8))
    assert torch.equal(one[0], other[1])
    assert torch.equal(one[2], other[0])
    assert not torch.equal(one[1], other[2])


@cache
def shown() -> tuple[torch.Tensor, PathLengths, Rays]:
    """Two patients' measured frontal images."""
    shape, pixel = (128, 64), 5.74
    r = rays("frontal", shape, pixel, 2)
    paths = exact_paths(patients(), sample_patient_mass(patients(), pixel), r)
    exposure = exposure_batch([Exposure()] * 2)
    return detect(line_integrals(paths, patients(), r, exposure, SEEDS), r, exposure, SEEDS), paths, r


def displayed(*appearances: Appearance) -> torch.Tensor:
    measured, paths, r = shown()
    found = apply_display(measured, paths, r, appearance_batch(appearances))
    assert found.dtype == torch.int32
    assert found.shape == (2, *r.shape)
    assert int(found.min()) >= 0
    assert int(found.max()) <= MAXIMUM
    return found


@pytest.mark.parametrize("family", get_args(AppearanceFamily))
def test_an_inverted_image_is_the_complement(family) -> None:
    appearances = [sample_appearance(np.random.default_rng(i), family) for i in range(2)]
    upright, turned = (displayed(*(replace(a, inverted=value) for a in appearances)) for value in (0.0, 1.0))
    assert int((upright + turned - MAXIMUM).abs().max()) <= 1
    assert int((upright - turned).abs().max()) > 2000


@pytest.mark.parametrize("family", get_args(AppearanceFamily))
def test_every_family_gives_a_finite_image_with_contrast(family) -> None:
    for seed in range(10):
        appearance = sample_appearance(np.random.default_rng(seed), family)
        assert appearance == sample_appearance(np.random.default_rng(seed), family)
        found = displayed(
            appearance, replace(appearance, seam=0.5, seam_gain=0.7, seam_step=0.6, seam_line=1.0)
        ).float()
        assert torch.isfinite(found).all()
        inside = shown()[1].skin > 60
        for image, body in zip(found, inside, strict=True):
            assert float(image[body].std()) > 60, (family, seed)
            assert len(image[body].unique()) > 200, (family, seed)
        exposure = sample_exposure(np.random.default_rng(seed), family)
        assert exposure == sample_exposure(np.random.default_rng(seed), family)
        assert exposure.blur_mm <= 2.2, "the kernel of the detector's blur is cut off there"


def test_an_appearance_does_not_depend_on_the_other_image() -> None:
    one, two = Appearance(), sample_appearance(np.random.default_rng(1), "screen_film")
    first, second = displayed(one, two), displayed(one, one)
    assert int((first[0] - second[0]).abs().max()) <= 1
    assert int((first[1] - second[1]).abs().max()) > 100


def test_bone_is_bright_floor_and_ceiling_limit_the_greys_and_the_open_beam_is_black() -> None:
    found = displayed(Appearance(), Appearance(floor=0.25, ceiling=0.75)).float()
    skin, mineral = shown()[1].skin, shown()[1].mineral
    assert float(found[0][skin[0] == 0].max()) == 0.0
    assert float(found[1][skin[1] == 0].max()) == pytest.approx(0.25 * MAXIMUM, abs=1)
    assert float(found[1].max()) <= 0.75 * MAXIMUM + 1
    body = skin[0] > 100
    middle = body & (torch.arange(64) - 31.5).abs().lt(16)
    bony, soft = middle & (mineral[0] > 8), middle & (mineral[0] < 0.5)
    assert float(found[0][bony].mean()) > float(found[0][soft].mean()) + 300


def test_a_seam_changes_only_the_image_below_it() -> None:
    plain = displayed(Appearance(), Appearance())
    joined = displayed(
        Appearance(seam=0.5, seam_step=0.7, seam_gain=1.2), Appearance(seam=-1.0, seam_step=0.7, seam_line=1.0)
    )
    assert torch.equal(plain[1], joined[1])
    assert torch.equal(plain[0, :63], joined[0, :63])
    inside = shown()[1].skin[0, 66:] > 60
    assert float((joined[0, 66:] - plain[0, 66:])[inside].float().mean()) > 200


@pytest.mark.parametrize("linear", [0.0, 1.0])
def test_a_hard_window_does_not_saturate_the_spine(linear) -> None:
    paths, r = shown()[1:]
    spine = (paths.mineral > 2.0) & (r.column_u_mm.abs() < 90)[:, None]
    appearances = [
        Appearance(linear=linear, gain=gain, brightness=0.5, flatten=0.0, normalise=0.0) for gain in (9.0, 0.2)
    ]
    hard, soft = displayed(appearances[0], appearances[0]).float(), displayed(appearances[1], appearances[1]).float()
    for i in range(2):
        assert float((hard[i][spine[i]] > 0.98 * MAXIMUM).float().mean()) < 0.12
        assert float(hard[i][spine[i]].std()) > float(soft[i][spine[i]].std()), "a soft collimation is not changed"


def test_families_are_sampled_with_their_shares() -> None:
    for shares in (FAMILY_SHARES, RADIOGRAPH_SHARES):
        assert sum(shares.values()) == pytest.approx(1.0)
        rng = np.random.default_rng(0)
        drawn = [sample_family(rng, shares) for _ in range(3000)]
        for family, share in shares.items():
            assert drawn.count(family) / 3000 == pytest.approx(share, abs=0.03)


def overlay(collimation=(0, 9, 0, 11), bounds=(0, 9, 0, 11), haze=0.0, marks=()) -> Overlay:
    rows, columns, greys = (np.array([m[i] for m in marks]) for i in range(3))
    return Overlay(rows.astype(np.int32), columns.astype(np.int32), greys.astype(np.float32), collimation, haze, bounds)


def test_an_overlay_changes_only_its_own_pixels() -> None:
    greys = torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.2
    marks = [(1, 2, 1.0), (8, 10, 0.9), (0, 0, 0.05)]
    collimation, bounds = (2.0, 7.0, 3.0, 10.0), (1.0, 9.0, 2.0, 11.0)
    table = overlay_table([overlay(), overlay(marks=marks), overlay(collimation, bounds, 0.25)], (9, 11))
    edges, index, values = map(torch.from_numpy, (table.edges, table.index, table.greys))
    found = draw_marks(collimate(greys, edges, torch.tensor([0.9, 0.9, 1.0])), index, values)
    assert torch.equal(found[0], greys[0])
    touched = found[1] != greys[1]
    assert int(touched.sum()) == 3
    for row, column, grey in marks:
        assert float(found[1, row, column]) == pytest.approx(grey)
    on_radiograph, is_open = torch.zeros(9, 11, dtype=torch.bool), torch.zeros(9, 11, dtype=torch.bool)
    on_radiograph[1:9, 2:11], is_open[2:7, 3:10] = True, True
    assert torch.equal(found[2][is_open], greys[2][is_open])
    assert not found[2][~on_radiograph].any(), "outside the radiograph the image is black"
    beside = on_radiograph & ~is_open
    assert found[2][beside].numpy() == pytest.approx((0.25 * greys[2] + 0.75)[beside].numpy(), abs=1e-6)


@pytest.mark.parametrize("view", VIEWS)
def test_marks_lie_on_the_radiograph_and_side_markers_on_their_side(view) -> None:
    shape, bounds = (240, 120), (10.0, 200.0, 15.0, 105.0)
    letters: dict[str, list[float]] = {"L": [], "R": []}
    marked, collimated = 0, 0
    for seed in range(400):
        found = sample_overlay(np.random.default_rng(seed), view, shape, bounds)
        again = sample_overlay(np.random.default_rng(seed), view, shape, bounds)
        assert np.array_equal(found.rows, again.rows)
        assert found.bounds == bounds
        assert found.collimation[:2] == bounds[:2]
        assert bounds[2] <= found.collimation[2] < found.collimation[3] <= bounds[3]
        collimated += found.collimation != bounds
        marked += len(found.rows) > 0
        if len(found.rows):
            assert found.rows.min() >= 0
            assert found.rows.max() < shape[0]
            assert found.columns.min() >= 0
            assert found.columns.max() < shape[1]
            assert 0 <= found.greys.min() <= found.greys.max() <= 1
        for letter, where in letters.items():
            if is_only(letter, found):
                where.append(found.columns.mean())
    assert 0.3 < marked / 400 < 0.9
    assert 0.1 < collimated / 400 < 0.3
    assert len(letters["L"]) > 5
    if view == "frontal":
        assert len(letters["R"]) > 5
        assert min(letters["L"]) > 60 > max(letters["R"])
    else:
        assert not letters["R"], "the left side is at the detector in every lateral view"


def is_only(letter: str, found: Overlay) -> bool:
    """Whether an overlay consists of this letter alone, at any scale."""
    if not len(found.rows):
        return False
    bitmap = np.zeros((np.ptp(found.rows) + 1, np.ptp(found.columns) + 1), dtype=bool)
    bitmap[found.rows - found.rows.min(), found.columns - found.columns.min()] = True
    for scale in (1, 2, 3):
        rows, columns = np.nonzero(np.kron(glyph(letter), np.ones((scale, scale), dtype=bool)))
        wanted = np.zeros((np.ptp(rows) + 1, np.ptp(columns) + 1), dtype=bool)
        wanted[rows - rows.min(), columns - columns.min()] = True
        if np.array_equal(bitmap, wanted):
            return True
    return False
