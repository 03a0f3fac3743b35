"""From path lengths to grey values: physics against closed forms, noise, looks, and what is laid over an image."""

from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch

from simulation.body.batch import PatientBatch, collate
from simulation.body.materials import BINS, EFFECTIVE_KEV, attenuation_per_mm
from simulation.body.patient import build_patient
from simulation.body.patient_mass import sample_matter
from simulation.imaging.annotation import Overlay, glyph, lay_over, sample_overlay
from simulation.imaging.appearance import (
    FAMILY_SHARES,
    RADIOGRAPH_SHARES,
    Look,
    LookFamily,
    sample_exposure,
    sample_family,
    sample_look,
)
from simulation.imaging.display import MAXIMUM, looks_of, process
from simulation.imaging.exposure import Exposure, PathLengths, detect, exposures_of, line_integrals
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
def people() -> PatientBatch:
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
        uniform(shape, 2, **lengths), people(), rays(view, shape, count=2), exposures_of([exposure] * 2), SEEDS
    )
    assert found.shape == (2, *shape)
    return found[:, 3, 4].double().numpy()


def test_bone_absorbs_more_than_flesh_and_all_less_at_higher_energy() -> None:
    order = ("lung", "fat", "soft", "trabecular", "cortical", "titanium")
    low = [attenuation_per_mm(m, 62.0) for m in order]
    assert low == sorted(low)
    assert all(attenuation_per_mm(m, 67.0) < a for m, a in zip(order, low, strict=True))
    assert attenuation_per_mm("cortical", 60.0) == pytest.approx(0.0604)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("material", MATERIALS)
def test_a_slab_of_each_material_absorbs_as_two_energies_do(material, view) -> None:
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
    assert soft[1] > 0.98 * soft[0]  # flesh hardly does
    # Under flesh and metal together the two are not the sum: hardening again.
    both = integrals(view, QUIET, titanium=10.0, soft=200.0)
    apart = integrals(view, QUIET, titanium=10.0) + integrals(view, QUIET, soft=200.0)
    assert (both < apart).all()


def test_a_softer_beam_absorbs_more() -> None:
    usual, softer = (
        integrals("frontal", QUIET, soft=150.0),
        integrals("frontal", replace(QUIET, energy=1.1), soft=150.0),
    )
    assert softer == pytest.approx(1.1 * usual, rel=2e-3)


def test_texture_makes_flesh_uneven_about_its_mean_and_mottle_only_thins_it() -> None:
    shape = (90, 100)
    paths = uniform(shape, 2, soft=150.0, skin=170.0)
    args = paths, people(), rays("frontal", shape, 7.0, 2)
    flat, uneven, mottled = (
        line_integrals(*args, exposures_of([e] * 2), SEEDS)
        for e in (QUIET, replace(QUIET, texture=1.0), replace(QUIET, mottle=1.0))
    )
    assert float(flat.std(dim=(1, 2)).max()) < 1e-4
    relative = (uneven / flat - 1).numpy()
    assert np.abs(relative.mean(axis=(1, 2))).max() < 0.012
    assert relative.std(axis=(1, 2)) == pytest.approx([0.022] * 2, rel=0.35)
    assert bool((mottled <= flat + 1e-5).all())
    assert 0.001 < float((mottled < 0.98 * flat).float().mean()) < 0.4
    other = line_integrals(*args, exposures_of([replace(QUIET, texture=1.0)] * 2), (3, 9))
    assert torch.equal(other[0], uneven[0])
    assert not torch.equal(other[1], uneven[1])


def test_noise_grows_where_the_shadow_starves_the_detector() -> None:
    depths = (3.0, 7.0, 10.0)
    integral = torch.tensor(depths)[:, None, None].expand(3, 64, 80)
    measured = detect(integral, rays(count=3), exposures_of([Exposure(scatter_share=0.0)] * 3), (0, 0, 0))
    assert torch.isfinite(measured).all()
    spread = [float(m.std()) for m in measured]
    assert spread == sorted(spread)
    # Photon noise: 1 / sqrt(N), electronic and row noise added.
    photons = 1.9e6 * 1.4**2 * np.exp(-7.0)
    assert spread[1] == pytest.approx(np.hypot(np.sqrt(photons + 36) / photons, 0.002), rel=0.06)
    assert float(measured[1].mean()) == pytest.approx(7.0, abs=0.01)


def test_more_photons_make_less_noise_scatter_lifts_shadows_and_starved_pixels_stay_finite() -> None:
    integral = torch.full((4, 64, 80), 6.0)
    integral[:2, :, :40] = 1.0  # a bright half that scatters into the dark one
    integral[3] = 60.0
    exposures = [Exposure(scatter_share=0.0, row_noise=0.0), Exposure(scatter_share=0.5, row_noise=0.0),
                 Exposure(scatter_share=0.0, row_noise=0.0, fluence=16.0), Exposure()]  # fmt: skip
    found = detect(integral, rays(count=4), exposures_of(exposures), (0, 0, 0, 0))
    dark = found[:, :, 60:]
    assert float(dark[1].mean()) < float(dark[0].mean()) - 0.3
    assert float(dark[2].std()) == pytest.approx(float(dark[0].std()) / 4, rel=0.15)
    assert torch.isfinite(found).all()
    assert float(found[3].max()) <= np.log(1.9e6 * 1.4**2) + 0.01


