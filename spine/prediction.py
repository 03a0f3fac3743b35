"""The prediction record of one study, which inference writes and evaluation reads.

Contract: pixels refer to the study's own image, not to the input of the network. An absent landmark has no key; an
absent parameter has a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spine.landmarks import ViewName
from spine.measurement.classes import Classified
from spine.measurement.registry import Measured
from spine.study import Points2D
from spine.types import Floats

HEIGHT_MISMATCH_LIMIT = 3
"""With at least this many height mismatches, the two images are assumed to be of two examinations. None of 292 virtual
pairs had a mismatch."""


@dataclass(frozen=True)
class IntervalBasis:
    """The calibration on which the intervals of the parameters of one view rest.

    Attributes:
        calibration: the patients and images of the calibration, as text.
        patients: number of these patients.
        shift: how much wider than at training the heat maps of the image are (``inference.calibration``).
        unlike: whether the image is unlike the images of the calibration.
        withheld: why there are no intervals; None if there are intervals.
    """

    calibration: str
    patients: int
    shift: float
    unlike: bool = False
    withheld: str | None = None


@dataclass(frozen=True)
class Prediction:
    """Landmarks and parameters that a model found in one study.

    Attributes:
        points: view -> landmark -> (2,) (column, row) in pixels, for landmarks that the model reports as visible. A
            refused view has no landmarks.
        spread_px: view -> landmark -> standard deviation of its heat map, pixels.
        points_3d: landmark -> (3,) LPS mm; empty if a view is missing or has no geometry.
        classes: class -> its value, or its absence with the reason (``spine.measurement.classes``).
        parameters: parameter -> measured value, or its absence with the reason.
        seconds: wall time spent on the study.
        cell_px: view -> size of a heat-map cell, pixels.
        radius_px: view -> landmark -> radius of the 90 % region around the point, pixels; empty without a calibration.
        level_margin: how much better the heat maps fit the reported levels than levels shifted by one; None if too few
            landmarks are visible.
        view_level_margins: view -> the same margin by the evidence of this view alone.
        levels_uncertain: whether ``level_margin`` is so small that all levels may be shifted by one.
        height_mismatches: landmarks that both calibrated views show, but at different heights.
        refused: view -> reason why its image was not accepted as a radiograph of the spine.
        dropped: view -> landmark that was found and dropped -> code of the reason (``registry.ABSENT_CODES``).
        notes: warnings about images that were measured.
        interval_basis: view -> the calibration on which its intervals rest; no key for a refused view, and empty
            without a calibration.
        lengths_withheld: view -> why no length is measured in it; no key for a view with lengths.
    """

    study_id: str
    points: Mapping[ViewName, Points2D]
    spread_px: Mapping[ViewName, Mapping[str, float]] = field(default_factory=dict)
    points_3d: Mapping[str, Floats] = field(default_factory=dict)
    parameters: Mapping[str, Measured] = field(default_factory=dict)
    classes: Mapping[str, Classified] = field(default_factory=dict)
    seconds: float = 0.0
    cell_px: Mapping[ViewName, float] = field(default_factory=dict)
    radius_px: Mapping[ViewName, Mapping[str, float]] = field(default_factory=dict)
    level_margin: float | None = None
    view_level_margins: Mapping[ViewName, float] = field(default_factory=dict)
    levels_uncertain: bool = False
    height_mismatches: tuple[str, ...] = ()
    refused: Mapping[ViewName, str] = field(default_factory=dict)
    dropped: Mapping[ViewName, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interval_basis: Mapping[ViewName, IntervalBasis] = field(default_factory=dict)
    lengths_withheld: Mapping[ViewName, str] = field(default_factory=dict)

    @property
    def views_disagree(self) -> bool:
        """Whether so many landmarks differ in height that the two images are probably of two examinations."""
        return len(self.height_mismatches) >= HEIGHT_MISMATCH_LIMIT
