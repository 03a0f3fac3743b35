"""Landmarks agree with the rendered geometry: rims, plates, femoral heads and pedicles, below a pixel."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from simulation.anatomy import T1_INDEX
from simulation.body.batch import SLOTS, collate
from simulation.body.legs import build_legs
from simulation.body.mass_points import MassPoints, sample_filling, sample_shell
from simulation.body.patient import VirtualPatient, build_patient
from simulation.body.pelvis import build_pelvis
from simulation.body.surfaces import Bones, Filling, Shell
from simulation.body.thorax import build_thorax
from simulation.body.vertebrae import body_ring, build_vertebrae
from simulation.imaging.rays import rays_of
from simulation.imaging.splat import splat
from simulation.parameters import CoronalCurve
from simulation.population.sampling import ANATOMY_SHARES, CONDITION_SHARES, sample_patient
from spine.landmarks import VERTEBRAE
from spine.scanner import NATIVE_SPACING_MM, SOURCE_TO_ISOCENTRE_MM, ViewGeometry
from tests.simulation.standard_patient import standing

VIEWS = ("frontal", "lateral")
PIXEL_MM = NATIVE_SPACING_MM * 8
MARGINS = ("left", "post", "right", "ant")
"""In the order of the outlines."""


@cache
def first_seed(condition: str, anatomy: str = "standard") -> int:
    seeds = range(4000)
    return next(s for s in seeds for p in [sample_patient(s)] if (p.condition, p.anatomy) == (condition, anatomy))


@cache
def patients() -> tuple[VirtualPatient, ...]:
    """One patient of every condition, then one of every transitional anatomy."""
    people = [(s, sample_patient(s)) for s in (first_seed(condition) for condition in CONDITION_SHARES)]
    for anatomy in [a for a in ANATOMY_SHARES if a != "standard"]:
        seed = first_seed("adolescent_scoliosis", anatomy)
        people.append((seed, sample_patient(seed)))
    return tuple(build_patient(p, s) for s, p in people)


@cache
def bones() -> SimpleNamespace:
    """All patients in one batch, and their bones."""
    batch = collate([p.arrays for p in patients()])
    pelvis = build_pelvis(batch) + build_legs(batch)
    return SimpleNamespace(batch=batch, vertebrae=build_vertebrae(batch), pelvis=pelvis)


def each_patient():
    return pytest.mark.parametrize("who", range(len(CONDITION_SHARES) + len(ANATOMY_SHARES) - 1))


def named(parts, name):
    found = [p for p in parts if p.name == name]
    assert found, name
    return found


def only(part: Shell | Filling, who: int, index: int = 0):
    """One of the B grids of one of the N patients."""
    at, grids = slice(who, who + 1), slice(index, index + 1)
    if isinstance(part, Shell):
        return replace(part, vertices=part.vertices[at, grids], thickness_mm=part.thickness_mm[at, grids])
    axis, fraction = part.axis[at, grids], part.fraction[at, grids]
    return replace(part, vertices=part.vertices[at, grids], axis=axis, fraction=fraction)


def view(name, spacing=PIXEL_MM, z0=0.0, u0=0.0, shape=(512, 256)) -> ViewGeometry:
    return ViewGeometry(name, shape, (spacing, spacing), SOURCE_TO_ISOCENTRE_MM[name], u0, z0)


def image_of(points: MassPoints, geometry: ViewGeometry) -> np.ndarray:
    return splat(points, rays_of([geometry]))[0].numpy().astype(float)


def centroid(image: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    return np.array([(columns * image).sum(), (rows * image).sum()]) / image.sum()


def on_axes(rim: torch.Tensor) -> np.ndarray:
    """(4, 3) vertices of a closed rim on its axes: left, back, right, front."""
    quarter = (rim.shape[-2] - 1) // 4
    return rim[..., [0, quarter, 2 * quarter, 3 * quarter], :].numpy()


def test_every_condition_and_anatomy_is_tested() -> None:
    assert {p.parameters.condition for p in patients()} == set(CONDITION_SHARES)
    assert {p.parameters.anatomy for p in patients()} == set(ANATOMY_SHARES)
    last = {p.parameters.anatomy: p.spine.levels[-1] for p in patients()}
    assert last["six_lumbar"] == "L6"
    assert last["four_lumbar"] == "L4"
    assert any("T13" in p.spine.levels for p in patients())
    worn = np.concatenate([p.spine.sizes.osteophyte.ravel() for p in patients()])
    assert (worn > 0).any() and (worn == 0).any()


@each_patient()
def test_the_landmarks_lie_on_the_rim_of_every_end_plate(who) -> None:
    patient, plates = patients()[who], named(bones().vertebrae.shells, "end plate")[0]
    points, levels = patient.reconstruction.points, patient.spine.levels
    for v, level in enumerate(levels[T1_INDEX:], T1_INDEX):
        for side, plate in enumerate((f"{level}_sup", f"{level}_inf")):
            found = on_axes(plates.vertices[who, 2 * v + side, -1])
            expected = np.array([points[f"{plate}_{margin}"] for margin in MARGINS])
            assert found == pytest.approx(expected, abs=1e-3), plate
            assert found.mean(axis=0) == pytest.approx(points[plate], abs=1e-3), plate
    assert len(levels) - T1_INDEX == {"six_lumbar": 18, "four_lumbar": 16, "thirteen_thoracic": 18}.get(
        patient.parameters.anatomy, 17
    )


@each_patient()
def test_end_plates_are_concave(who) -> None:
    patient, plates = patients()[who], named(bones().vertebrae.shells, "end plate")[0]
    points = patient.reconstruction.points
    for v, level in enumerate(patient.spine.levels[T1_INDEX:], T1_INDEX):
        for side, plate in enumerate((f"{level}_sup", f"{level}_inf")):
            z = patient.spine.axes[v, side, :, 2] * (1.0 if side == 0 else -1.0)
            middle = plates.vertices[who, 2 * v + side, 0, 0].numpy() - points[plate]
            deep = -float(middle @ z)
            assert 0.2 < deep < 0.2 * patient.spine.sizes.height[v], plate
            assert np.linalg.norm(middle + deep * z) < 1e-3, plate


@each_patient()
def test_bodies_end_exactly_on_their_plates(who) -> None:
    wall = named(bones().vertebrae.shells, "body")[0].vertices[who]
    plates = named(bones().vertebrae.shells, "end plate")[0].vertices[who]
    inside = named(bones().vertebrae.fillings, "body")[0]
    assert wall[:, -1].numpy() == pytest.approx(plates[0::2, -1].numpy(), abs=1e-3)
    assert wall[:, 0].numpy() == pytest.approx(plates[1::2, -1].numpy(), abs=1e-3)
    assert torch.equal(inside.vertices[who], wall)
    ends = inside.axis[who][:, [-1, 0]]
    assert ends.numpy() == pytest.approx(bones().batch.centre[who].numpy(), abs=1e-3)


@each_patient()
def test_the_landmarks_lie_on_the_s1_plate_and_the_femoral_heads(who) -> None:
    points, pelvis = patients()[who].reconstruction.points, bones().pelvis
    plate, wall = named(pelvis.shells, "S1 plate")[0], named(pelvis.shells, "sacrum")[0]
    found = on_axes(plate.vertices[who, 0, -1])
    assert found == pytest.approx(np.array([points[f"S1_{m}"] for m in MARGINS]), abs=1e-3)
    assert found.mean(axis=0) == pytest.approx(points["S1_sup"], abs=1e-3)
    assert wall.vertices[who, 0, 0].numpy() == pytest.approx(plate.vertices[who, 0, -1].numpy(), abs=1e-3)
    for parts in (pelvis.shells, pelvis.fillings):
        for head, label in zip(named(parts, "femoral head"), ("HIP_L", "HIP_R"), strict=True):
            reach = np.linalg.norm(head.vertices[who, 0].numpy() - points[label], axis=-1)
            assert reach == pytest.approx(patients()[who].reconstruction.hip_radius_mm[label], abs=2e-3)


@each_patient()
def test_every_pedicle_lies_around_its_landmark(who) -> None:
    patient = patients()[who]
    for side, shell in zip(("left", "right"), named(bones().vertebrae.shells, "pedicle"), strict=True):
        ends = shell.vertices[who][:, [0, -1]].mean(dim=(1, 2)).numpy()  # (V, 3)
        for v, level in enumerate(patient.spine.levels[T1_INDEX:], T1_INDEX):
            assert ends[v] == pytest.approx(patient.reconstruction.points[f"{level}_ped_{side}"], abs=2e-3), level


@each_patient()
def test_missing_vertebrae_have_no_mass_and_all_others_have_some(who) -> None:
    patient = patients()[who]
    count = len(patient.spine.levels)
    assert bones().batch.present[who].tolist() == [1.0] * count + [0.0] * (SLOTS - count)
    parts = [(s.name, s.thickness_mm) for s in bones().vertebrae.shells]
    for name, amount in parts + [(f.name, f.fraction) for f in bones().vertebrae.fillings]:
        by_slot = amount[who].reshape(SLOTS, -1)
        assert not by_slot[count:].any(), name
        if name not in ("osteophyte", "lamina", "spinous"):
            assert bool((by_slot[:count] > 0).all()), name
        assert bool((by_slot >= 0).all()), name


def centre_of(ring: np.ndarray) -> np.ndarray:
    """(2,) centroid of the area inside a closed (K, 2) outline."""
    (x, y), (x1, y1) = ring[:-1].T, ring[1:].T
    cross = x * y1 - x1 * y
    return np.array([((x + x1) * cross).sum(), ((y + y1) * cross).sum()]) / (3 * cross.sum())


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("who", [2, 4, 7, 8, 9])
def test_every_rendered_end_plate_is_centred_on_its_landmark(who, name) -> None:
    """Up to two known offsets: the plate is concave, and its back is broader than its front."""
    patient, plates = patients()[who], named(bones().vertebrae.shells, "end plate")[0]
    geometry, points = view(name), patient.reconstruction.points
    aside, back = centre_of(body_ring(torch.device("cpu")).numpy().astype(float))
    assert aside == pytest.approx(0.0, abs=1e-6)
    for v, level in enumerate(patient.spine.levels[T1_INDEX:], T1_INDEX):
        for side, plate in enumerate((f"{level}_sup", f"{level}_inf")):
            label = points[plate]
            middle = plates.vertices[who, 2 * v + side, 0, 0].numpy().astype(float)
            half_depth = (points[f"{plate}_post"] - points[f"{plate}_ant"]) / 2
            expected = label + 0.6 * (middle - label) + back * half_depth  # 0.6: the mean of 1 - r^3 over a disc
            rendered = centroid(image_of(sample_shell(only(plates, who, 2 * v + side)), geometry))
            assert rendered == pytest.approx(geometry.project(expected), abs=0.15), plate
            # So the whole plate is near its landmark too: less than 2 mm and 0.15 pixels.
            assert rendered == pytest.approx(geometry.project(label), abs=0.15 + 2.0 / PIXEL_MM), plate


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("who", [2, 4, 7, 8, 9])
def test_the_rendered_s1_plate_and_heads_are_centred_on_their_landmarks(who, name) -> None:
    patient, pelvis, geometry = patients()[who], bones().pelvis, view(name)
    points = patient.reconstruction.points
    plate = image_of(sample_shell(only(named(pelvis.shells, "S1 plate")[0], who)), geometry)
    assert centroid(plate) == pytest.approx(geometry.project(points["S1_sup"]), abs=0.15)
    for head, label in zip(named(pelvis.fillings, "femoral head"), ("HIP_L", "HIP_R"), strict=True):
        image = image_of(sample_filling(only(head, who)), geometry)
        assert centroid(image) == pytest.approx(geometry.project(points[label]), abs=0.2)
        across = np.flatnonzero(image.sum(0) > 0.02 * image.sum(0).max())
        width_mm = (across[-1] - across[0] + 1) * geometry.spacing_mm[1]
        assert width_mm == pytest.approx(2 * patient.reconstruction.hip_radius_mm[label], rel=0.12)


@pytest.mark.parametrize(("name", "first", "second"), [("frontal", "right", "left"), ("lateral", "ant", "post")])
@pytest.mark.parametrize("who", [2, 4])
def test_the_edges_of_an_isolated_plate_are_its_projected_margins(who, name, first, second) -> None:
    patient, plates = patients()[who], named(bones().vertebrae.shells, "end plate")[0]
    behind = float(body_ring(torch.device("cpu"))[:, 1].max())
    assert 1.0 <= behind < 1.08
    for level in ("T4", "T9", "L3"):
        v, points = T1_INDEX + VERTEBRAE.index(level), patient.reconstruction.points
        for side, plate in enumerate((f"{level}_sup", f"{level}_inf")):
            where, spacing = points[plate], 0.5
            geometry = view(name, spacing, where[2], where[0] if name == "frontal" else where[1], (80, 160))
            shell = replace(only(plates, who, 2 * v + side), spacing_mm=0.25)
            image = image_of(sample_shell(shell), geometry)
            columns = np.flatnonzero(image.sum(0) > 0.05 * image.sum(0).max())
            # The extreme of the outline in this view is the margin, unless the vertebra is rotated about z.
            margins = [geometry.project(points[f"{plate}_{side_name}"])[0] for side_name in (first, second)]
            axes = patient.spine.axes[v, side]
            half = np.array([patient.spine.sizes.plate_width[v, side], patient.spine.sizes.plate_depth[v, side]]) / 2
            axis = 0 if name == "frontal" else 1
            turned = abs(axes[axis, 1 - axis]) * half[1 - axis] / spacing
            # The corners of the back reach a little behind its middle, where the landmark is.
            margins[1] += 0.0 if name == "frontal" else (behind - 1) * half[1] / spacing
            # Pixels of an image at 1.435 mm are 2.87 of these.
            tolerance = 0.5 * 1.435 / spacing + turned
            assert columns[0] == pytest.approx(margins[0], abs=tolerance), (level, plate)
            assert columns[-1] == pytest.approx(margins[1], abs=tolerance), (level, plate)


@pytest.mark.parametrize("convex", ["right", "left"])
def test_the_rib_cage_rotates_with_the_spine(convex) -> None:
    """Rib hump: on the convex side, the ribs reach further back."""
    patient = build_patient(standing(curves=(CoronalCurve("T5", "T12", 50.0, convex),)), 56)
    left, right = named(build_thorax(collate([patient.arrays])).shells, "rib")
    reach = [float(side.vertices[0, 7, ..., 1].max()) for side in (left, right)]
    assert (reach[1] - reach[0]) * (1 if convex == "right" else -1) > 8.0


@each_patient()
def test_only_t13_has_a_thirteenth_rib(who) -> None:
    batch = collate([patients()[who].arrays])
    for shell in named(build_thorax(batch).shells, "rib"):
        assert bool((shell.thickness_mm[0, :12] > 0).all())
        assert bool(shell.thickness_mm[0, 12] > 0) == ("T13" in patients()[who].spine.levels)


def test_ribs_start_at_their_vertebrae() -> None:
    batch = collate([p.arrays for p in patients()])
    for shell in named(build_thorax(batch).shells, "rib"):
        heads = shell.vertices[:, :12, 0, :-1].mean(dim=2)
        apart = (heads - batch.body_centre[:, T1_INDEX : T1_INDEX + 12]).norm(dim=-1)
        nearest = (heads[:, :, None] - batch.body_centre[:, None, T1_INDEX : T1_INDEX + 12]).norm(dim=-1).argmin(-1)
        assert float(apart.max()) < 45.0
        assert bool((nearest == torch.arange(12)).float().mean() > 0.9)


def test_the_second_to_ninth_ribs_sit_on_the_disc_above_and_the_last_ones_on_their_own_body() -> None:
    batch = collate([p.arrays for p in patients()])
    heads = [shell.vertices[:, :12, 0, :-1].mean(dim=2) for shell in named(build_thorax(batch).shells, "rib")]
    middle = (heads[0] + heads[1]) / 2 - batch.body_centre[:, T1_INDEX : T1_INDEX + 12]
    share = (middle[..., 2] / batch.height[:, T1_INDEX : T1_INDEX + 12]).median(dim=0).values
    assert share[1:9].tolist() == pytest.approx([0.44] * 8, abs=0.05)
    assert share[10:].tolist() == pytest.approx([0.12] * 2, abs=0.05)


def test_lumbar_spinous_processes_are_thin_and_laminae_have_mineral_inside() -> None:
    batch = bones().batch
    lumbar = (batch.lumbar == 1) & (batch.present > 0)
    aside = batch.body_axes[..., 0]
    spinous = named(bones().vertebrae.shells, "spinous")[0].vertices
    across = ((spinous - batch.body_centre[:, :, None, None]) * aside[:, :, None, None]).sum(-1)
    wide = across.amax(dim=(2, 3)) - across.amin(dim=(2, 3))
    assert float(wide[lumbar].max()) < 6.0
    fillings = [f for f in bones().vertebrae.fillings if f.name == "lamina"]
    rinds = named(bones().vertebrae.shells, "lamina")
    assert len(fillings) == len(rinds) == 2
    for filling, rind in zip(fillings, rinds, strict=True):
        assert torch.equal(filling.vertices, rind.vertices)
        assert bool(((filling.fraction > 0) == (rind.thickness_mm > 0)).all())


@each_patient()
def test_osteophytes_grow_only_beside_degenerated_discs(who) -> None:
    patient = patients()[who]
    shell = named(bones().vertebrae.shells, "osteophyte")[0]
    count = len(patient.spine.levels)
    there = (shell.thickness_mm[who] > 0).reshape(SLOTS, 2, 5)[:count]
    expected = torch.from_numpy(patient.spine.sizes.osteophyte > 0)
    assert torch.equal(there, expected[..., None].expand(-1, -1, 5))


def test_osteophytes_sit_at_the_edges_of_their_plates() -> None:
    batch = bones().batch
    shell = named(bones().vertebrae.shells, "osteophyte")[0]
    middle = shell.vertices[:, :, :, :-1].mean(dim=(2, 3)).reshape(len(batch), SLOTS, 2, 5, 3)
    offset = torch.einsum("nvpkd,nvpdi->nvpki", middle - batch.centre[..., None, :], batch.axes)
    x, y = (offset[..., i] / batch.plate_half[..., None, i] for i in (0, 1))
    assert float((x.abs() ** 2.35 + y.abs() ** 2.35).min()) > 0.7
    assert float(offset[..., 2].abs().max()) < 3.0
    assert float(y.max()) < 0.3, "none grows into the canal"


def test_density_scales_cortex_and_spongiosa_equally() -> None:
    batch = bones().batch
    vertebrae = build_vertebrae(batch)
    thin, full = vertebrae.scaled(batch.density * 0.5), vertebrae.scaled(batch.density)
    for one, other in zip(thin.shells, full.shells, strict=True):
        assert torch.allclose(2 * one.thickness_mm, other.thickness_mm)
    for less, more in zip(thin.fillings, full.fillings, strict=True):
        assert torch.allclose(2 * less.fraction, more.fraction)
    assert isinstance(thin, Bones)
