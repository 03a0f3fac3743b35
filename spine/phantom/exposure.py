"""From path lengths to photons: attenuation, scatter, noise.

What belongs here: physics of one exposure. What does not: geometry (``splat``, ``chords``) and how the scanner
shows the result (``display``). Contract: ``line_integral`` is noise-free and exact for the shapes; ``detect``
returns the measured line integral -log(I / I0), finite everywhere, where shadow starves it is noisy.
Fluence: docs/sources.md, materials, exposure and display.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spine.phantom.chords import Rays, add_chord, chord
from spine.phantom.materials import EFFECTIVE_KEV, attenuation_per_mm
from spine.phantom.points import BonePoints
from spine.phantom.soft_tissue import SoftTissue, Solid
from spine.phantom.splat import splat
from spine.phantom.texture import smooth_noise
from spine.scanner import ViewGeometry

PHOTONS_PER_MM2 = 1.9e6
"""Detected without a patient, per square millimetre at the isocentre (2.5e6 per 1.15 mm pixel)."""


@dataclass(frozen=True)
class Exposure:
    """How one view is taken.

    Attributes:
        fluence: relative to ``PHOTONS_PER_MM2``.
        scatter_share: scattered over primary photons in the open (slot scanning keeps it low).
        electronic_noise: photons.
        row_noise: relative gain noise from row to row.
    """

    fluence: float = 1.0
    scatter_share: float = 0.06
    electronic_noise: float = 6.0
    row_noise: float = 0.002


def line_integral(
    bones: BonePoints, soft: SoftTissue, geometry: ViewGeometry, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(H, W) attenuation line integral and (H, W) path length inside the skin (mm)."""
    keV = EFFECTIVE_KEV[geometry.view]  # noqa: N806 - the unit's own spelling
    mu = {m: attenuation_per_mm(m, keV) for m in ("soft", "fat", "lung", "cortical", "trabecular")}
    device = bones.cortical.xyz_mm.device.type
    rays = Rays(geometry, device)
    skin, muscle = _skin(soft, rays)
    body = mu["fat"] * skin + (mu["soft"] - mu["fat"]) * muscle
    lungs = _lungs(soft, rays) * (1 + 0.05 * smooth_noise(rng, geometry.shape, (3, 6, 12, 40), device))
    body = body - (mu["soft"] - mu["lung"]) * lungs
    for air in soft.air:
        add_chord(body, air, rays, -mu["soft"])
    body = torch.clamp(body, min=0) * (1 + 0.025 * smooth_noise(rng, geometry.shape, (10, 24, 60), device))
    bone = (mu["cortical"] - mu["soft"]) * splat(bones.cortical, geometry)
    bone = bone + (mu["trabecular"] - mu["soft"]) * splat(bones.trabecular, geometry)
    return body + bone, skin


def _skin(soft: SoftTissue, rays: Rays) -> tuple[torch.Tensor, torch.Tensor]:
    """Path lengths inside the skin and inside the muscle; overlapping solids are joined by the longer chord."""
    skin = torch.stack([_together(group, rays) for group in soft.skin]).amax(0)
    lean = [tuple(s.grown(-soft.fat_mm) for s in group) for group in soft.skin]
    muscle = torch.stack([_together(group, rays) for group in lean]).amax(0)
    for solid in (*soft.limbs, *soft.lean):
        more = chord(solid, rays)
        skin, muscle = skin + more, muscle + 0.75 * more
    return skin, muscle


def _together(group: Sequence[Solid], rays: Rays) -> torch.Tensor:
    """(H, W) sum of the chords of solids that do not overlap."""
    picture = torch.zeros(rays.shape, dtype=torch.float32, device=rays.device)
    for solid in group:
        add_chord(picture, solid, rays)
    return picture


def _lungs(soft: SoftTissue, rays: Rays) -> torch.Tensor:
    """Path length of inflated lung: each lung less its diaphragm, both less heart and vessels."""
    parts = [torch.clamp(chord(g.outline, rays) - chord(g.dome, rays), min=0) for g in soft.lungs]
    heart = torch.stack([chord(h, rays) for h in soft.heart]).amax(0)
    return torch.clamp(torch.stack(parts).sum(0) - heart, min=0)


def detect(
    integral: torch.Tensor, geometry: ViewGeometry, exposure: Exposure, rng: np.random.Generator
) -> torch.Tensor:
    """(H, W) measured line integral with scatter, photon, electronic and row noise."""
    row_mm, column_mm = geometry.spacing_mm
    photons = PHOTONS_PER_MM2 * exposure.fluence * row_mm * column_mm
    primary = photons * torch.exp(-integral)
    # Scatter reaches only rows inside the slot, so it spreads along a row; its source is the shadowed beam.
    spread = max(3, round(60.0 / column_mm) | 1)
    scatter = torch.nn.functional.avg_pool2d(
        primary[None, None], (3, spread), 1, (1, spread // 2), count_include_pad=False
    )[0, 0]
    expected = primary + exposure.scatter_share * torch.minimum(scatter, 30 * primary)
    shape = tuple(integral.shape)
    noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(integral.device)
    rows = torch.from_numpy(rng.standard_normal((shape[0], 1), dtype=np.float32)).to(integral.device)
    counted = expected + noise * torch.sqrt(expected + exposure.electronic_noise**2)
    counted = counted * (1 + exposure.row_noise * rows)
    return -torch.log(torch.clamp(counted, min=1.0) / photons)
