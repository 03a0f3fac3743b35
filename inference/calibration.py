"""What a model's uncertainty is worth: from the spread of a heat map to intervals that hold nine times in ten.

A heat map is pulled towards a Gaussian of a given width, so an undoubted landmark has that width too; what a map is
wider than that tells how far it may be off. Of a landmark whose map has the standard deviation s (in cells),

    sigma^2 = error^2 + gain^2 max(s^2 - floor^2, 0)

is the variance of each coordinate. For the margins of plates it is fitted to the direction between the two margins,
whose errors go together: what is measured of margins is their direction. Angles follow from these
(``spine.measurement``), and intervals are so many sigmas wide that on the patients of the calibration nine in ten hold
the truth (split conformal prediction, Vovk 2005; Lei et al. 2018). They promise as much on patients like those, and
nothing on others.

Contract: a model without a calibration has no intervals; no interval is guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from inference.input_check import Limits
from spine.landmarks import HIPS, S1_MARGINS, S1_PLATE, VIEWS, ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.registry import PARAMETERS, Measured

LEVEL = 0.9
FEW_PATIENTS = 60
"""With fewer patients, all parameters share one width (``training.export.calibrate``)."""
UNSIGNED = frozenset({"cobb", "cobb_midline", "cobb_secondary_cranial", "cobb_secondary_caudal"})
"""Parameters that are sizes: their interval ends at zero."""


@cache
def group_of(landmark: str) -> str:
    """Landmarks of one group share a law: ``margins``, ``sacrum`` (margins of S1), ``pelvis``, ``centres``."""
    if landmark in S1_MARGINS:
        return "sacrum"
    if landmark in (*HIPS, S1_PLATE):
        return "pelvis"
    return "margins" if landmark.endswith(("_left", "_right", "_ant", "_post")) else "centres"


@dataclass(frozen=True)
class SpreadLaw:
    """Law of one group in one view, in heat-map cells.

    Attributes:
        floor: width of an undoubted map.
        error: standard deviation of a coordinate there.
        gain: of the rest.
        radius: so many sigmas around a landmark hold its true place nine times in ten.
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
    """Laws and widths of one model.

    Attributes:
        patients: how many it was calibrated on; None where the contract does not say.
        source: which, in words.
        laws: view -> group -> law.
        limits: beyond which an image is refused (``refusal``); None: nothing is.
        level_margin: chains of names that are hardly better than one level off (``levels``), by no more than this, are
            uncertain; None: that is never said.
        neighbour_width: how far neighbouring plates may differ (``spine.measurement.fusion``).
        widths: parameter -> half width of its interval in sigmas; parameters that could not be calibrated have none.
    """

    patients: int | None
    source: str
    laws: Mapping[str, Mapping[str, SpreadLaw]] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    limits: Limits | None = None
    level_margin: float | None = None
    neighbour_width: float = NEIGHBOUR_WIDTH

    @property
    def rough(self) -> bool:
        """Whether its intervals rest on too few patients to be taken for what they promise."""
        return self.patients is None or self.patients < FEW_PATIENTS

    @property
    def remark(self) -> str | None:
        """What to say of its intervals where they are rough."""
        if not self.rough:
            return None
        return f"interval from {'an unknown number of' if self.patients is None else self.patients} patients: rough"

    def sigma_cells(self, view: ViewName, spread_cells: Mapping[str, float]) -> dict[str, float]:
        """Landmark -> standard deviation of each coordinate, cells; landmarks without a law have no key."""
        laws = self.laws.get(view, {})
        return {n: laws[group_of(n)].sigma(s) for n, s in spread_cells.items() if group_of(n) in laws}

    def radius_cells(self, view: ViewName, sigma_cells: Mapping[str, float]) -> dict[str, float]:
        """Landmark -> radius that holds its true place nine times in ten, cells, of ``sigma_cells``."""
        laws = self.laws.get(view, {})
        return {name: sigma * laws[group_of(name)].radius for name, sigma in sigma_cells.items()}

    def with_intervals(self, parameters: Mapping[str, Measured]) -> dict[str, Measured]:
        """The same values with their intervals."""
        return {name: self._with_interval(name, measured) for name, measured in parameters.items()}

    def _with_interval(self, name: str, measured: Measured) -> Measured:
        if measured.value is None or measured.sigma is None or name not in self.widths:
            return measured
        half = self.widths[name] * measured.sigma
        low, high = measured.value - half, measured.value + half
        return replace(measured, interval=(max(low, 0.0) if name in UNSIGNED else low, high))


def calibration_from_json(record: Mapping[str, Any] | None) -> Calibration | None:
    """The inverse of ``dataclasses.asdict``.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    if record is None:
        return None
    laws = {
        view: {group: SpreadLaw(**law) for group, law in groups.items()}
        for view, groups in cast(Mapping[str, Mapping[str, Any]], record["laws"]).items()
    }
    widths = {name: float(width) for name, width in record["widths"].items()}
    limits = Limits(**record["limits"]) if record.get("limits") else None
    margin = record.get("level_margin")
    patients = record.get("patients")
    return Calibration(
        None if patients is None else int(patients), str(record["source"]), laws, widths, limits,
        None if margin is None else float(margin), float(record.get("neighbour_width", NEIGHBOUR_WIDTH)),
    )  # fmt: skip


def calibration_violations(calibration: Calibration | None) -> list[str]:
    """What is wrong with it, in words."""
    if calibration is None:
        return []
    laws = [law for groups in calibration.laws.values() for law in groups.values()]
    numbers = [n for law in laws for n in (law.floor, law.error, law.gain, law.radius)]
    numbers += [*calibration.widths.values(), calibration.neighbour_width]
    strangers = [v for v in calibration.laws if v not in VIEWS] + [p for p in calibration.widths if p not in PARAMETERS]
    checks = [
        (all(0 <= n < float("inf") for n in numbers), "a calibration with a number that is negative or not finite"),
        (not strangers, f"a calibration of unknown views or parameters {strangers[:3]}"),
    ]
    return [text for holds, text in checks if not holds]