def test_electronic_noise_adds_to_that_of_few_photons() -> None:
    photons = 1.9e6 * 1.4**2 * np.exp(-8.0)
    quiet = Exposure(scatter_share=0.0, row_noise=0.0, blur_mm=0.1)
    exposures = exposures_of([replace(quiet, electronic_noise=e) for e in (0.0, 40.0)])
    found = detect(torch.full((2, 64, 80), 8.0), rays(count=2), exposures, (0, 0))
    expected = [np.sqrt(photons) / photons, np.sqrt(photons + 40**2) / photons]
    assert found.std(dim=(1, 2)).numpy() == pytest.approx(expected, rel=0.05)


def test_row_noise_comes_in_rows() -> None:
    quiet = Exposure(scatter_share=0.0, row_noise=0.0, electronic_noise=0.0, fluence=1e4)
    found = detect(torch.ones(2, 64, 80), rays(count=2), exposures_of([quiet, replace(quiet, row_noise=0.02)]), (1, 1))
    assert float(found[1].mean(dim=1).std()) == pytest.approx(0.02, rel=0.3)
    assert float((found[1] - found[1].mean(dim=1, keepdim=True)).std()) < 0.002
    assert float(found[0].mean(dim=1).std()) < 0.002


def test_noise_belongs_to_the_seed_not_to_the_place_in_the_batch() -> None:
    integral = torch.full((3, 20, 30), 4.0)
    one = detect(integral, rays(shape=(20, 30), count=3), exposures_of([Exposure()] * 3), (5, 6, 7))
    other = detect(integral, rays(shape=(20, 30), count=3), exposures_of([Exposure()] * 3), (7, 5, 8))
    assert torch.equal(one[0], other[1])
    assert torch.equal(one[2], other[0])
    assert not torch.equal(one[1], other[2])


@cache
def shown() -> tuple[torch.Tensor, PathLengths, Rays]:
    """Two patients' measured frontal images."""
    shape, pixel = (128, 64), 5.74
    r = rays("frontal", shape, pixel, 2)
    paths = exact_paths(people(), sample_matter(people(), pixel), r)
    exposure = exposures_of([Exposure()] * 2)
    return detect(line_integrals(paths, people(), r, exposure, SEEDS), r, exposure, SEEDS), paths, r


def displayed(*looks: Look) -> torch.Tensor:
    measured, paths, r = shown()
    found = process(measured, paths, r, looks_of(looks))
    assert found.dtype == torch.int32
    assert found.shape == (2, *r.shape)
    assert int(found.min()) >= 0
    assert int(found.max()) <= MAXIMUM
    return found


@pytest.mark.parametrize("family", get_args(LookFamily))
def test_an_inverted_look_is_the_complement(family) -> None:
    looks = [replace(sample_look(np.random.default_rng(i), family), inverted=0.0) for i in range(2)]
    upright, turned = displayed(*looks), displayed(*(replace(look, inverted=1.0) for look in looks))
    assert int((upright + turned - MAXIMUM).abs().max()) <= 1
    assert int((upright - turned).abs().max()) > 2000


@pytest.mark.parametrize("family", get_args(LookFamily))
def test_every_look_family_shows_an_image_without_gaps(family) -> None:
    for seed in range(10):
        look = sample_look(np.random.default_rng(seed), family)
        assert look == sample_look(np.random.default_rng(seed), family)
        found = displayed(look, replace(look, seam=0.5, seam_gain=0.7, seam_step=0.6, seam_line=1.0)).float()
        assert torch.isfinite(found).all()
        inside = shown()[1].skin > 60
        for image, body in zip(found, inside, strict=True):
            assert float(image[body].std()) > 60, (family, seed)
            assert len(image[body].unique()) > 200, (family, seed)
        exposure = sample_exposure(np.random.default_rng(seed), family)
        assert exposure == sample_exposure(np.random.default_rng(seed), family)
        assert exposure.blur_mm <= 2.2, "the kernel of the detector's blur is cut off at that"


def test_a_look_does_not_depend_on_the_other_image() -> None:
    one, two = Look(), sample_look(np.random.default_rng(1), "radiograph")
    first, second = displayed(one, two), displayed(one, one)
    assert int((first[0] - second[0]).abs().max()) <= 1
    assert int((first[1] - second[1]).abs().max()) > 100


