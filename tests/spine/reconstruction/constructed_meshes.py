"""Meshes of a plain spine: elliptic cylinders with a spinous process behind, a sacrum and two femoral heads."""

import base64
import struct
import zlib

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.reconstruction.meshes import Mesh, join_meshes, mesh_from_grid

STEP_MM, HALF_HEIGHT_MM, HALF_WIDTH_MM, HALF_DEPTH_MM = 28.0, 11.0, 20.0, 15.0


def tube(centre, radii, half_height, rows=8):
    """A closed elliptic cylinder along z."""
    angle = np.linspace(0, 2 * np.pi, 49)
    ring = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle), 0 * angle], axis=1)
    heights = np.linspace(-half_height, half_height, rows)
    return mesh_from_grid(np.array([ring + centre + (0, 0, h) for h in heights]))


def ball(centre, radius):
    polar, turn = np.meshgrid(np.linspace(0, np.pi, 25), np.linspace(0, 2 * np.pi, 49), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1)
    return mesh_from_grid(centre + radius * unit)


def place_of(level):
    i = VERTEBRAE.index(level)
    return np.array([0.0, 8 * np.cos(i / 4), 240.0 - STEP_MM * i])


def vertebra(place, arch=True):
    body = tube(place, (HALF_WIDTH_MM, HALF_DEPTH_MM), HALF_HEIGHT_MM)
    return join_meshes([body, tube(place + (0, 34, -3), (4, 20), 4)]) if arch else body


def spine_meshes(arch=True):
    bones = {level: vertebra(place_of(level), arch) for level in VERTEBRAE}
    bones["sacrum"] = tube(place_of("L5") - (0, 0, 36.0), (19, 14), 15)
    for side, sign in (("left", 1), ("right", -1)):
        bones[f"femur_{side}"] = ball(place_of("L5") + (90.0 * sign, -10, -120), 23.0)
    return bones


def turned(mesh):
    return Mesh(mesh.vertices * (-1, -1, 1), mesh.faces)


def obj_of(bones, word="o"):
    """One OBJ with an object for each bone, with quadrilaterals' worth of indices relative to the whole file."""
    lines, start = ["# SPACE=LPS"], 1
    for name, mesh in bones.items():
        lines.append(f"{word} {name}")
        lines += ["v " + " ".join(map(repr, v)) for v in mesh.vertices.tolist()]
        lines += ["f " + " ".join(f"{i + start}//{i + start}" for i in face) for face in mesh.faces.tolist()]
        start += len(mesh.vertices)
    return "\n".join(lines).encode()


def ascii_stl_of(bones):
    lines = []
    for name, mesh in bones.items():
        lines.append(f"solid {name}")
        for corners in mesh.vertices[mesh.faces].tolist():
            lines += ["facet normal 0 0 0", "outer loop", *("vertex " + " ".join(map(repr, c)) for c in corners)]
            lines += ["endloop", "endfacet"]
        lines.append(f"endsolid {name}")
    return "\n".join(lines).encode()


def ply_of(mesh, encoding):
    header = [
        b"ply",
        b"format %s 1.0" % encoding.encode(),
        b"comment SPACE=LPS",
        b"element vertex %d" % len(mesh.vertices),
    ]
    header += [b"property double x", b"property double y", b"property double z", b"property uchar red"]
    header += [b"element face %d" % len(mesh.faces), b"property list uchar int vertex_indices", b"end_header", b""]
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(encoding)
    if order is None:
        rows = [" ".join(map(repr, v)) + " 7" for v in mesh.vertices.tolist()]
        rows += ["3 " + " ".join(map(str, f)) for f in mesh.faces.tolist()]
        return b"\n".join(header) + "\n".join(rows).encode()
    rows = [struct.pack(order + "dddB", *v, 7) for v in mesh.vertices.tolist()]
    rows += [struct.pack(order + "B3i", 3, *f) for f in mesh.faces.tolist()]
    return b"\n".join(header) + b"".join(rows)


def vtp_of(mesh, form="ascii", compressed=False):
    """A VTP file as VTK writes it; ``form`` is ascii, base64, appended-base64 or appended-raw."""
    arrays = {"Points": mesh.vertices.astype("<f8"), "connectivity": mesh.faces.astype("<i8")}
    arrays["offsets"] = 3 * np.arange(1, len(mesh.faces) + 1, dtype="<i8")
    appended, tags = b"", {}
    for name, array in arrays.items():
        kind = "Float64" if name == "Points" else "Int64"
        start = f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{3 if name == "Points" else 1}" '
        if form == "ascii":
            tags[name] = start + 'format="ascii">' + " ".join(map(repr, array.ravel().tolist())) + "</DataArray>"
        elif form == "base64":
            tags[name] = start + 'format="binary">' + encoded(array.tobytes(), compressed).decode() + "</DataArray>"
        else:
            tags[name] = start + f'format="appended" offset="{len(appended)}"/>'
            raw = form == "appended-raw"
            appended += b"".join(blocks(array.tobytes(), compressed)) if raw else encoded(array.tobytes(), compressed)
    compressor = ' compressor="vtkZLibDataCompressor"' if compressed else ""
    head = f'<?xml version="1.0"?><VTKFile type="PolyData" byte_order="LittleEndian" header_type="UInt64"{compressor}>'
    body = '<PolyData><FieldData><Array type="String" Name="SPACE" NumberOfTuples="1" format="ascii">76 80 83 0</Array>'
    body += f'</FieldData><Piece NumberOfStrips="0"><Points>{tags["Points"]}</Points>'
    body += f"<Polys>{tags['connectivity']}{tags['offsets']}</Polys></Piece></PolyData>"
    encoding = "raw" if form == "appended-raw" else "base64"
    tail = f'<AppendedData encoding="{encoding}">_'.encode() + appended + b"</AppendedData>" if appended else b""
    return (head + body).encode() + tail + b"</VTKFile>"


def blocks(data, compressed, size=4096):
    """The header and the data of one array."""
    if not compressed:
        return struct.pack("<Q", len(data)), data
    parts = [zlib.compress(data[i : i + size]) for i in range(0, len(data), size)]
    header = struct.pack(f"<{3 + len(parts)}Q", len(parts), size, len(data) % size, *map(len, parts))
    return header, b"".join(parts)


def encoded(data, compressed):
    header, rest = blocks(data, compressed)
    # VTK encodes the header of compressed data apart.
    return base64.b64encode(header) + base64.b64encode(rest) if compressed else base64.b64encode(header + rest)
