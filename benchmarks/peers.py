"""The splat compared with other renderers: DiffDRR (voxels) and gVirtualXRay (meshes).

The scene consists of the solid vertebral bodies of one patient, in both views of 512 x 256 pixels.

The time of the splat includes new points for each patient. The time of DiffDRR excludes the preparation of voxels. That
of gVirtualXRay is given with and without the preparation of meshes. Path lengths are compared on pixels above 5 mm,
with very dense points and with the points of the renderer. The images of gVirtualXRay are rendered finer and filtered
with the splat's kernel, a tent two pixels wide.
"""

import os
import subprocess
import tempfile
import timeit
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import peer_scene, rendering_cost
from benchmarks.closed_forms import footprint
from benchmarks.figures import Figure
from benchmarks.peer_scene import Scene
from simulation.body.mass_points import MassPoints
from simulation.threads import one_thread
from spine.landmarks import VIEWS, ViewName
from spine.types import Floats

PEERS_PYTHON = Path(os.environ.get("PLUMBLINE_PEERS_PYTHON", ".venv-peers/bin/python"))
PRODUCT_MM, MIDDLE_MM, FINE_MM = 2.6, 1.0, 0.35
FINER = 16
REPEATS = 15
LOW_MM = 5.0
APT = (
    "libegl1 libgl1-mesa-dri libxcb-res0 libxcb-ewmh2 libxcb-icccm4 libxcb-composite0 libxcb-xinerama0 libxcb-keysyms1"
)
HOW_TO_INSTALL = (
    f"skipped: {PEERS_PYTHON} is missing. `make bench-peers` installs the other renderers and runs this group. "
    f"gVirtualXRay also needs: apt-get install {APT}\n"
)
Images = Mapping[ViewName, Floats]


def installed() -> bool:
    """Whether the Python environment with the other renderers exists."""
    return PEERS_PYTHON.exists()


def figures() -> list[Figure]:
    """Times, ratios of times and differences; none, with a hint, if the other renderers are not installed."""
    if not installed():
        print(HOW_TO_INSTALL, end="")
        return []
    scene = peer_scene.build_scene()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run").mkdir(mode=0o700)
        np.savez(Path(folder) / "scene.npz", **_exchange(scene))
        ours = _our_seconds(scene)
        diffdrr = _run("diffdrr", Path(folder))
        gvxr = _run("gvxr", Path(folder))
    fine = {v: _ours(scene, FINE_MM, v) for v in VIEWS}
    coarse = {v: _ours(scene, PRODUCT_MM, v) for v in VIEWS}
    middle = {v: _ours(scene, MIDDLE_MM, v) for v in VIEWS}
    return [
        *_our_figures(ours),
        *_diffdrr_figures(diffdrr, ours, fine),
        *_gvxr_figures(gvxr, scene, ours, {PRODUCT_MM: coarse, MIDDLE_MM: middle, FINE_MM: fine}),
    ]


def _exchange(scene: Scene) -> dict[str, Any]:
    """The input of the other renderers: meshes for each view, voxels, image sizes."""
    volume = peer_scene.voxelise(scene.mesh)
    found = {"faces": scene.mesh.faces, "volume": volume.share.astype(np.float32), "origin_mm": volume.origin_mm}
    found["skeleton_faces"] = scene.skeleton.faces
    for view, geometry in scene.geometry.items():
        found[f"{view}_vertices"] = peer_scene.fan_as_parallel(scene.mesh, geometry)
        found[f"{view}_skeleton_vertices"] = peer_scene.fan_as_parallel(scene.skeleton, geometry)
        found[f"{view}_distance_mm"] = np.array(geometry.source_to_isocentre_mm)
    spacing = scene.geometry["frontal"].spacing_mm[0]
    sizes = {"shape": peer_scene.SHAPE, "spacing_mm": spacing, "finer": FINER, "voxel_mm": peer_scene.VOXEL_MM}
    return found | {name: np.array(value) for name, value in sizes.items()}


