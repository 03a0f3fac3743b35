"""The settings of one image (geometry, exposure, appearance, overlay), and the settings of N images as tables.

Contract: an acquisition depends on its geometry and seed only. Both views of a scan have the same appearance.
``AcquisitionTable`` consists of plain arrays, so that a worker process sends a batch as a few large objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.imaging.annotation import Edges, Overlay, OverlayTable, overlay_table, sample_overlay
from simulation.imaging.appearance import (
    Appearance,
    AppearanceFamily,
    sample_appearance,
    sample_exposure,
    sample_family,
)
from simulation.imaging.display import appearance_table
from simulation.imaging.exposure import Exposure, exposure_table
from simulation.imaging.rays import PointSource, common_view_and_shape, geometry_table, smallest_pixel_mm
from simulation.randomness import host_generator
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry
from spine.types import Float, Floats

_FAMILY_STREAM, _APPEARANCE_STREAM, _VIEW_STREAM, _OVERLAY_STREAM = 11, 12, 14, 16


@dataclass(frozen=True)
class Acquisition:
    """The settings of one image. ``point_source`` is None for an image of the slot scanner."""

    geometry: ViewGeometry
    seed: int
    exposure: Exposure
    appearance: Appearance
    overlay: Overlay
    point_source: PointSource | None = None

    def project(self, xyz_mm: Float[Floats, "*any 3"]) -> Float[Floats, "*any 2"]:
        """The positions (column, row) in pixels at which this image shows the given points."""
        if self.point_source is not None:
            xyz_mm = self.point_source.warped(xyz_mm, self.geometry.source_to_isocentre_mm)
        return self.geometry.project(xyz_mm)


@dataclass(frozen=True)
class AcquisitionTable:
    """The settings of N images of one view and shape, as numpy arrays.

    Attributes:
        view, shape: view and shape (H, W) of all images.
        min_pixel_mm: lower bound of the pixel size.
        seeds: seed of each image.
        geometry, exposure, appearance: results of ``geometry_table``, ``exposure_table`` and ``appearance_table``.
        overlays: overlays of all images.
    """

    view: ViewName
    shape: tuple[int, int]
    min_pixel_mm: float
    seeds: tuple[int, ...]
    geometry: Float[NDArray[np.float32], "N 7"]
    exposure: Float[NDArray[np.float32], "N 8"]
    appearance: Float[NDArray[np.float32], "N 19"]
    overlays: OverlayTable


def family_of(seed: int) -> AppearanceFamily:
    """The appearance family that both images of the patient with this seed have."""
    return sample_family(host_generator(seed, _FAMILY_STREAM))


def plan_acquisition(
    geometry: ViewGeometry,
    seed: int,
    family: AppearanceFamily | None = None,
    bounds: Edges | None = None,
    point_source: PointSource | None = None,
) -> Acquisition:
    """Sample exposure, appearance and overlay of an image."""
    chosen = family or family_of(seed)
    view = VIEWS.index(geometry.view)
    return Acquisition(
        geometry,
        seed,
        sample_exposure(host_generator(seed, _VIEW_STREAM + view), chosen),
        sample_appearance(host_generator(seed, _APPEARANCE_STREAM), chosen),
        sample_overlay(host_generator(seed, _OVERLAY_STREAM + view), geometry.view, geometry.shape, bounds),
        point_source,
    )


def tabulate(acquisitions: Sequence[Acquisition], min_pixel_mm: float | None = None) -> AcquisitionTable:
    """Collect the settings of N images.

    Args:
        acquisitions: settings of images of one view and shape.
        min_pixel_mm: lower bound of the pixel size, by default the smallest pixel of these images. An image depends on
            this bound, so all batches of a stream need the same bound.

    Raises:
        ValueError: the images differ in view or shape, or a pixel is smaller than the bound.
    """
    geometries = [acquisition.geometry for acquisition in acquisitions]
    view, shape = common_view_and_shape(geometries)
    smallest = smallest_pixel_mm(geometries)
    if min_pixel_mm is not None and min_pixel_mm > smallest * (1 + 1e-9):
        raise ValueError(
            f"found a pixel of {smallest:.4f} mm; expected {min_pixel_mm:.4f} mm or more: lower ``min_pixel_mm``"
        )
    return AcquisitionTable(
        view,
        shape,
        smallest if min_pixel_mm is None else min_pixel_mm,
        tuple(acquisition.seed for acquisition in acquisitions),
        geometry_table(geometries, [acquisition.point_source for acquisition in acquisitions]),
        exposure_table([acquisition.exposure for acquisition in acquisitions]),
        appearance_table([acquisition.appearance for acquisition in acquisitions]),
        overlay_table([acquisition.overlay for acquisition in acquisitions], shape),
    )
