"""Computes measured line integrals from path lengths: attenuation at two energies, scatter, noise.

Contract: the functions compute N patients at once. ``path_lengths`` returns values without noise. ``detect`` returns
measured line integrals -log(I / I0). They are finite everywhere, and noisy where few photons arrive. Source of the
fluence: docs/sources.md, materials, exposure and display.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.body.batch import PatientBatch
from simulation.body.mass_points import MassPoints
from simulation.body.materials import BINS, EFFECTIVE_KEV, MATERIALS, VESSEL_SHARE, attenuation_per_mm
from simulation.body.metal import PLATE_REACH_MM
from simulation.body.soft_tissue import (
    AIR_LOFTS,
    BOWEL,
    BOWEL_REACH_MM,
    BREASTS,
    DOMES,
    HEART,
    LIMBS,
    LIVER,
    LUNG_LOFTS,
    SKIN_LOFTS,
    STOMACH,
    STOMACH_REACH_MM,
)
from simulation.body.solids import ellipsoids_of, lofts_of
from simulation.imaging.blur import blur, wide_blur
from simulation.imaging.chords import Lines, add_small, ellipsoid_chords, loft_chords, ray_lines
from simulation.imaging.fused_kernels import fused
from simulation.imaging.random_fields import CELLS, Seeds, smooth_noise, standard_normal
from simulation.imaging.rays import Rays
from simulation.imaging.splat import splat
from spine.landmarks import ViewName
from spine.types import Float

PHOTONS_PER_MM2 = 1.9e6
"""Number of photons detected without a patient for each mm^2 at the isocentre (2.5e6 for a pixel of 1.15 mm)."""

_TEXTURE, _NOISE = 21, 22
_LUNG_CELLS_MM, _BODY_CELLS_MM = (4.5, 9.0, 18.0, 57.0), (14.0, 34.0, 86.0)
_BUBBLE_CELLS_MM, _BOWEL_CELLS_MM = (6.0, 11.0), (60.0,)
LIVER_EXCESS = 0.12
"""Additional attenuation of the liver. The rest of the abdomen is less dense, because it has bowel, fat and air."""
_SCATTER_MM, _ABSORBED_MM, _MAX_SCATTER = 55.0, 26.0, 5.0
_SHARPEST_MM = 2.2


def _beam(view: ViewName) -> tuple[tuple[float, ...], ...]:
    """For each energy of the beam: weight, then coefficients of soft tissue, fat, lung, mineral, titanium in 1/mm."""
    found = []
    for share, weight in BINS:
        soft, fat, lung, cortical, titanium = (attenuation_per_mm(m, EFFECTIVE_KEV[view] * share) for m in MATERIALS)
        found.append((weight, soft, fat, lung, cortical - soft, titanium))
    return tuple(found)


_FRONTAL, _LATERAL = _beam("frontal"), _beam("lateral")


@dataclass(frozen=True)
class Exposure:
    """Exposure of one view.

    Attributes:
        fluence: number of photons relative to ``PHOTONS_PER_MM2``.
        scatter_share: ratio of scattered to primary photons without a patient; low for a slot scanner.
        electronic_noise: SD of the electronic noise in photons.
        row_noise: relative SD of the gain from row to row.
        blur_mm: SD of the blur of detector and focal spot.
        energy: energy of the beam relative to the slot scanner.
        mottle: amount of stool and fine gas in the bowel, 0 to 1.
        texture: unevenness of soft tissue and lung, relative to the mean.
    """

    fluence: float = 1.0
    scatter_share: float = 0.06
    electronic_noise: float = 6.0
    row_noise: float = 0.002
    blur_mm: float = 0.5
    energy: float = 1.0
    mottle: float = 0.0
    texture: float = 1.0


@dataclass(frozen=True)
class ExposureBatch:
    """The fields of ``Exposure`` for N images."""

    fluence: Float[Tensor, " N"]
    scatter_share: Float[Tensor, " N"]
    electronic_noise: Float[Tensor, " N"]
    row_noise: Float[Tensor, " N"]
    blur_mm: Float[Tensor, " N"]
    energy: Float[Tensor, " N"]
    mottle: Float[Tensor, " N"]
    texture: Float[Tensor, " N"]


def exposure_table(exposures: Sequence[Exposure]) -> Float[NDArray[np.float32], "N 8"]:
    """The fields of each exposure, in the order of ``Exposure``."""
    return np.array([astuple(exposure) for exposure in exposures], dtype=np.float32)


def exposure_batch(
    exposures: Sequence[Exposure] | Float[NDArray[np.float32], "N 8"] | Float[Tensor, "N 8"],
    device: torch.device | str = "cpu",
) -> ExposureBatch:
    """A batch on ``device``, made from exposures or from their table."""
    table = exposures if isinstance(exposures, np.ndarray | Tensor) else exposure_table(exposures)
    return ExposureBatch(*torch.as_tensor(table, device=device).unbind(1))


@dataclass(frozen=True)
class PathLengths:
    """Path lengths in mm along every ray.

    Attributes:
        skin: path length inside the skin, through all materials.
        soft, fat, lung: path lengths through these tissues.
        mineral: path length through cortical bone that replaces soft tissue.
        titanium: path length through titanium that is equivalent to all metal.
    """

    skin: Float[Tensor, "N H W"]
    soft: Float[Tensor, "N H W"]
    fat: Float[Tensor, "N H W"]
    lung: Float[Tensor, "N H W"]
    mineral: Float[Tensor, "N H W"]
    titanium: Float[Tensor, "N H W"]


def path_lengths(
    batch: PatientBatch, bones: MassPoints, vessels: MassPoints, metal: MassPoints | None, rays: Rays
) -> PathLengths:
    """Path lengths of every material in one view."""
    lines = ray_lines(rays)
    skin, muscle, lungs, air, liver = _soft_paths(
        batch.lofts, batch.ellipsoids, batch.fat, lines.direction, lines.source, lines.z_mm, rays.view == "frontal"
    )
    gas = ellipsoids_of(batch.gas)
    weight = torch.ones_like(gas.floor_mm)
    air = add_small(air, gas[STOMACH], rays, STOMACH_REACH_MM, weight[:, STOMACH])
    air = add_small(air, gas[BOWEL], rays, BOWEL_REACH_MM, weight[:, BOWEL])
    plates = ellipsoids_of(batch.plates[..., :13])
    titanium = add_small(torch.zeros_like(skin), plates, rays, PLATE_REACH_MM, batch.plates[..., 13])
    if metal is not None:
        titanium = titanium + splat(metal, rays)
    soft, lungs, mineral = _disjoint_tissues(muscle, lungs, air, liver, splat(bones, rays), splat(vessels, rays))
    return PathLengths(skin, soft, skin - muscle, lungs, mineral, titanium)


@fused
def _disjoint_tissues(
    muscle: Tensor, lungs: Tensor, air: Tensor, liver: Tensor, bone: Tensor, vessels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Path lengths of soft tissue, lung and mineral, (N, H, W) each. Gas replaces soft tissue only."""
    lungs = torch.minimum(lungs, muscle)
    air = torch.minimum(air, (muscle - lungs).clamp(min=0))
    soft = muscle - lungs - air
    return soft + LIVER_EXCESS * torch.minimum(liver, soft), lungs, bone + VESSEL_SHARE * torch.minimum(vessels, lungs)