def test_bone_is_bright_floor_and_ceiling_bound_the_greys_and_the_open_beam_is_black() -> None:
    found = displayed(Look(), Look(floor=0.25, ceiling=0.75)).float()
    skin, mineral = shown()[1].skin, shown()[1].mineral
    assert float(found[0][skin[0] == 0].max()) == 0.0
    assert float(found[1][skin[1] == 0].max()) == pytest.approx(0.25 * MAXIMUM, abs=1)
    assert float(found[1].max()) <= 0.75 * MAXIMUM + 1
    body = skin[0] > 100
    middle = body & (torch.arange(64) - 31.5).abs().lt(16)
    bony, soft = middle & (mineral[0] > 8), middle & (mineral[0] < 0.5)
    assert float(found[0][bony].mean()) > float(found[0][soft].mean()) + 300


def test_a_seam_changes_only_what_lies_below_it() -> None:
    plain = displayed(Look(), Look())
    joined = displayed(Look(seam=0.5, seam_step=0.7, seam_gain=1.2), Look(seam=-1.0, seam_step=0.7, seam_line=1.0))
    assert torch.equal(plain[1], joined[1])
    assert torch.equal(plain[0, :63], joined[0, :63])
    inside = shown()[1].skin[0, 66:] > 60
    assert float((joined[0, 66:] - plain[0, 66:])[inside].float().mean()) > 200


@pytest.mark.parametrize("linear", [0.0, 1.0])
def test_a_hard_window_gives_way_before_the_spine_is_burnt_out(linear) -> None:
    paths, r = shown()[1:]
    spine = (paths.mineral > 2.0) & (r.column_u_mm.abs() < 90)[:, None]
    looks = [Look(linear=linear, gain=gain, brightness=0.5, flatten=0.0, normalise=0.0) for gain in (9.0, 0.2)]
    hard, soft = displayed(looks[0], looks[0]).float(), displayed(looks[1], looks[1]).float()
    for i in range(2):
        assert float((hard[i][spine[i]] > 0.98 * MAXIMUM).float().mean()) < 0.12
        assert float(hard[i][spine[i]].std()) > float(soft[i][spine[i]].std()), "what was not too hard stays as it is"


def test_the_shares_of_families_are_met() -> None:
    for shares in (FAMILY_SHARES, RADIOGRAPH_SHARES):
        assert sum(shares.values()) == pytest.approx(1.0)
        rng = np.random.default_rng(0)
        drawn = [sample_family(rng, shares) for _ in range(3000)]
        for family, share in shares.items():
            assert drawn.count(family) / 3000 == pytest.approx(share, abs=0.03)


def overlay(window=(0, 9, 0, 11), sheet=(0, 9, 0, 11), haze=0.0, marks=()) -> Overlay:
    rows, columns, greys = (np.array([m[i] for m in marks]) for i in range(3))
    return Overlay(rows.astype(np.int32), columns.astype(np.int32), greys.astype(np.float32), window, haze, sheet)


def test_what_is_laid_over_an_image_changes_only_its_own_pixels() -> None:
    greys = torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.2
    marks = [(1, 2, 1.0), (8, 10, 0.9), (0, 0, 0.05)]
    window, sheet = (2.0, 7.0, 3.0, 10.0), (1.0, 9.0, 2.0, 11.0)
    found = lay_over(
        greys, [overlay(), overlay(marks=marks), overlay(window, sheet, 0.25)], torch.tensor([0.9, 0.9, 1.0])
    )
    assert torch.equal(found[0], greys[0])
    touched = found[1] != greys[1]
    assert int(touched.sum()) == 3
    for row, column, grey in marks:
        assert float(found[1, row, column]) == pytest.approx(grey)
    on_sheet, is_open = torch.zeros(9, 11, dtype=torch.bool), torch.zeros(9, 11, dtype=torch.bool)
    on_sheet[1:9, 2:11], is_open[2:7, 3:10] = True, True
    assert torch.equal(found[2][is_open], greys[2][is_open])
    assert not found[2][~on_sheet].any(), "around the radiograph all is black"
    beside = on_sheet & ~is_open
    assert found[2][beside].numpy() == pytest.approx((0.25 * greys[2] + 0.75)[beside].numpy(), abs=1e-6)


@pytest.mark.parametrize("view", VIEWS)
def test_marks_lie_on_the_sheet_and_side_markers_beside_their_side(view) -> None:
    shape, sheet = (240, 120), (10.0, 200.0, 15.0, 105.0)
    letters, marked, collimated = {"L": [], "R": []}, 0, 0
    for seed in range(400):
        found = sample_overlay(np.random.default_rng(seed), view, shape, sheet)
        again = sample_overlay(np.random.default_rng(seed), view, shape, sheet)
        assert np.array_equal(found.rows, again.rows)
        assert found.sheet == sheet
        assert found.window[:2] == sheet[:2]
        assert sheet[2] <= found.window[2] < found.window[3] <= sheet[3]
        collimated += found.window != sheet
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
        assert not letters["R"], "the left is at the detector of every lateral"


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
