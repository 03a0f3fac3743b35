"""Whole pictures: deterministic, 12 bit, canonical, and what matters can be seen."""

import numpy as np
import pytest
import torch

from spine.phantom.display import MAXIMUM
from spine.phantom.exposure import Exposure, detect
from spine.phantom.field_of_view import scan_geometry
from spine.phantom.materials import attenuation_per_mm
from spine.phantom.patient import build_patient
from spine.phantom.population import sample_patient
from spine.phantom.render import render_views
from spine.scanner import NATIVE_SPACING_MM, ViewGeometry

SHAPE, SPACING = (256, 128), NATIVE_SPACING_MM * 16


@pytest.fixture(scope="module")
def scan():
    patient = build_patient(sample_patient(20), 20)
    geometry = scan_geometry(patient, SHAPE, SPACING)
    return patient, geometry, render_views(patient, geometry, 20)


def test_pictures_are_twelve_bit_of_the_shape_asked_for(scan) -> None:
    _, geometry, pictures = scan
    assert set(pictures) == {"frontal", "lateral"}
    for view, picture in pictures.items():
        assert picture.dtype == np.uint16
        assert picture.shape == geometry[view].shape == SHAPE
        assert 3000 < picture.max() <= MAXIMUM
        assert picture.min() == 0
        assert len(np.unique(picture)) > 1000


def test_a_seed_gives_the_same_picture_and_a_view_does_not_depend_on_the_other(scan) -> None:
    patient, geometry, pictures = scan
    again = render_views(build_patient(sample_patient(20), 20), {"lateral": geometry["lateral"]}, 20)
    assert np.array_equal(again["lateral"], pictures["lateral"])
    other = render_views(patient, {"lateral": geometry["lateral"]}, 21)
    assert not np.array_equal(other["lateral"], pictures["lateral"])


def test_the_number_of_torch_threads_does_not_matter(scan) -> None:
    patient, geometry, pictures = scan
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = render_views(patient, {"frontal": geometry["frontal"]}, 20)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(again["frontal"], pictures["frontal"])


def test_views_are_canonical(scan) -> None:
    """Frontal: the heart (left) on the picture's right. Lateral: the back of the trunk on the right."""
    patient, geometry, pictures = scan
    points = patient.reconstruction.points
    t8 = points["T8_body"]
    heart = patient.soft.heart[0].centre_mm
    frontal = geometry["frontal"]
    column, row = frontal.project(np.array([heart[0] + 15, heart[1], heart[2]])).round().astype(int)
    mirror, _ = frontal.project(np.array([2 * t8[0] - heart[0] - 15, heart[1], heart[2]])).round().astype(int)
    assert column > mirror
    patch = pictures["frontal"][row - 3 : row + 4]
    assert patch[:, column - 2 : column + 3].mean() > patch[:, mirror - 2 : mirror + 3].mean()
    lateral = geometry["lateral"]
    assert lateral.project(points["L3_sup_ant"])[0] < lateral.project(points["L3_sup_post"])[0]
    column, row = lateral.project(points["L3_body"]).round().astype(int)
    inside = np.flatnonzero(pictures["lateral"][row] > 300)
    assert column - inside[0] > inside[-1] - column  # more of the trunk lies in front of the spine than behind it


@pytest.mark.parametrize("seed", [20, 29, 56, 13])
@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_lumbar_end_plates_are_brighter_than_their_discs(seed, view) -> None:
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, (512, 256), NATIVE_SPACING_MM * 8)
    picture = render_views(patient, {view: geometry[view]}, seed)[view].astype(float)
    points, brighter = patient.reconstruction.points, []
    ends = ("left", "right") if view == "frontal" else ("ant", "post")
    for upper, lower in (("L1_inf", "L2_sup"), ("L2_inf", "L3_sup"), ("L3_inf", "L4_sup")):
        s = np.linspace(0.25, 0.75, 9)[:, None]
        lines = [points[f"{p}_{ends[0]}"] * (1 - s) + points[f"{p}_{ends[1]}"] * s for p in (upper, lower)]
        plate = max(sample(picture, geometry[view].project(line)) for line in lines)
        brighter.append(plate > sample(picture, geometry[view].project((lines[0] + lines[1]) / 2)))
    assert sum(brighter) >= 2


def sample(picture: np.ndarray, xy: np.ndarray) -> float:
    columns, rows = xy.round().astype(int).T
    return float(picture[rows, columns].mean())


@pytest.mark.parametrize("seed", [20, 29, 56, 13])
def test_femoral_heads_stand_out_on_the_lateral_view(seed) -> None:
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, (512, 256), NATIVE_SPACING_MM * 8)["lateral"]
    picture = render_views(patient, {"lateral": geometry}, seed)["lateral"].astype(float)
    hips = patient.spine.hips.mean(axis=0)
    r = patient.spine.hip_radius
    ahead = geometry.project(hips + np.array([0, -1.9 * r, 0.5 * r]))
    assert sample(picture, geometry.project(hips)[None]) > sample(picture, ahead[None]) + 100


def test_truncated_scans_cut_off_what_they_say() -> None:
    seen = set()
    for seed in range(70):
        parameters = sample_patient(seed)
        kind = parameters.field_of_view
        if kind == "full" and "full" in seen:
            continue
        patient = build_patient(parameters, seed)
        geometry = scan_geometry(patient, (512, 256), NATIVE_SPACING_MM * 8)
        points = patient.reconstruction.points
        assert geometry["frontal"].z0_mm == geometry["lateral"].z0_mm
        assert geometry["frontal"].shape == geometry["lateral"].shape
        for g in geometry.values():
            on = {n for n, xyz in points.items() if g.contains(g.project(xyz))}
            assert {"HIP_L", "HIP_R"} <= on if kind in ("full", "without_t1") else not {"HIP_L", "HIP_R"} & on
            t1 = {n for n in on if n.startswith("T1_")}
            assert len(t1) >= 13 if kind in ("full", "without_hips") else not t1
            assert {"L1_sup", "L3_inf", "L5_sup", "S1_sup"} <= on
            assert (g.shape[0] == 512) == (kind == "full")
        seen.add(kind)
    assert seen == {"full", "without_hips", "without_t1", "thoracolumbar"}


def test_bone_absorbs_more_than_flesh_and_all_less_at_higher_energy() -> None:
    order = ("lung", "fat", "soft", "trabecular", "cortical")
    low = [attenuation_per_mm(m, 62.0) for m in order]
    assert low == sorted(low)
    assert all(attenuation_per_mm(m, 67.0) < a for m, a in zip(order, low, strict=True))
    assert attenuation_per_mm("cortical", 60.0) == pytest.approx(0.0604)


def test_noise_grows_where_the_shadow_starves_the_detector() -> None:
    geometry = ViewGeometry("lateral", (64, 80), (1.4, 1.4), 918.0)
    spread = []
    for depth in (3.0, 7.0, 10.0):
        measured = detect(torch.full((64, 80), depth), geometry, Exposure(scatter_share=0.0), np.random.default_rng(0))
        assert torch.isfinite(measured).all()
        spread.append(float(measured.std()))
    assert spread == sorted(spread)
    # Photon noise: 1 / sqrt(N), electronic and row noise added.
    photons = 1.9e6 * 1.4**2 * np.exp(-7.0)
    assert spread[1] == pytest.approx(np.hypot(np.sqrt(photons + 36) / photons, 0.002), rel=0.06)