def _run(peer: str, folder: Path) -> dict[str, Floats]:
    """The output of one renderer, run by its own interpreter.

    Raises:
        RuntimeError: the renderer failed; the message has its last output and what it needs.
    """
    script = Path(__file__).parent / f"peer_{peer}.py"
    threads = str(torch.get_num_threads())
    environment = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run"), "OMP_NUM_THREADS": threads}
    command = [str(PEERS_PYTHON), str(script), str(folder / "scene.npz"), str(folder / f"{peer}.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        needs = f"; it needs: apt-get install {APT}" if peer == "gvxr" else ""
        raise RuntimeError(f"{peer} failed: {(done.stderr or done.stdout)[-1500:]}{needs}")
    with np.load(folder / f"{peer}.npz") as found:
        images = {name: found[name] for name in found.files}
    return images | {"about": np.array(_about(peer))}


def _about(distribution: str) -> str:
    """Name, version and licence of a renderer."""
    code = (
        "import sys; from importlib.metadata import metadata; m = metadata(sys.argv[1]);"
        "print(m['Name'], m['Version'] + ',', m.get('License-Expression') or m.get('License'))"
    )
    return subprocess.check_output([str(PEERS_PYTHON), "-c", code, distribution], text=True).strip()


def _ours(scene: Scene, spacing_mm: float, view: ViewName) -> Floats:
    """(H, W) image of the splat, computed body by body, so that dense points need less memory."""
    pairs = zip(scene.walls, scene.axes, strict=True)
    bodies = (rendering_cost.solid_points(wall[None], axis[None], spacing_mm) for wall, axis in pairs)
    geometry = scene.geometry[view]
    return sum((rendering_cost.image_of(points, geometry) for points in bodies), np.zeros(geometry.shape))


def _our_seconds(scene: Scene) -> dict[float, float]:
    """Spacing in mm -> seconds of the splat for new points of the vertebral bodies and both views."""
    return {
        mm: _splat_seconds(scene, partial(rendering_cost.solid_points, scene.walls, scene.axes, mm))
        for mm in (PRODUCT_MM, MIDDLE_MM)
    }


def _splat_seconds(scene: Scene, sample: Callable[[], MassPoints]) -> float:
    """Shortest time of ``REPEATS`` for new points and both views, on which other load has the least effect."""

    def draw() -> None:
        points = sample()
        for geometry in scene.geometry.values():
            rendering_cost.image_of(points, geometry)

    with one_thread():  # as for a cohort
        draw()
        return min(timeit.repeat(draw, number=1, repeat=REPEATS))


def _our_figures(seconds: Mapping[float, float]) -> list[Figure]:
    how = f"one thread, new points and both views, shortest of {REPEATS}"
    return [Figure(f"splat, points every {mm:g} mm", 1000 * s, "ms", "", how) for mm, s in seconds.items()]


def _diffdrr_figures(found: Mapping[str, Floats], ours_s: Mapping[float, float], ours: Images) -> list[Figure]:
    rows = []
    for name in ("siddon", "trilinear"):
        seconds = sum(float(found[f"{view}_{name}_s"]) for view in VIEWS)
        how = f"{found['about']}, voxels of {peer_scene.VOXEL_MM:g} mm ready, {found['threads']} threads, both views"
        rows.append(Figure(f"DiffDRR, {name}", 1000 * seconds, "ms", "", how))
        for mm, our_seconds in ours_s.items():
            rows.append(
                Figure(f"DiffDRR, {name}: ratio to the splat, {mm:g} mm", seconds / our_seconds, "times", "> 30")
            )
        theirs = {view: found[f"{view}_{name}"].astype(np.float64) for view in VIEWS}
        rows += _agreement(f"DiffDRR, {name}", ours, theirs, "the scanner's rays through pixel centres", "")
    return rows


def _gvxr_figures(
    found: Mapping[str, Floats], scene: Scene, ours_s: Mapping[float, float], ours: Mapping[float, Images]
) -> list[Figure]:
    load, draw = (sum(float(found[f"{v}_{n}_s"]) for v in VIEWS) for n in ("load", "draw"))
    how = f"{found['about']}, {len(scene.mesh.faces)} triangles, software OpenGL, both views, shortest of 7"
    rows = [
        Figure("gVirtualXRay, mesh already loaded", 1000 * draw, "ms", "", how),
        Figure("gVirtualXRay, new mesh", 1000 * (load + draw), "ms", "", "as for a new patient"),
    ]
    for mm, seconds in ours_s.items():
        how = f"with a new mesh {(load + draw) / seconds:.3g}"
        target = "> 1" if mm == PRODUCT_MM else ""
        rows.append(Figure(f"gVirtualXRay: ratio to the splat, {mm:g} mm", draw / seconds, "times", target, how))
    rows += _skeleton_figures(scene, sum(float(found[f"{v}_skeleton_s"]) for v in VIEWS))
    theirs: dict[ViewName, Floats] = {}
    for view, geometry in scene.geometry.items():
        theirs[view] = footprint(found[f"{view}_fine"] * peer_scene.slant(geometry, FINER), FINER)
    for mm, images in ours.items():
        name, how = (
            f"gVirtualXRay, points of the splat every {mm:g} mm",
            f"rendered {FINER} times finer, filtered with the splat's kernel",
        )
        rows += _agreement(name, images, theirs, how, "< 0.5" if mm == FINE_MM else "")
    return rows


def _skeleton_figures(scene: Scene, their_seconds: float) -> list[Figure]:
    count = rendering_cost.skeleton_points(peer_scene.SEED).volume_mm3.numel()
    seconds = _splat_seconds(scene, lambda: rendering_cost.skeleton_points(peer_scene.SEED))
    how = f"{len(scene.skeleton.faces)} triangles of all surfaces, new mesh and both views"
    return [
        Figure("splat, whole skeleton", 1000 * seconds, "ms", "", f"{count} new points, both views, one thread"),
        Figure("gVirtualXRay, whole skeleton", 1000 * their_seconds, "ms", "", how),
        Figure("gVirtualXRay: ratio to the splat, whole skeleton", their_seconds / seconds, "times", "> 1"),
    ]


def _agreement(name: str, ours: Images, theirs: Images, how: str, target: str) -> list[Figure]:
    """Relative differences of the path lengths above 5 mm, and of the volumes, in the worse view."""
    grain, signed, volume = [], [], []
    for view in VIEWS:
        there = theirs[view] > LOW_MM
        relative = ours[view][there] / theirs[view][there] - 1
        grain.append(float(np.abs(relative).mean()))
        signed.append(float(relative.mean()))
        volume.append(float(ours[view].sum() / theirs[view].sum() - 1))
    aside = f"signed mean {100 * max(signed, key=abs):+.3f} %, worse view, pixels above {LOW_MM:g} mm; {how}"
    return [
        Figure(f"{name}: path lengths, mean absolute difference", 100 * max(grain), "%", target, aside),
        Figure(f"{name}: volume, difference", 100 * max(volume, key=abs), "%", target, "sum of the image, worse view"),
    ]
