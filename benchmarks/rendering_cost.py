"""The renderer as ``peers`` and ``exactness`` use it: path lengths of grids and solids."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from simulation.body.batch import PatientBatch, collate
from simulation.body.mass_points import MassPoints, sample_bones, sample_filling, sample_shell
from simulation.body.patient import VirtualPatient, build_patient
from simulation.body.skeleton import build_bones, reference_cells
from simulation.body.solids import CONTROLS, Ellipsoid, Loft, Solid, ellipsoids_of, lofts_of
from simulation.body.surfaces import Bones, Filling, Shell
from simulation.body.vertebrae import body_grid
from simulation.imaging.chords import ellipsoid_chords, loft_chords, ray_lines
from simulation.imaging.rays import rays_of
from simulation.imaging.splat import splat
from simulation.population.sampling import sample_patient
from spine.scanner import ViewGeometry
from spine.types import Floats


@dataclass(frozen=True)
class Part:
    """One grid of bone.

    Attributes:
        name: the kind of bone.
        vertices: (M, K, 3) mm, closed around.
        axis: (M, 3) mm of a filling; None for a shell.
        amount: thickness in mm of a shell, fraction of a filling.
        spacing_mm: distance between mass points in the renderer.
    """

    name: str
    vertices: Floats
    axis: Floats | None
    amount: float
    spacing_mm: float


def points_of(part: Part, spacing_mm: float | None = None) -> MassPoints:
    """Mass points of one grid."""
    spacing = spacing_mm or part.spacing_mm
    grid, amount = _tensor(part.vertices)[None, None], _tensor(np.array([[part.amount]]))
    if part.axis is None:
        return sample_shell(Shell(part.name, grid, amount, spacing))
    return sample_filling(Filling(part.name, grid, _tensor(part.axis)[None, None], amount, spacing))


def solid_points(vertices: Floats, axis: Floats, spacing_mm: float) -> MassPoints:
    """Mass points of B solid grids (B, M, K, 3) around their axes (B, M, 3)."""
    full = torch.ones(1, len(vertices))
    return sample_filling(Filling("solid", _tensor(vertices)[None], _tensor(axis)[None], full, spacing_mm))


def image_of(points: MassPoints, geometry: ViewGeometry) -> Floats:
    """(H, W) path lengths in mm through mass points."""
    return splat(points, rays_of([geometry]))[0].double().numpy()


def chord_image_of(solid: Solid, geometry: ViewGeometry) -> Floats:
    """(H, W) closed-form path lengths in mm through one solid."""
    lines, row = ray_lines(rays_of([geometry])), torch.as_tensor(solid.array())[None, None]
    if isinstance(solid, Ellipsoid):
        return _array(ellipsoid_chords(ellipsoids_of(row), lines)[0, 0])
    return _array(loft_chords(lofts_of(row), lines)[0, 0])


def cylinder_solid(centre: Floats, radius: float, half_height: float) -> Solid:
    """A vertical cylinder as a loft of the renderer."""
    z = np.linspace(-half_height, half_height, CONTROLS) + centre[2]
    return Loft(z, np.tile(centre[:2], (CONTROLS, 1)), np.full((CONTROLS, 2), radius))


def body_solids(seed: int) -> tuple[Floats, Floats, tuple[str, ...]]:
    """(V, M, K, 3) walls and (V, M, 3) axes of a virtual patient's vertebral bodies, and their levels."""
    walls, axes = body_grid(_batch(seed))
    levels = patient(seed).spine.levels
    return _array(walls[0, : len(levels)]), _array(axes[0, : len(levels)]), levels


def bone_parts(seed: int) -> Iterator[Part]:
    """Every grid of bone of a virtual patient."""
    bones = _bones(seed)
    for shell in bones.shells:
        for grid, amount in zip(shell.vertices[0], shell.thickness_mm[0], strict=True):
            if amount != 0:
                yield Part(shell.name, _array(grid), None, float(amount), shell.spacing_mm)
    for filling in bones.fillings:
        for grid, axis, amount in zip(filling.vertices[0], filling.axis[0], filling.fraction[0], strict=True):
            if amount != 0:
                yield Part(filling.name, _array(grid), _array(axis), float(amount), filling.spacing_mm)


def skeleton_points(seed: int) -> MassPoints:
    """Mass points of a patient's whole skeleton at the renderer's spacing."""
    return sample_bones(_bones(seed), reference_cells()["bones"])


@functools.cache
def patient(seed: int) -> VirtualPatient:
    """The virtual patient with this seed."""
    return build_patient(sample_patient(seed), seed)


@functools.cache
def _batch(seed: int) -> PatientBatch:
    return collate([patient(seed).arrays])


@functools.cache
def _bones(seed: int) -> Bones:
    return build_bones(_batch(seed))


def _tensor(array: Floats) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32)


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.double().numpy()
