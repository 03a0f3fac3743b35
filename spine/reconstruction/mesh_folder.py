"""Reader of meshes of single bones: end plates, S1 plate and hip centres from the surfaces of one spine.

The bones are one file each, or the objects of one file. ``bone_names`` has the table of names, ``vertebra_surface`` and
``femoral_head`` find the points.

Contract: coordinates are mm. Axes are those that the files state (``SPACE=LPS`` or ``SPACE=RAS``, as 3D Slicer writes).
Files that state no axes are LPS or RAS, and the arches decide, because they lie behind the bodies; a mirrored spine
cannot be told. Points are the plates with their margins, the bodies, ``S1_*`` and the hips. A vertebra without a
recognisable body, an unknown name and a bone that is there twice are refused. ``facts`` counts other structures
(``bones_not_read``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spine.errors import ReconstructionRejected
from spine.landmarks import HIPS
from spine.reconstruction.bone_names import OTHER, SACRUM, bone_of
from spine.reconstruction.checks import COLUMN, check_reconstruction
from spine.reconstruction.decoding import content_of
from spine.reconstruction.femoral_head import find_femoral_head
from spine.reconstruction.mesh_files import NamedMesh, parse_meshes
from spine.reconstruction.meshes import Mesh, join_meshes
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.reconstruction.vertebra_surface import ARCH_SHARE, Body, Plate, find_body, find_sacral_plate
from spine.types import Floats

SOURCE_FORMAT = "bone-meshes"
MAX_TOTAL_BYTES = 2**27
VERTEBRA_MM = (15.0, 220.0)
"""Smallest and largest extent of the mesh of a vertebra."""
_HALF_TURN = np.array([-1.0, -1.0, 1.0])
_BACK = np.array([0.0, 1.0, 0.0])


def reconstruction_from_meshes(files: Sequence[Path]) -> Reconstruction:
    """The reconstruction in mesh files of one spine.

    Raises:
        ReconstructionRejected: ``MESH_INVALID``, ``NOT_FINITE``, ``BONE_UNKNOWN``, ``BONE_TWICE``, ``BONE_UNCLEAR``,
            ``AXES_INVALID``, ``EMPTY_FILE``, ``FILE_TOO_LARGE``, and the codes of ``checks`` for the centres of the
            bones.
    """
    bones, axes, left_out = _bones(files)
    if axes == "RAS":
        bones = _turned(bones)
    levels = [level for level in COLUMN[:-1] if level in bones]
    _check_places(bones, levels)
    bodies = _bodies(bones, levels)
    to_back = [float(body.frame.axes[1, 1]) for body in bodies.values() if body.arch_share > ARCH_SHARE]
    if _lies_in_front(to_back, axes):
        bones = _turned(bones)
        bodies = _bodies(bones, levels)
    points: dict[str, Floats] = {}
    for level, body in bodies.items():
        points |= _named(f"{level}_sup", body.upper) | _named(f"{level}_inf", body.lower)
        points[f"{level}_body"] = (body.upper.centre + body.lower.centre) / 2
    points |= _sacrum(bones, bodies)
    heads = {hip: find_femoral_head(bones[hip]) for hip in HIPS if hip in bones}
    found = {hip: head for hip, head in heads.items() if head is not None}
    facts = {"bones_not_read": left_out + len(heads) - len(found), "axes_from_arches": axes is None}
    return Reconstruction(
        subject_id="",
        points=points | {hip: centre for hip, (centre, _) in found.items()},
        source_format=SOURCE_FORMAT,
        hip_radius_mm={hip: radius for hip, (_, radius) in found.items()},
        facts=facts,
    )


def _bones(files: Sequence[Path]) -> tuple[dict[str, Mesh], str | None, int]:
    """The meshes by bone, the axes that the files state, and the number of other structures."""
    bones: dict[str, Mesh] = {}
    stated: set[str | None] = set()
    left_out = unknown = total = 0
    for file in files:
        if bone_of(file.stem) == OTHER:
            left_out += 1
            continue
        total += file.stat().st_size
        if total > MAX_TOTAL_BYTES:
            raise rejected("FILE_TOO_LARGE", "meshes of more than 128 MiB", "at most 128 MiB in all")
        for part in _parts(file):
            bone = bone_of(part.name)
            if bone is None or bone == OTHER:
                unknown += bone is None
                left_out += bone == OTHER
            elif bone in bones:
                raise rejected("BONE_TWICE", f"{bone} twice", "one mesh for each bone")
            else:
                bones[bone] = part.mesh
                stated.add(part.axes)
    if unknown:
        # The names are not quoted, because a file name may be a patient's name.
        found = f"{unknown} mesh(es) whose name is no bone"
        raise rejected("BONE_UNKNOWN", found, "names such as L3, vertebra_T04, sacrum, femur_left (docs, your data)")
    if len(stated) > 1:
        raise rejected("AXES_INVALID", "meshes that state different axes", "LPS or RAS in all meshes of a spine")
    return bones, next(iter(stated), None), left_out


def _parts(file: Path) -> list[NamedMesh]:
    """The objects of a file. Those of a file named after a bone are one mesh, unless they are named after bones."""
    parts = parse_meshes(content_of(file))
    named = len(parts) > 1 and any(bone_of(part.name) not in (None, OTHER) for part in parts)
    if bone_of(file.stem) is None or named:
        return parts
    return [NamedMesh(file.stem, join_meshes([part.mesh for part in parts]), parts[0].axes)]


def _turned(bones: Mapping[str, Mesh]) -> dict[str, Mesh]:
    """The bones after half a turn about z, which leads from RAS to LPS."""
    return {name: Mesh(mesh.vertices * _HALF_TURN, mesh.faces) for name, mesh in bones.items()}


def _check_places(bones: Mapping[str, Mesh], levels: Sequence[str]) -> None:
    """Refuse wrong units, wrong axes and a wrong order before any surface is searched."""
    places = {f"{level}_body": bones[level].vertices.mean(axis=0) for level in levels}
    check_reconstruction(Reconstruction("", places, SOURCE_FORMAT))
    for level in levels:
        extent = float(np.ptp(bones[level].vertices, axis=0).max())
        if not VERTEBRA_MM[0] <= extent <= VERTEBRA_MM[1]:
            raise _unclear(f"a mesh of {level} that is {extent:.4g} mm long")


def _bodies(bones: Mapping[str, Mesh], levels: Sequence[str]) -> dict[str, Body]:
    centres = np.array([bones[level].vertices.mean(axis=0) for level in levels])
    found = {}
    for i, level in enumerate(levels):
        up = centres[max(i - 1, 0)] - centres[min(i + 1, len(levels) - 1)]
        body = find_body(bones[level], up, _BACK)
        if body is None:
            raise _unclear(f"no vertebral body in the mesh of {level}")
        found[level] = body
    return found


def _lies_in_front(to_back: Sequence[float], axes: str | None) -> bool:
    """Whether the arches lie in front of the bodies, so that unstated axes are RAS."""
    if not to_back:
        if axes is None:
            found = "meshes that state no axes, and vertebrae without arches"
            raise rejected("AXES_INVALID", found, "SPACE=LPS or SPACE=RAS in the files, or vertebrae with arches")
        return False
    middle = float(np.median(to_back))
    if abs(middle) < 0.5 or (axes is not None and middle < 0):
        raise rejected("AXES_INVALID", "arches that do not lie behind the bodies", "x to the left, y to the back, z up")
    return middle < 0


def _named(plate_name: str, plate: Plate) -> dict[str, Floats]:
    return {plate_name: plate.centre} | {f"{plate_name}_{side}": point for side, point in plate.margins.items()}


def _sacrum(bones: Mapping[str, Mesh], bodies: Mapping[str, Body]) -> dict[str, Floats]:
    lowest = next((level for level in ("L6", "L5") if level in bodies), None)
    # Where both are there, the sacrum lacks its upper part, as in TotalSegmentator's labels.
    sacrum = bones.get("S1", bones.get(SACRUM))
    if sacrum is None or lowest is None:
        return {}
    plate = find_sacral_plate(sacrum, bodies[lowest].lower, bodies[lowest].frame)
    if plate is None:
        raise _unclear("no upper plate on the mesh of the sacrum")
    return {"S1_sup": plate.centre} | {f"S1_{side}": point for side, point in plate.margins.items()}


def _unclear(found: str) -> ReconstructionRejected:
    return rejected("BONE_UNCLEAR", found, "whole vertebrae with their bodies, in mm")
