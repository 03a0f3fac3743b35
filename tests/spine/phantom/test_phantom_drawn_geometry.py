"""Landmarks lie on what is drawn: rendered plates, margins and heads against projected points, below a pixel."""

from dataclasses import replace

import numpy as np
import pytest

from spine.landmarks import PLATES, VERTEBRAE
from spine.phantom.morphometry import FIRST
from spine.phantom.patient import VirtualPatient, build_patient
from spine.phantom.points import sample_filling, sample_shell
from spine.phantom.population import sample_patient
from spine.phantom.splat import splat
from spine.phantom.surfaces import Filling, Shell
from spine.scanner import NATIVE_SPACING_MM, SOURCE_TO_ISOCENTRE_MM, ViewGeometry

SEEDS = (27, 38)  # a severe triple curve, a degenerative lumbar one


@pytest.fixture(scope="module", params=SEEDS)
def patient(request) -> VirtualPatient:
    return build_patient(sample_patient(request.param), request.param)


def view(name, spacing=NATIVE_SPACING_MM * 8, z0=0.0, u0=0.0, shape=(512, 256)) -> ViewGeometry:
    return ViewGeometry(name, shape, (spacing, spacing), SOURCE_TO_ISOCENTRE_MM[name], u0, z0)


def only(part: Shell | Filling, index: int):
    """One of the B grids of a part."""
    changes = {"vertices": part.vertices[index : index + 1]}
    if isinstance(part, Shell):
        return replace(part, **changes, thickness_mm=part.thickness_mm[index : index + 1])
    return replace(part, **changes, axis=part.axis[index : index + 1], fraction=part.fraction[index : index + 1])


def named(parts, name):
    return [p for p in parts if p.name == name]


def centroid(picture) -> np.ndarray:
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    weight = picture.numpy().astype(float)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("name", ["frontal", "lateral"])
def test_every_rendered_end_plate_is_centred_on_its_landmark(patient, name) -> None:
    plates = named(patient.bones.shells, "end plate")[0]
    geometry = view(name)
    for i, plate in enumerate(PLATES):
        drawn = splat(sample_shell(only(plates, 2 * FIRST + i)), geometry)
        expected = geometry.project(patient.reconstruction.points[plate])
        assert centroid(drawn) == pytest.approx(expected, abs=0.15), plate


@pytest.mark.parametrize("name", ["frontal", "lateral"])
def test_the_s1_plate_and_the_heads_are_centred_on_their_landmarks(patient, name) -> None:
    geometry, points = view(name), patient.reconstruction.points
    drawn = splat(sample_shell(named(patient.bones.shells, "S1 plate")[0]), geometry)
    assert centroid(drawn) == pytest.approx(geometry.project(points["S1_sup"]), abs=0.15)
    for head, label in zip(named(patient.bones.fillings, "femoral head"), ("HIP_L", "HIP_R"), strict=True):
        drawn = splat(sample_filling(head), geometry)
        assert centroid(drawn) == pytest.approx(geometry.project(points[label]), abs=0.2)
        across = np.flatnonzero(drawn.numpy().sum(0) > 0.02 * drawn.numpy().sum(0).max())
        width_mm = (across[-1] - across[0] + 1) * geometry.spacing_mm[1]
        assert width_mm == pytest.approx(2 * patient.reconstruction.hip_radius_mm[label], rel=0.12)


@pytest.mark.parametrize(("name", "first", "second"), [("frontal", "right", "left"), ("lateral", "ant", "post")])
def test_the_edges_of_an_isolated_body_are_its_projected_margins(patient, name, first, second) -> None:
    body, plates = named(patient.bones.shells, "body")[0], named(patient.bones.shells, "end plate")[0]
    assert body.vertices.shape[0] == plates.vertices.shape[0] // 2
    for level in ("T4", "T9", "L3"):
        v, points = FIRST + VERTEBRAE.index(level), patient.reconstruction.points
        for side, plate in enumerate((f"{level}_sup", f"{level}_inf")):
            where = points[plate]
            spacing = 0.5
            geometry = view(name, spacing, where[2], where[0] if name == "frontal" else where[1], (80, 160))
            drawn = splat(sample_shell(replace(only(plates, 2 * v + side), spacing_mm=0.25)), geometry).numpy()
            columns = np.flatnonzero(drawn.sum(0) > 0.05 * drawn.sum(0).max())
            # The outline's extreme in this view is the margin itself unless the vertebra is turned about z.
            margins = [geometry.project(points[f"{plate}_{side_name}"])[0] for side_name in (first, second)]
            axes = patient.spine.axes[v, side]
            half = np.array([patient.spine.sizes.plate_width[v, side], patient.spine.sizes.plate_depth[v, side]]) / 2
            axis = 0 if name == "frontal" else 1
            turned = abs(axes[axis, 1 - axis]) * half[1 - axis] / spacing
            # Pixels of a picture at 1.435 mm are 2.87 of these.
            tolerance = 0.5 * 1.435 / spacing + turned
            assert columns[0] == pytest.approx(margins[0], abs=tolerance), (level, plate)
            assert columns[-1] == pytest.approx(margins[1], abs=tolerance), (level, plate)


def test_bodies_end_exactly_on_their_plates(patient) -> None:
    wall = named(patient.bones.shells, "body")[0].vertices
    plates = named(patient.bones.shells, "end plate")[0].vertices
    assert wall[:, -1] == pytest.approx(plates[0::2, -1], abs=1e-9)
    assert wall[:, 0] == pytest.approx(plates[1::2, -1], abs=1e-9)


def test_the_rib_cage_turns_with_a_rotated_spine() -> None:
    """Rib hump: behind the convex side the ribs reach further back."""
    p = build_patient(sample_patient(56), 56)  # right thoracic curve of 50 degrees
    assert p.parameters.curves[0].convex == "right"
    left, right = named(p.bones.shells, "rib")
    assert right.vertices[7, ..., 1].max() - left.vertices[7, ..., 1].max() > 8.0
