"""Writes meshes of the bones of a virtual patient, and 3D Slicer markups.

Contract: meshes are made from the rendered grids, in LPS millimetres. All meshes are closed. Grids that share a ring
(such as a body and its end plate) become one surface, and every other open end gets a lid. Overlapping parts of a bone
(such as a body and its pedicles) are separate closed surfaces of one mesh. Thin structures inside a bone (ring
apophyses, remnants of sacral discs) and parts that the patient lacks are left out.

    reconstruction.mrk.json      the points of reconstruction.json, for 3D Slicer
    meshes/L3.obj, rib_7_left.obj, hip_right.obj, ...
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from simulation.body.batch import collate
from simulation.body.patient import VirtualPatient
from simulation.body.skeleton import build_bones
from simulation.cohort.config import MARKUPS, MESHES, Extra, MeshFormat
from simulation.threads import one_thread
from spine.reconstruction.meshes import Mesh, join_meshes, mesh_from_grid, write_mesh
from spine.reconstruction.reconstruction import Reconstruction
from spine.reconstruction.slicer_markups import write_markups
from spine.types import Floats

_SAME_MM = 1e-3


def write_extras(
    folder: Path, patient: VirtualPatient, scanned: Reconstruction, extras: Sequence[Extra], mesh_format: MeshFormat
) -> None:
    """Write the requested extras of a patient into ``folder``."""
    if "markups" in extras:
        write_markups(scanned, folder / MARKUPS)
    if "meshes" in extras:
        for name, mesh in bone_meshes(patient).items():
            write_mesh(folder / MESHES / f"{name}.{mesh_format}", mesh.vertices, mesh.faces)


def bone_meshes(patient: VirtualPatient) -> dict[str, Mesh]:
    """Name of a bone (``L3``, ``rib_7_left``, ``sacrum`` ...) -> mesh of the bone. Parts of a bone can overlap."""
    return {name: _joined(grids) for name, grids in _grids(patient).items()}


def _joined(grids: Sequence[Floats]) -> Mesh:
    return join_meshes([mesh_from_grid(wall) for wall in _welded(grids)])


def _grids(patient: VirtualPatient) -> dict[str, list[Floats]]:
    """Name of a bone -> the (M, K, 3) grids of the bone that are rendered, mm."""
    found: dict[str, list[Floats]] = {}
    with one_thread(), torch.inference_mode():
        shells = build_bones(collate([patient.arrays])).shells
    for shell in shells:
        for name, grid, thickness in zip(shell.bones, shell.vertices[0], shell.thickness_mm[0], strict=False):
            if float(thickness) > 0:
                found.setdefault(_file_name(name, patient.spine.levels), []).append(grid.double().numpy())
    return found


def _file_name(bone: str, levels: Sequence[str]) -> str:
    """The name of the bone's file: ``slot7`` becomes the patient's level, ``rib 7 left`` becomes ``rib_7_left``."""
    if bone.startswith("slot"):
        return levels[int(bone.removeprefix("slot"))]
    return bone.replace(" ", "_")


def _is_point(row: Floats) -> bool:
    return bool(np.ptp(row, axis=0).max() < _SAME_MM)


def _is_bowl(grid: Floats) -> bool:
    """Whether a grid is closed at one end only, like half an ellipsoid or a plate."""
    return _is_point(grid[0]) != _is_point(grid[-1])


def _welded(grids: Sequence[Floats]) -> list[Floats]:
    """The surfaces of one bone. Grids that share their last ring are joined."""
    found: list[Floats] = []
    for grid in [*(g for g in grids if not _is_bowl(g)), *(g for g in grids if _is_bowl(g))]:
        for i, wall in enumerate(found):
            joined = _join(wall, grid)
            if joined is not None:
                found[i] = joined
                break
        else:
            found.append(grid)
    return found


def _join(wall: Floats, other: Floats) -> Floats | None:
    for grid in (other, other[::-1]):
        if not _is_point(wall[-1]) and _same(wall[-1], grid[0]):
            return np.concatenate([wall, grid[1:]])
        if not _is_point(wall[0]) and _same(wall[0], grid[-1]):
            return np.concatenate([grid[:-1], wall])
    return None


def _same(first: Floats, second: Floats) -> bool:
    return first.shape == second.shape and bool(np.abs(first - second).max() < _SAME_MM)
