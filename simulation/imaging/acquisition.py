"""Which images to take: where, how they are exposed and shown, what is laid over them; and N of them as tables.

Contract: a shot depends on its geometry and seed alone; both views of a scan share the look. ``ShotTable`` holds plain
arrays, so that a worker process hands a batch over in a few pieces instead of a thousand small objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.imaging.annotation import Edges, Overlay, OverlayTable, overlay_table, sample_overlay
from simulation.imaging.appearance import Look, LookFamily, sample_exposure, sample_family, sample_look
from simulation.imaging.display import look_table
from simulation.imaging.exposure import Exposure, exposure_table
from simulation.imaging.rays import Cone, common_kind, geometry_table
from simulation.randomness import numbers
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry
from spine.types import Floats

_FAMILY_STREAM, _LOOK_STREAM, _VIEW_STREAM, _OVERLAY_STREAM = 11, 12, 14, 16


@dataclass(frozen=True)
class Shot:
    """One image to take: where, how, how it is shown, and what is laid over it."""

    geometry: ViewGeometry
    seed: int
    exposure: Exposure
    look: Look
    overlay: Overlay
    cone: Cone | None = None

    def project(self, xyz_mm: Floats) -> Floats:
        """(..., 3) points in mm -> (..., 2) pixels (column, row) on this image."""
        if self.cone is not None:
            xyz_mm = self.cone.warped(xyz_mm, self.geometry.source_to_isocentre_mm)
        return self.geometry.project(xyz_mm)


@dataclass(frozen=True)
class ShotTable:
    """N images of one view and shape, on the host.

    Attributes:
        view, shape: of all.
        finest_mm: no pixel is smaller.
        seeds: of each.
        geometry, exposure, look: (N, ...) as ``geometry_table``, ``exposure_table`` and ``look_table`` give them.
        overlays: of all.
    """

    view: ViewName
    shape: tuple[int, int]
    finest_mm: float
    seeds: tuple[int, ...]
    geometry: NDArray[np.float32]
    exposure: NDArray[np.float32]
    look: NDArray[np.float32]
    overlays: OverlayTable


def family_of(seed: int) -> LookFamily:
    """The look that a patient's pair gets among the whole family."""
    return sample_family(numbers(seed, _FAMILY_STREAM))


def plan_shot(
    geometry: ViewGeometry,
    seed: int,
    family: LookFamily | None = None,
    sheet: Edges | None = None,
    cone: Cone | None = None,
) -> Shot:
    """Choose exposure, look and overlay of an image."""
    chosen = family or family_of(seed)
    view = VIEWS.index(geometry.view)
    return Shot(
        geometry,
        seed,
        sample_exposure(numbers(seed, _VIEW_STREAM + view), chosen),
        sample_look(numbers(seed, _LOOK_STREAM), chosen),
        sample_overlay(numbers(seed, _OVERLAY_STREAM + view), geometry.view, geometry.shape, sheet),
        cone,
    )


def tabulate(shots: Sequence[Shot], finest_mm: float | None = None) -> ShotTable:
    """Collect N images.

    Args:
        shots: of one view and shape.
        finest_mm: as in ``rays_of``: the same for every batch of a stream.

    Raises:
        ValueError: they differ in view or shape, or a pixel is smaller than the bound.
    """
    geometries = [shot.geometry for shot in shots]
    view, shape = common_kind(geometries)
    smallest = min(min(g.spacing_mm) for g in geometries)
    if finest_mm is not None and finest_mm > smallest * (1 + 1e-9):
        raise ValueError(f"a pixel of {smallest:.4f} mm is smaller than the bound of {finest_mm:.4f} mm")
    return ShotTable(
        view,
        shape,
        smallest if finest_mm is None else finest_mm,
        tuple(shot.seed for shot in shots),
        geometry_table(geometries, [shot.cone for shot in shots]),
        exposure_table([shot.exposure for shot in shots]),
        look_table([shot.look for shot in shots]),
        overlay_table([shot.overlay for shot in shots], shape),
    )
