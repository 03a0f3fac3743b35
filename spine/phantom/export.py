"""A virtual patient beyond pictures: a mesh for each bone and 3D Slicer markups.

What belongs here: which grids make a bone, and the files of a case's folder ``extras``. What does not: triangles and
file formats (``spine.reconstruction``), shapes. Contract: meshes come from the very grids that are drawn, in LPS
millimetres; an end plate closes the body whose rim it shares, a bowl (an acetabulum) stays open, every other open end
gets a lid. Thin marks inside a bone that belong to no bone of their own (ring apophyses, remnants of sacral discs)
are left out, and so is what a patient does not have.

    reconstruction.mrk.json      the points of reconstruction.json, for 3D Slicer
    meshes/L3.obj, rib_7_left.obj, hip_right.obj, ...
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spine.phantom.body.batch import collate
from spine.phantom.body.skeleton import build_bones
from spine.phantom.case import MARKUPS, MESHES, Extra, MeshFormat
from spine.phantom.patient import VirtualPatient
from spine.phantom.threads import one_thread
from spine.reconstruction.meshes import Mesh, join_meshes, mesh_from_grid, write_mesh
from spine.reconstruction.record import Reconstruction
from spine.reconstruction.slicer_markups import write_markups
from spine.scanner import Floats

_SAME_MM = 1e-3


def write_extras(
    folder: Path, patient: VirtualPatient, scanned: Reconstruction, extras: Sequence[Extra], mesh_format: MeshFormat
) -> None:
    """Write what is asked for into a case's folder ``extras``."""
    if "markups" in extras:
        write_markups(scanned, folder / MARKUPS)
    if "meshes" in extras:
        for name, mesh in bone_meshes(patient).items():
            write_mesh(folder / MESHES / f"{name}.{mesh_format}", mesh.vertices, mesh.faces)


def bone_meshes(patient: VirtualPatient) -> dict[str, Mesh]:
    """One mesh a bone: ``L3``, ``rib_7_left``, ``sacrum``, ``femur_right`` ...; parts of a bone may overlap."""
    return {name: _joined(grids) for name, grids in _grids(patient).items()}


def _joined(grids: Sequence[Floats]) -> Mesh:
    walls, bowls = _welded(grids)
    return join_meshes([mesh_from_grid(w) for w in walls] + [mesh_from_grid(b, close_ends=False) for b in bowls])


def _grids(patient: VirtualPatient) -> dict[str, list[Floats]]:
    """Name of a bone -> its (M, K, 3) grids, as drawn."""
    found: dict[str, list[Floats]] = {}
    with one_thread(), torch.inference_mode():
        shells = build_bones(collate([patient.arrays])).shells
    for shell in shells:
        for name, grid, thickness in zip(shell.bones, shell.vertices[0], shell.thickness_mm[0], strict=False):
            if float(thickness) > 0:
                found.setdefault(_file_name(name, patient.spine.levels), []).append(grid.double().numpy())
    return found


def _file_name(bone: str, levels: Sequence[str]) -> str:
    """``slot7`` -> the patient's own level, ``rib 7 left`` -> ``rib_7_left``."""
    if bone.startswith("slot"):
        return levels[int(bone.removeprefix("slot"))]
    return bone.replace(" ", "_")


def _is_point(row: Floats) -> bool:
    return bool(np.ptp(row, axis=0).max() < _SAME_MM)


def _is_bowl(grid: Floats) -> bool:
    """Closed at one end only: half a ball, or a plate."""
    return _is_point(grid[0]) != _is_point(grid[-1])


def _welded(grids: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Walls of one bone, plates grown together with those whose open end they close; and the bowls that are left."""
    plates = [grid for grid in grids if _is_bowl(grid)]
    walls = [grid for grid in grids if not _is_bowl(grid)]
    left = []
    for plate in plates:
        middle_first = plate if _is_point(plate[0]) else plate[::-1]
        for i, wall in enumerate(walls):
            if _same(wall[0], middle_first[-1]):
                walls[i] = np.concatenate([middle_first[:-1], wall])
                break
            if _same(wall[-1], middle_first[-1]):
                walls[i] = np.concatenate([wall, middle_first[:-1][::-1]])
                break
        else:
            left.append(plate)
    return walls, left


def _same(first: Floats, second: Floats) -> bool:
    return first.shape == second.shape and bool(np.abs(first - second).max() < _SAME_MM)
