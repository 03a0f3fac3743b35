"""What a model said of one study: the record that inference writes and evaluation reads.

Contract: pixels are those of the study's own image; an absent landmark or parameter has no value but a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spine.landmarks import ViewName
from spine.measurement.registry import Measured
from spine.scanner import Floats
from spine.study import Points2D

DISAGREEING = 3
"""Landmarks at different heights from which on two images are not of one moment; 292 virtual pairs had none."""


@dataclass(frozen=True)
class Prediction:
    """Landmarks and parameters a model found in one study.

    Attributes:
        study_id: which study.
        points: view -> landmark -> (2,) pixels; only landmarks the model claims to see; a refused view has none.
        spread_px: view -> landmark -> standard deviation of the heat map, pixels.
        points_3d: landmark -> (3,) LPS mm, where both views are calibrated.
        parameters: parameter -> measured value, or absence with its reason.
        seconds: wall time spent on the study.
        cell_px: view -> size of a heat-map cell, pixels.
        radius_px: view -> landmark -> radius that holds the true place nine times in ten, pixels; empty without a
            calibration.
        level_margin: how much better the whole chain's names explain the maps than names one level off do; None where
            too little is seen to tell.
        levels_uncertain: whether that is so little that all levels may be one off.
        height_mismatches: landmarks that both views of a study in 3D see, but not at one height.
        refused: view -> why its image was not taken for a radiograph of a whole spine.
        in_blank_regions: view -> landmarks that count as not seen because nothing is drawn where they would be.
        notes: what to tell, in words, of images that are measured all the same.
    """

    study_id: str
    points: Mapping[ViewName, Points2D]
    spread_px: Mapping[ViewName, Mapping[str, float]] = field(default_factory=dict)
    points_3d: Mapping[str, Floats] = field(default_factory=dict)
    parameters: Mapping[str, Measured] = field(default_factory=dict)
    seconds: float = 0.0
    cell_px: Mapping[ViewName, float] = field(default_factory=dict)
    radius_px: Mapping[ViewName, Mapping[str, float]] = field(default_factory=dict)
    level_margin: float | None = None
    levels_uncertain: bool = False
    height_mismatches: tuple[str, ...] = ()
    refused: Mapping[ViewName, str] = field(default_factory=dict)
    in_blank_regions: Mapping[ViewName, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def views_disagree(self) -> bool:
        """Whether so many landmarks lie at different heights that the two images can hardly be one examination."""
        return len(self.height_mismatches) >= DISAGREEING
