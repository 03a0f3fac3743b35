"""Small reconstructions that are read, in every format, with the marker where a name of a patient may stand."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

import numpy as np

from benchmarks.fuzz.byte_edits import MARKER
from spine.landmarks import VERTEBRAE
from spine.reconstruction.meshes import Mesh, join_meshes, mesh_from_grid
from spine.types import Floats
from tests.spine.reconstruction.constructed_meshes import ascii_stl_of, obj_of, ply_of, tube, vtp_of
from tests.spine.reconstruction.constructed_reconstructions import spine_points, two_views

Files = dict[str, bytes]
_POINTS = {name: np.round(point, 2) for name, point in spine_points().items()}
_PELVIS = ("S1", "HIP")


@cache
def tables() -> tuple[Files, ...]:
    """Tables with commas, with semicolons and decimal commas, as Excel saves them, and Slicer's older lists."""
    head = [f"# subject_id={MARKER}", "# axes=LPS", "# units=mm", "level,name,x,y,z"]
    rows = [",".join([*name.split("_", 1), *map(str, p.tolist())]) for name, p in _POINTS.items() if "_ped" not in name]
    comma = "\n".join([*head, *rows]) + "\n"
    german = "\n".join(x if x[0] == "#" else x.replace(",", ";").replace(".", ",") for x in [*head, *rows]) + "\n"
    quoted = json.dumps(asdict(two_views()["frontal"])).replace('"', '""')
    excel = "\r\n".join(["sep=;", f'"# geometry.frontal={quoted}";;;;', german.replace("\n", "\r\n")])
    pelvis = {n: p for n, p in _POINTS.items() if n.startswith(_PELVIS)}
    spine = {n: p for n, p in _POINTS.items() if not n.startswith(_PELVIS)}
    return (
        {f"{MARKER}.csv": comma.encode()},
        {"german.csv": german.encode()},
        {"excel.csv": excel.encode("cp1252")},
        {"wide.csv": comma.replace(",", "\t").encode("utf-16")},
        {"spine.fcsv": _fcsv(spine), "pelvis.fcsv": _fcsv(pelvis)},
    )


@cache
def json_files() -> tuple[Files, ...]:
    """Plumbline JSON, Slicer's lists, CT keypoints and VerSe centroids."""
    points = {name: point.tolist() for name, point in _POINTS.items()}
    record: dict[str, object] = {
        "schema": "plumbline.reconstruction/1",
        "subject_id": MARKER,
        "axes": "LPS",
        "units": "mm",
    }
    record |= {"points": points, "facts": {"condition": MARKER}, "hip_radius_mm": {"HIP_L": 22.0}}
    levels = ("C7", *VERTEBRAE)
    places = {level: [5.0 + i, 20.0, 400 - 25.0 * i] for i, level in enumerate(levels)}
    keypoints = [_keypoint(p, "body", level) for level, p in places.items()]
    for kind, x in (("left", 12), ("right", -12)):
        keypoints += [_keypoint([p[0] + x, p[1] + 20, p[2] + 2], kind) for p in places.values()]
    centroids = [
        {"label": n, "X": 80.0, "Y": 30.0 + 25 * i, "Z": 32.0}
        for i, n in enumerate((*range(8, 20), 28, *range(20, 26)))
    ]
    few = dict(list(_POINTS.items())[:60])
    pelvis = {n: p for n, p in _POINTS.items() if n.startswith(_PELVIS)}
    return (
        {"r.json": json.dumps(record).encode()},
        {f"{MARKER}.mrk.json": _markups(few)},
        {"spine.mrk.json": _markups(few), "pelvis.mrk.json": _markups(pelvis, "RAS")},
        {"a_ctd.json": json.dumps([{"direction": ["P", "I", "R"], "zoom": [1, 1, 1]}, *centroids]).encode()},
        {"ct.json": json.dumps(keypoints).encode()},
    )


@cache
def mesh_parts() -> tuple[Files, ...]:
    """Single bones in every format of a mesh: they are parsed, and refused as too few."""
    ring = tube(np.array([0.0, 20.0, 240.0]), (20, 15), 10, rows=3)
    ring = Mesh(np.round(ring.vertices, 2), ring.faces)
    binary = {"T1.ply": ply_of(ring, "binary_little_endian")}
    return (
        {"T1.obj": obj_of({"T1": ring})},
        {"T1.stl": ascii_stl_of({"T1": ring})},
        {"T1.ply": ply_of(ring, "ascii")},
        binary,
        {"T1.ply": ply_of(ring, "binary_big_endian")},
        {"T1.stl": _binary_stl(ring)},
        {"T1.vtp": vtp_of(ring)},
        {"T1.vtp": vtp_of(ring, "base64")},
        {"T1.vtp": vtp_of(ring, "base64", compressed=True)},
        {"T1.vtp": vtp_of(ring, "appended-raw", compressed=True)},
        {"T1.vtp": vtp_of(ring, "appended-base64")},
    )


@cache
def mesh_spines() -> tuple[Files, ...]:
    """Three vertebrae whose plates are found, in one file and in a file each."""
    bones = {level: _coarse_vertebra(np.array([0.0, 20.0, 240.0 - 28 * i])) for i, level in enumerate(VERTEBRAE[:3])}
    each = {f"{level}.stl": _binary_stl(mesh) for level, mesh in bones.items()}
    return ({"three.obj": obj_of(bones)}, each)


def _coarse_vertebra(place: Floats) -> Mesh:
    """A vertebra of few triangles."""
    return join_meshes([_coarse_tube(place, (20, 15), 11), _coarse_tube(place + (0, 34, -3), (4, 20), 4)])


def _coarse_tube(centre: Floats, radii: tuple[float, float], half: float) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, 17)
    ring = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle), 0 * angle], axis=1)
    grid = np.array([ring + centre + (0, 0, h) for h in (-half, half)])
    mesh = mesh_from_grid(grid)
    return Mesh(np.round(mesh.vertices, 2), mesh.faces)


def _binary_stl(mesh: Mesh) -> bytes:
    corners = mesh.vertices[mesh.faces].astype("<f4")
    facets = b"".join(bytes(12) + corner.tobytes() + bytes(2) for corner in corners)
    return b"SPACE=LPS".ljust(80) + len(corners).to_bytes(4, "little") + facets


def _keypoint(place: list[float], kind: str, level: str = "") -> dict[str, object]:
    described = {"keypoint_type": kind} | ({"spine_level": level} if level else {})
    return {"coordinates": {"world_space": place}, "type": described}


def _markups(points: Mapping[str, Floats], system: str = "LPS") -> bytes:
    signs = np.array([-1, -1, 1]) if system == "RAS" else np.ones(3)
    controls = [{"label": n, "position": (p * signs).tolist(), "description": MARKER} for n, p in points.items()]
    markup = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"markups": [markup]}).encode()


def _fcsv(points: Mapping[str, Floats]) -> bytes:
    lines = ["# Markups fiducial file version = 4.13", "# CoordinateSystem = LPS"]
    lines.append("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID")
    for i, (name, point) in enumerate(points.items()):
        lines.append(",".join([str(i), *map(str, point.tolist()), "0,0,0,1,1,1,0", name, f'"{MARKER}, b"', ""]))
    return ("\n".join(lines) + "\n").encode()