@fused
def _soft_paths(
    loft_arrays: Tensor,
    ellipsoid_arrays: Tensor,
    fat: Tensor,
    direction: Tensor,
    source: Tensor,
    z: Tensor,
    is_frontal: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Path lengths inside the skin, inside the muscle, in lungs, in airways and in the liver, (N, H, W) each."""
    lines, solids = Lines(direction, source, z), ellipsoids_of(ellipsoid_arrays)
    outer = lofts_of(loft_arrays[:, SKIN_LOFTS])
    skin, muscle = _joined(loft_chords(outer, lines)), _joined(loft_chords(outer.grown(-fat), lines))
    limbs = ellipsoid_chords(solids[LIMBS], lines).sum(1)
    breasts = ellipsoid_chords(solids[BREASTS], lines).sum(1)
    # A lateral ray meets either a breast or the trunk. A frontal ray meets the trunk and the outer half of a breast.
    beyond = 0.8 * breasts if is_frontal else (0.5 * breasts - skin).clamp(min=0)
    each = loft_chords(lofts_of(loft_arrays[:, LUNG_LOFTS]), lines) - ellipsoid_chords(solids[DOMES], lines)
    heart = ellipsoid_chords(solids[HEART], lines).amax(1)
    lungs = (each.clamp(min=0).sum(1) - heart).clamp(min=0)
    air = loft_chords(lofts_of(loft_arrays[:, AIR_LOFTS]), lines).sum(1)
    liver = ellipsoid_chords(solids[LIVER], lines).sum(1)
    return skin + limbs + beyond, muscle + 0.75 * limbs + 0.35 * beyond, lungs, air, liver


def _joined(chords: Tensor) -> Tensor:
    """(N, H, W) union of (N, 4, H, W) chords of trunk, neck and both legs. Where chords overlap, the longest counts."""
    return torch.maximum(torch.maximum(chords[:, 0], chords[:, 1]), chords[:, 2] + chords[:, 3])


def line_integrals(
    paths: PathLengths, batch: PatientBatch, rays: Rays, exposure: ExposureBatch, seeds: Seeds
) -> Float[Tensor, "N H W"]:
    """Line integrals without noise: -log of the transmitted share of the beam, summed over its energies."""
    scales = (_LUNG_CELLS_MM, _BODY_CELLS_MM, _BUBBLE_CELLS_MM, _BOWEL_CELLS_MM)
    shapes = [(len(cells), CELLS, CELLS) for cells in scales]
    fields = standard_normal(seeds, _TEXTURE + _of_view(rays), shapes, rays.device)
    noise = [smooth_noise(field, rays, cells) for field, cells in zip(fields, scales, strict=True)]
    top, low = batch.body_centre[:, 15, 2, None], batch.hips[:, :, 2].mean(1)[:, None]
    z = rays.row_z_mm
    belly = ((top - z) / 30).clamp(0, 1) * ((z - low) / 30).clamp(0, 1)
    tissues = (paths.soft, paths.fat, paths.lung, paths.mineral, paths.titanium)
    settings = (exposure.texture, exposure.mottle, exposure.energy)
    return _transmitted(*tissues, *noise, belly, *settings, rays.view == "frontal")


def _of_view(rays: Rays) -> int:
    """The number that a view adds to the purposes of its random streams."""
    return 0 if rays.view == "frontal" else 40


@fused
def _transmitted(
    soft: Tensor,
    fat: Tensor,
    lung: Tensor,
    mineral: Tensor,
    titanium: Tensor,
    lung_noise: Tensor,
    body_noise: Tensor,
    bubbles: Tensor,
    bowel: Tensor,
    belly: Tensor,
    texture: Tensor,
    mottle: Tensor,
    energy: Tensor,
    is_frontal: bool,
) -> Tensor:
    """(N, H, W) line integrals from path lengths, noise fields, and (N,) or (N, H) settings."""
    texture, mottle, energy = texture[:, None, None], mottle[:, None, None], energy[:, None, None]
    # Stool is rendered as fine gas in the content of the bowel, between diaphragm and hips.
    gas = 22.0 * mottle * (bubbles - 0.35).clamp(min=0) * (bowel - 0.2).clamp(0, 1) * belly[..., None]
    soft = soft - torch.minimum(gas, 0.3 * soft)
    lung = lung * (1 + 0.05 * texture * lung_noise)
    uneven = 1 + 0.022 * texture * body_noise
    transmitted = torch.zeros_like(soft)
    for weight, mu_soft, mu_fat, mu_lung, mu_mineral, mu_titanium in _FRONTAL if is_frontal else _LATERAL:
        body = (mu_soft * soft + mu_fat * fat + mu_lung * lung) * uneven
        total = body.clamp(min=0) + mu_mineral * mineral + mu_titanium * titanium
        # Between 50 and 80 keV, another energy multiplies all coefficients by nearly the same factor.
        transmitted = transmitted + weight * torch.exp(-total * energy)
    return -torch.log(transmitted.clamp(min=1e-30))


def detect(
    integral: Float[Tensor, "N H W"], rays: Rays, exposure: ExposureBatch, seeds: Seeds
) -> Float[Tensor, "N H W"]:
    """Measured line integrals with blur, scatter, photon noise, electronic noise and row noise."""
    photons = PHOTONS_PER_MM2 * exposure.fluence * rays.row_mm * rays.column_mm
    primary = torch.exp(-integral)
    primary = blur(primary, exposure.blur_mm / rays.column_mm, _SHARPEST_MM / rays.min_pixel_mm)
    scatter, nearby = (
        wide_blur(primary, reach / rays.column_mm, reach / rays.min_pixel_mm) for reach in (_SCATTER_MM, _ABSORBED_MM)
    )
    # Thick parts of the body absorb their own scatter. Scatter varies over the width of the body, not between bones.
    scatter = torch.minimum(scatter, _MAX_SCATTER * nearby)
    noise, rows = standard_normal(seeds, _NOISE + _of_view(rays), [rays.shape, (rays.shape[0], 1)], integral.device)
    args = (primary, scatter, noise, rows, photons, exposure.scatter_share, exposure.electronic_noise)
    return _measured(*args, exposure.row_noise)


@fused
def _measured(
    primary: Tensor,
    scatter: Tensor,
    noise: Tensor,
    rows: Tensor,
    photons: Tensor,
    scatter_share: Tensor,
    electronic_noise: Tensor,
    row_noise: Tensor,
) -> Tensor:
    """(N, H, W) line integrals from the counted photons."""
    photons = photons[:, None, None]
    expected = photons * (primary + scatter_share[:, None, None] * scatter)
    counted = expected + noise * torch.sqrt(expected + electronic_noise[:, None, None] ** 2)
    counted = counted * (1 + row_noise[:, None, None] * rows)
    return -torch.log(counted.clamp(min=1.0) / photons)
