"""The DiffDRR part of ``peers``. The interpreter of the peers runs ``python peer_diffdrr.py scene.npz found.npz``."""

import sys
import time
from typing import Any

import numpy as np
import torch
from diffdrr.renderers import Siddon, Trilinear

RAYS_AT_ONCE = 16384  # all 131,072 at once need more than ten GiB
RAY_LENGTH = 1.25  # in distances from source to isocentre


def main(scene_path: str, found_path: str) -> None:
    """Render every view once with both renderers; a few rays before do not count."""
    found: dict[str, Any] = {"threads": np.array(torch.get_num_threads())}
    with np.load(scene_path) as scene, torch.no_grad():
        volume = torch.as_tensor(scene["volume"], dtype=torch.float32)
        for view in ("frontal", "lateral"):
            source, target = (torch.as_tensor(ray, dtype=torch.float32) for ray in rays(scene, view))
            for name, renderer in (("siddon", Siddon()), ("trilinear", Trilinear())):
                draw(renderer, volume, source[:64], target[:64], scene)
                started = time.perf_counter()
                image = draw(renderer, volume, source, target, scene)
                found[f"{view}_{name}_s"] = np.array(time.perf_counter() - started)
                found[f"{view}_{name}"] = image.reshape(*scene["shape"]).numpy()
    np.savez(found_path, **found)


def rays(scene: "np.lib.npyio.NpzFile", view: str) -> tuple[np.ndarray, np.ndarray]:
    """Source and target of the ray of every pixel, (R, 3) each, mm. The slot scanner's rays are horizontal."""
    rows, columns = (int(n) for n in scene["shape"])
    spacing, f = float(scene["spacing_mm"]), float(scene[f"{view}_distance_mm"])
    u = (np.arange(columns) - columns / 2 + 0.5) * spacing
    z = -(np.arange(rows) - rows / 2 + 0.5) * spacing
    across, depth = (0, 1) if view == "frontal" else (1, 0)
    source, target = np.zeros((rows, columns, 3)), np.zeros((rows, columns, 3))
    source[..., 2] = target[..., 2] = z[:, None]
    source[..., depth], target[..., depth] = -f, (RAY_LENGTH - 1) * f
    target[..., across] = RAY_LENGTH * u
    return source.reshape(-1, 3), target.reshape(-1, 3)


def draw(
    renderer: torch.nn.Module,
    volume: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    scene: "np.lib.npyio.NpzFile",
) -> torch.Tensor:
    """(R,) path lengths in mm, computed as in ``DRR.render``: rays in voxel coordinates, lengths in mm."""
    origin = torch.as_tensor(scene["origin_mm"], dtype=torch.float32)
    voxel_mm = float(scene["voxel_mm"])
    parts = []
    for start, end in zip(source.split(RAYS_AT_ONCE), target.split(RAYS_AT_ONCE), strict=True):
        length = (end - start).norm(dim=-1)[None, None]
        parts.append(renderer(volume, ((start - origin) / voxel_mm)[None], ((end - origin) / voxel_mm)[None], length))
    return torch.cat(parts, dim=-1).reshape(-1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
