"""The calibration of a model, which converts the spread of a heat map to standard deviations and 90 % intervals.

Training pulls every heat map towards a Gaussian of one width, so the map of a clear landmark has about this width. A
wider map means a larger error. For a landmark whose map has the standard deviation s (in cells), the variance of each
coordinate is

    sigma^2 = error^2 + gain^2 max(s^2 - floor^2, 0)

For the margins of end plates, this law is fitted to the error of the direction from one margin to the other, because
angles depend on this direction and the errors of both margins are correlated. ``spine.measurement`` computes the
variances of angles from the variances of landmarks. The width of an interval, in sigmas, is chosen so that 90 % of the
calibration patients' intervals contain the true value (split conformal prediction, Vovk 2005; Lei et al. 2018). This
share applies to patients who resemble the calibration patients.

Contract: a model without a calibration gives no intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from inference.input_check import InputLimits
from spine.landmarks import HIPS, S1_MARGINS, S1_PLATE, VIEWS, ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.registry import PARAMETERS, Measured

LEVEL = 0.9
FEW_PATIENTS = 60
"""With fewer patients, the intervals of all parameters have the same width (``training.export.calibrate``)."""


@cache
def group_of(landmark: str) -> str:
    """The group of landmarks with the same law: ``margins``, ``sacrum`` (margins of S1), ``pelvis`` or ``centres``."""
    if landmark in S1_MARGINS:
        return "sacrum"
    if landmark in (*HIPS, S1_PLATE):
        return "pelvis"
    return "margins" if landmark.endswith(("_left", "_right", "_ant", "_post")) else "centres"


@dataclass(frozen=True)
class SpreadLaw:
    """The law that gives the error from the spread, for one group in one view, in heat-map cells.

    Attributes:
        floor: spread of the heat map of a clear landmark.
        error: standard deviation of a coordinate at the spread ``floor``.
        gain: how fast the standard deviation grows when the spread exceeds ``floor``.
        radius: radius of the 90 % region around a landmark, in sigmas.
    """

    floor: float
    error: float
    gain: float
    radius: float

    def sigma(self, spread: float) -> float:
        """Standard deviation of a coordinate (cells) of a landmark whose map is ``spread`` cells wide."""
        excess = max(spread**2 - self.floor**2, 0.0)
        return float((self.error**2 + self.gain**2 * excess) ** 0.5)


@dataclass(frozen=True)
class Calibration:
    """The calibration of one model.

    Attributes:
        patients: number of calibration patients.
        source: description of the calibration patients.
        laws: view -> group of landmarks -> law.
        limits: limits of the input check (``input_check``); if None, every image is accepted.
        level_margin: vertebral levels with at most this margin are uncertain (``levels``); if None, all are certain.
        neighbour_width: factor on ``spine.measurement.fusion.NEIGHBOUR_DEPARTURE``.
        widths: parameter -> half width of its interval in sigmas; a parameter without calibration has no key.
    """

    patients: int
    source: str
    laws: Mapping[str, Mapping[str, SpreadLaw]] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    limits: InputLimits | None = None
    level_margin: float | None = None
    neighbour_width: float = NEIGHBOUR_WIDTH

    @property
    def rough(self) -> bool:
        """Whether there were too few calibration patients for reliable intervals."""
        return self.patients < FEW_PATIENTS

    @property
    def remark(self) -> str | None:
        """The note about rough intervals, or None."""
        return f"interval from {self.patients} patients: rough" if self.rough else None

    def sigma_cells(self, view: ViewName, spread_cells: Mapping[str, float]) -> dict[str, float]:
        """Landmark -> standard deviation of each coordinate, cells; landmarks without a law have no key."""
        laws = self.laws.get(view, {})
        return {n: laws[group_of(n)].sigma(s) for n, s in spread_cells.items() if group_of(n) in laws}

    def radius_cells(self, view: ViewName, sigma_cells: Mapping[str, float]) -> dict[str, float]:
        """Landmark -> radius of its 90 % region, cells, from ``sigma_cells``."""
        laws = self.laws.get(view, {})
        return {name: sigma * laws[group_of(name)].radius for name, sigma in sigma_cells.items()}

    def with_intervals(self, parameters: Mapping[str, Measured]) -> dict[str, Measured]:
        """The parameters with their intervals."""
        return {name: self._with_interval(name, measured) for name, measured in parameters.items()}

    def _with_interval(self, name: str, measured: Measured) -> Measured:
        if measured.value is None or measured.sigma is None or name not in self.widths:
            return measured
        half = self.widths[name] * measured.sigma
        low, high = measured.value - half, measured.value + half
        return replace(measured, interval=(max(low, 0.0) if PARAMETERS[name].of_curve else low, high))


def calibration_from_json(record: Mapping[str, Any] | None) -> Calibration | None:
    """The calibration from its ``dataclasses.asdict`` form, which has no ``neighbour_width`` in the bundled model.

    Raises:
        KeyError, TypeError: the record is not a calibration.
    """
    if record is None:
        return None
    laws = {
        view: {group: SpreadLaw(**law) for group, law in groups.items()}
        for view, groups in cast(Mapping[str, Mapping[str, Any]], record["laws"]).items()
    }
    limits = InputLimits(**record["limits"]) if record.get("limits") else None
    return Calibration(**{**record, "laws": laws, "limits": limits})


def calibration_violations(calibration: Calibration | None) -> list[str]:
    """Descriptions of everything that is wrong with a calibration."""
    if calibration is None:
        return []
    laws = [law for groups in calibration.laws.values() for law in groups.values()]
    numbers = [n for law in laws for n in (law.floor, law.error, law.gain, law.radius)]
    numbers += [*calibration.widths.values(), calibration.neighbour_width]
    unknown = [v for v in calibration.laws if v not in VIEWS] + [p for p in calibration.widths if p not in PARAMETERS]
    checks = [
        (all(0 <= n < float("inf") for n in numbers), "a negative or infinite number in the calibration"),
        (not unknown, f"unknown views or parameters in the calibration: {unknown[:3]}"),
    ]
    return [text for holds, text in checks if not holds]
