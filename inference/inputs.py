"""The radiographs that a measurement is asked about."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.scanner import ViewGeometry
from spine.study import CalibrationType


@dataclass(frozen=True)
class ImageInput:
    """One radiograph to be measured.

    Attributes:
        image: (h, w) uint16, bone bright, canonical orientation.
        spacing_mm: (row, column), or None where unknown.
        calibration: source of the spacing.
        geometry: place in the scanner, or None; both views need one for 3D.
        file, sop_instance_uid: what it was read from, for the report; None where it was not read from a file.
    """

    image: NDArray[np.uint16]
    spacing_mm: tuple[float, float] | None = None
    calibration: CalibrationType = "NONE"
    geometry: ViewGeometry | None = None
    file: str | None = None
    sop_instance_uid: str | None = None
