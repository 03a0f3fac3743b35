"""The gVirtualXRay part of ``peers``. The interpreter of the peers runs ``python peer_gvxr.py scene.npz found.npz``."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gvxrPython3 import gvxr

REPEATS = 7
LARGEST = 2048
MESH = "bodies"


def main(scene_path: str, found_path: str) -> None:
    """Render every view: at the size of the image to measure the time, and ``finer`` times finer to compare lengths."""
    gvxr.useLogFile(os.devnull)
    gvxr.createWindow(-1, 0, "EGL")
    gvxr.setMonoChromatic(80.0, "keV", 1)  # the renderer requires a spectrum; path lengths do not depend on it
    gvxr.useParallelBeam()
    with np.load(scene_path) as scene:
        found: dict[str, Any] = {}
        for view in ("frontal", "lateral"):
            found |= draw_view(scene, view)
    np.savez(found_path, **found)


def draw_view(scene: "np.lib.npyio.NpzFile", view: str) -> dict[str, np.ndarray]:
    """Seconds to load and to render the mesh, and the image in mm."""
    rows, columns = (int(n) for n in scene["shape"])
    spacing, finer = float(scene["spacing_mm"]), int(scene["finer"])
    aim(view)
    size_detector(rows, columns, spacing)
    skeleton = time_mesh(scene[f"{view}_skeleton_vertices"], scene["skeleton_faces"])
    load, draw = time_mesh(scene[f"{view}_vertices"], scene["faces"])
    fine = draw_finely(rows, columns, spacing, finer, view)
    times = {"load_s": load, "draw_s": draw, "skeleton_s": sum(skeleton)}
    return {f"{view}_{name}": np.array(s) for name, s in times.items()} | {f"{view}_fine": fine}


def time_mesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Shortest time to load a mesh and to render it, seconds; the mesh stays loaded."""
    load = min(timed(lambda: load_mesh(vertices, faces)) for _ in range(3))
    gvxr.computeLBuffer(MESH)
    return load, min(timed(lambda: gvxr.computeLBuffer(MESH)) for _ in range(REPEATS))


def draw_finely(rows: int, columns: int, spacing: float, finer: int, view: str) -> np.ndarray:
    """(rows finer, columns finer) path lengths in mm.

    The software renderer is limited to 2048 pixels, so images that are shifted by one fine pixel are interleaved.
    """
    passes, step = finer * max(rows, columns) // LARGEST, spacing / finer
    size_detector(rows * finer // passes, columns * finer // passes, step * passes)
    fine = np.zeros((rows * finer, columns * finer), dtype=np.float32)
    for low in range(passes):
        for right in range(passes):
            aim(view, (right - (passes - 1) / 2) * step, ((passes - 1) / 2 - low) * step)
            fine[low::passes, right::passes] = upright(gvxr.computeLBuffer(MESH), view)
    return fine


def aim(view: str, across_mm: float = 0.0, up_mm: float = 0.0) -> None:
    """Place the source on one side of the patient and the detector on the other, along the depth of the view."""
    across, depth = (0, 1) if view == "frontal" else (1, 0)
    source, detector = [0.0, 0.0, up_mm], [0.0, 0.0, up_mm]
    source[across] = detector[across] = across_mm
    source[depth], detector[depth] = -2000.0, 2000.0
    gvxr.setSourcePosition(*source, "mm")
    gvxr.setDetectorPosition(*detector, "mm")
    gvxr.setDetectorUpVector(0.0, 0.0, 1.0)


def size_detector(rows: int, columns: int, spacing_mm: float) -> None:
    """Set the number and the size of the detector's pixels."""
    gvxr.setDetectorNumberOfPixels(columns, rows)
    gvxr.setDetectorPixelSize(spacing_mm, spacing_mm, "mm")


def load_mesh(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Replace the scene by one mesh."""
    gvxr.removePolygonMeshesFromXRayRenderer()
    gvxr.removePolygonMeshesFromSceneGraph()
    gvxr.makeTriangularMesh(MESH, vertices.ravel().tolist(), faces.ravel().tolist(), "mm")
    gvxr.setCompound(MESH, "H2O")
    gvxr.setDensity(MESH, 1.0, "g/cm3")
    gvxr.addPolygonMeshAsInnerSurface(MESH)


def upright(buffer: object, view: str) -> np.ndarray:
    """(H, W) mm from an image of gVirtualXRay: in cm, from the lowest row, lateral images from the patient's back."""
    image = np.asarray(buffer, dtype=np.float32)[::-1] * 10.0
    return image[:, ::-1] if view == "lateral" else image


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:3])
