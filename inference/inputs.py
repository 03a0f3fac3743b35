"""One radiograph to be measured, with its calibration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.scanner import ViewGeometry
from spine.study import LENGTHS_ALLOWED, CalibrationType


@dataclass(frozen=True)
class ImageInput:
    """One radiograph to be measured.

    Attributes:
        image: (h, w) uint16, bone bright, canonical orientation.
        spacing_mm: (row, column) in mm, or None if unknown.
        calibration: source of the spacing.
        geometry: position in the scanner, or None; 3D measurements need it for both views.
        file, sop_instance_uid: origin of the image, for the report; None if the image is not from a file.
        body_part: the part that the tag BodyPartExamined names, if it is not the spine
            (``spine.radiograph.technique.BODY_PARTS``); else None.
        notes: what a person must know about the reading of the image, for the notes of the measurement.
    """

    image: NDArray[np.uint16]
    spacing_mm: tuple[float, float] | None = None
    calibration: CalibrationType = "NONE"
    geometry: ViewGeometry | None = None
    file: str | None = None
    sop_instance_uid: str | None = None
    body_part: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def lengths_allowed(self) -> bool:
        """Whether the spacing is calibrated to the patient."""
        return self.calibration in LENGTHS_ALLOWED
