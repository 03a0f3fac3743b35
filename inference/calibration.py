"""The calibration of a model, which converts the spread of a heat map to standard deviations and 90 % intervals.

Training pulls every heat map towards a Gaussian of one width, so the map of a clear landmark has about this width. A
wider map means a larger error. For a landmark whose map has the standard deviation s (in cells), the variance of each
coordinate is

    sigma^2 = error^2 + gain^2 max(s^2 - floor^2, 0)

For the margins of end plates, this law is fitted to the error of the direction from one margin to the other, because
angles depend on this direction and the errors of both margins are correlated. ``spine.measurement`` computes the
variances of angles from the variances of landmarks. The width of an interval, in sigmas, is chosen so that 90 % of the
calibration patients' intervals contain the true value (split conformal prediction, Vovk 2005; Lei et al. 2018).

On images unlike those of the calibration, errors are larger than this law predicts. Such an image has a larger *shift*:
the mean logarithm of the widths of its maps. Therefore the widths of intervals are chosen for several ranges of the
shift (Mondrian conformal prediction, Vovk 2005), from changed images of the calibration patients. Each range is a
``ShiftGroup``. An image whose shift exceeds every group gets no intervals.

Contract: a model without a calibration gives no intervals. A calibration without limits of the shift (``clear``)
judges no image as unlike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

import numpy as np

from inference.input_check import InputLimits
from spine.landmarks import HIPS, S1_MARGINS, S1_PLATE, VIEWS, ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import IntervalBasis

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


def shift_of(spread_cells: Mapping[str, float]) -> float:
    """The shift of an image: mean logarithm of the standard deviations (cells) of its heat maps; 0 without a map."""
    widths = list(spread_cells.values())
    return float(np.log(np.maximum(widths, 1e-3)).mean()) if widths else 0.0


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


WIDTH_OF: Mapping[str, str] = {"lumbar_lordosis_l4_s1": "lumbar_lordosis_l1_s1"}
"""Parameter -> another parameter of the same construction, whose width stands in where a calibration lacks its own."""


@dataclass(frozen=True)
class ShiftGroup:
    """The calibration of images whose shift lies in one range.

    Attributes:
        name: what the images are, as text.
        patients: number of patients with an image in this group.
        upper: view -> largest shift of an image of this group; every shift belongs to the group without a limit.
        widths: parameter -> half width of its interval in sigmas; a parameter without calibration has no key.
        radius: factor on the radii of the 90 % regions of landmarks.
    """

    name: str
    patients: int
    upper: Mapping[ViewName, float] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    radius: float = 1.0


@dataclass(frozen=True)
class Calibration:
    """The calibration of one model.

    Attributes:
        patients: number of calibration patients.
        source: description of the calibration patients.
        laws: view -> group of landmarks -> law.
        widths: parameter -> half width of its interval in sigmas, for images like those of the calibration; a parameter
            without calibration has no key.
        clear: view -> largest shift of an image like those of the calibration; without a limit, every image is.
        shifted: groups of images with a larger shift, in the order of their limits.
        limits: limits of the input check (``input_check``); if None, every image is accepted.
        level_margin: vertebral levels with at most this margin are uncertain (``levels``); if None, all are certain.
        neighbour_width: factor on ``spine.measurement.fusion.NEIGHBOUR_DEPARTURE``.
    """

    patients: int
    source: str
    laws: Mapping[str, Mapping[str, SpreadLaw]] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    limits: InputLimits | None = None
    level_margin: float | None = None
    neighbour_width: float = NEIGHBOUR_WIDTH
    clear: Mapping[ViewName, float] = field(default_factory=dict)
    shifted: tuple[ShiftGroup, ...] = ()

    @property
    def groups(self) -> tuple[ShiftGroup, ...]:
        """All groups in the order of their limits; the first has the images like those of the calibration."""
        return ShiftGroup("images like these", self.patients, self.clear, self.widths), *self.shifted

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

    def radius_cells(
        self, view: ViewName, spread_cells: Mapping[str, float], sigma_cells: Mapping[str, float]
    ) -> dict[str, float]:
        """Landmark -> radius of its 90 % region, cells; empty for an image whose shift exceeds every group."""
        laws, group = self.laws.get(view, {}), self.group(view, shift_of(spread_cells))
        if group is None:
            return {}
        return {name: sigma * laws[group_of(name)].radius * group.radius for name, sigma in sigma_cells.items()}

    def group(self, view: ViewName, shift: float) -> ShiftGroup | None:
        """The group of an image with this shift; None if the shift exceeds every group."""
        return next((group for group in self.groups if shift <= group.upper.get(view, np.inf)), None)

    def basis(self, view: ViewName, spread_cells: Mapping[str, float]) -> IntervalBasis:
        """The calibration on which the intervals of an image rest, from the standard deviations of its heat maps."""
        shift = shift_of(spread_cells)
        group = self.group(view, shift)
        if group is None:
            limit = self.groups[-1].upper[view]
            why = f"its heat maps are wider than those of the calibration (shift {shift:.2f}, at most {limit:.2f})"
            return IntervalBasis(self.source, self.patients, shift, True, why)
        rests_on = f"{self.source}, {group.name}" if self.clear else self.source
        return IntervalBasis(rests_on, group.patients, shift, group != self.groups[0])

    def with_intervals(
        self, parameters: Mapping[str, Measured], shifts: Mapping[ViewName, float]
    ) -> dict[str, Measured]:
        """The parameters with the intervals for the shifts of the images (view -> shift)."""
        groups = {PLANE_OF_VIEW[view]: self.group(view, shift) for view, shift in shifts.items()}
        return {n: _with_interval(n, m, groups.get(PARAMETERS[n].plane)) for n, m in parameters.items()}


def _with_interval(name: str, measured: Measured, group: ShiftGroup | None) -> Measured:
    if measured.value is None or measured.sigma is None or group is None:
        return measured
    width = group.widths.get(name, group.widths.get(WIDTH_OF.get(name, name)))
    if width is None:
        return measured
    half = width * measured.sigma
    low, high = measured.value - half, measured.value + half
    return replace(measured, interval=(max(low, 0.0) if PARAMETERS[name].of_curve else low, high))


def calibration_from_json(record: Mapping[str, Any] | None) -> Calibration | None:
    """The calibration from its ``dataclasses.asdict`` form.

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
    shifted = tuple(ShiftGroup(**group) for group in record["shifted"])
    return Calibration(**{**record, "laws": laws, "limits": limits, "shifted": shifted})


def calibration_violations(calibration: Calibration | None) -> list[str]:
    """Descriptions of everything that is wrong with a calibration."""
    if calibration is None:
        return []
    laws = [law for groups in calibration.laws.values() for law in groups.values()]
    numbers = [n for law in laws for n in (law.floor, law.error, law.gain, law.radius)]
    numbers += [calibration.neighbour_width]
    numbers += [n for group in calibration.groups for n in (*group.widths.values(), group.radius)]
    unknown = [v for v in calibration.laws if v not in VIEWS]
    unknown += [v for group in calibration.groups for v in group.upper if v not in VIEWS]
    unknown += [p for group in calibration.groups for p in group.widths if p not in PARAMETERS]
    limits = [[g.upper[view] for g in calibration.groups if view in g.upper] for view in VIEWS]
    checks = [
        (all(upper == sorted(upper) for upper in limits), "limits of the shift that are not in order"),
        (all(0 <= n < float("inf") for n in numbers), "a negative or infinite number in the calibration"),
        (not unknown, f"unknown views or parameters in the calibration: {unknown[:3]}"),
    ]
    return [text for holds, text in checks if not holds]
