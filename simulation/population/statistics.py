"""Compares a sampled population with published figures: means, SDs, correlations, lengths, Cobb angles.

Contract: the angles and lengths are measured on posed landmarks with ``spine.measurement``. They are not copied from
the parameters. The agreement of a row is:

    within    the mean differs by at most 1 degree (a length: 5 %) and the SD by at most 15 %; a correlation or share
              differs by at most 0.10
    chance    the difference is larger, but at most 3 standard errors of the sampled value; a small population must
              not fail by chance
    too few   the row has fewer than ten patients
    off       the difference is still larger
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from simulation.parameters import PatientParameters
from simulation.population.published import ALIGNMENT, COBB_BANDS, CORRELATIONS, LENGTHS, Mark, PublishedValue
from simulation.population.sampling import sample_patient
from simulation.pose.landmarks3d import landmarks_of
from simulation.pose.spine_pose import pose_spine
from simulation.vocabulary import Condition, Sex
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.types import Floats

MEAN_TOLERANCE_DEG, LENGTH_TOLERANCE, SD_TOLERANCE, SHARE_TOLERANCE = 1.0, 0.05, 0.15, 0.10
CHANCE_STANDARD_ERRORS = 3.0
MIN_PATIENTS = 10
"""Smallest number of patients with which a row is compared."""
Agreement = Literal["within", "chance", "off", "too few"]
Kind = Literal["angle", "length", "correlation", "share"]
_POSE_STREAM = 1
_COLUMN_PLATES: Mapping[str, tuple[str, str]] = {
    "T1-S1 length": ("T1_sup", "S1_sup"),
    "T1-T12 length": ("T1_sup", "T12_inf"),
    "L1-L5 length": ("L1_sup", "L5_inf"),
}


@dataclass(frozen=True)
class MeasuredPatient:
    """One sampled patient, measured.

    Attributes:
        parameters: sampled parameters of the patient.
        measured: parameter of ``spine.measurement`` -> value; an absent parameter has no key.
        lengths: name in ``published.LENGTHS`` -> mm; only healthy adults have lengths.
    """

    parameters: PatientParameters
    measured: Mapping[str, float]
    lengths: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One published value and the sampled value. An SD that was not published is None.

    Attributes:
        group, quantity: condition of the patients, and name of the compared quantity.
        count: number of patients from whom the sampled value is computed.
        kind: an ``angle`` or ``length`` has a mean and an SD. A ``correlation`` or ``share`` is one value, in ``mean``.
        published_mean, published_sd, source, mark: published figures, or our choice, with their source and its mark.
        mean, sd: figures of the sampled patients; NaN and None if there are too few patients.
    """

    group: str
    quantity: str
    kind: Kind
    count: int
    published_mean: float
    published_sd: float | None
    source: str
    mark: Mark
    mean: float
    sd: float | None

    @property
    def agreement(self) -> Agreement:
        """How well the sampled value agrees with the published value; the docstring of the module defines the words."""
        if self.count < MIN_PATIENTS:
            return "too few"
        if self._excess(0.0) <= 0:
            return "within"
        return "chance" if self._excess(CHANCE_STANDARD_ERRORS) <= 0 else "off"

    def _excess(self, standard_errors: float) -> float:
        """By how much the mean or the SD exceeds its limit; the larger excess counts.

        The limit is the tolerance, or that number of standard errors if this is larger.
        """
        by_kind = {"angle": MEAN_TOLERANCE_DEG, "length": LENGTH_TOLERANCE * self.published_mean}
        allowed = by_kind.get(self.kind, SHARE_TOLERANCE)
        excess = abs(self.mean - self.published_mean) - max(allowed, standard_errors * self._standard_error())
        if self.published_sd is None or self.sd is None:
            return excess
        spread = max(SD_TOLERANCE, standard_errors / math.sqrt(2 * max(self.count - 1, 1)))
        return max(excess, abs(self.sd / self.published_sd - 1) - spread)

    def _standard_error(self) -> float:
        root = math.sqrt(max(self.count, 1))
        if self.kind == "share":
            return math.sqrt(self.published_mean * (1 - self.published_mean)) / root
        return (1 - self.published_mean**2) / root if self.kind == "correlation" else (self.sd or 0.0) / root


def survey(count: int, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> list[MeasuredPatient]:
    """Sample, pose and measure ``count`` patients with the seeds ``seed``, ``seed + 1`` and so on."""
    people = []
    for i in range(count):
        people.append(measure_patient(sample_patient(seed + i), seed + i))
        if progress is not None:
            progress(i + 1, count)
    return people


def measure_patient(parameters: PatientParameters, seed: int) -> MeasuredPatient:
    """Pose and measure one patient."""
    points = landmarks_of(pose_spine(parameters, np.random.default_rng([seed, _POSE_STREAM])))
    values = {name: m.value for name, m in measure(planes_from_points_3d(points)).items() if m.value is not None}
    usual = parameters.condition == "healthy_adult" and parameters.anatomy == "standard"
    return MeasuredPatient(parameters, values, _lengths(points) if usual else {})


def _lengths(points: Mapping[str, Floats]) -> dict[str, float]:
    def apart(one: str, other: str) -> float:
        return float(np.linalg.norm(points[one] - points[other]))

    found = {name: _along(points, *ends) for name, ends in _COLUMN_PLATES.items()}
    for level in ("L1", "L3", "L5"):
        found[f"{level} posterior height"] = apart(f"{level}_sup_post", f"{level}_inf_post")
        found[f"{level} anterior height"] = apart(f"{level}_sup_ant", f"{level}_inf_ant")
        found[f"{level} upper plate width"] = apart(f"{level}_sup_left", f"{level}_sup_right")
    return found | {"hip spacing": apart("HIP_L", "HIP_R")}


def _along(points: Mapping[str, Floats], first: str, last: str) -> float:
    """Length in mm of the line that connects the plate centres from plate ``first`` to plate ``last``."""
    names = [n for n in points if n.endswith(("_sup", "_inf"))]  # cranial to caudal
    plates = names[names.index(first) : names.index(last) + 1]
    return sum(float(np.linalg.norm(points[a] - points[b])) for a, b in pairwise(plates))


def population_rows(people: Sequence[MeasuredPatient]) -> list[Row]:
    """One row for each published value."""
    return [*alignment_rows(people), *cobb_rows(people), *correlation_rows(people), *length_rows(people)]


def _values(people: Sequence[MeasuredPatient], quantity: str) -> Floats:
    return np.array([p.measured[quantity] for p in people if quantity in p.measured])


def _compare(group: str, quantity: str, kind: Literal["angle", "length"], found: Floats, value: PublishedValue) -> Row:
    mean = float(found.mean()) if len(found) else math.nan
    sd = float(found.std(ddof=1)) if len(found) > 1 else None
    return Row(group, quantity, kind, len(found), value.mean, value.sd, value.source, value.mark, mean, sd)


def alignment_rows(people: Sequence[MeasuredPatient]) -> list[Row]:
    """Rows of the sagittal angles of each condition."""
    return [
        _compare(group, quantity, "angle", _values(_with_condition(people, group), quantity), value)
        for group, values in ALIGNMENT.items()
        for quantity, value in values.items()
    ]


def _with_condition(people: Sequence[MeasuredPatient], condition: Condition) -> list[MeasuredPatient]:
    return [p for p in people if p.parameters.condition == condition]


def cobb_rows(people: Sequence[MeasuredPatient]) -> list[Row]:
    """Two rows for each band of Cobb angles of adolescent scoliosis: the share of patients, and the mean and SD."""
    group: Condition = "adolescent_scoliosis"
    cobb = _values(_with_condition(people, group), "cobb")
    rows: list[Row] = []
    for (low, high), (share, value) in COBB_BANDS.items():
        inside = cobb[(cobb >= low) & (cobb < high)] if high < 90 else cobb[cobb >= low]
        name = f"cobb {low:g}-{high:g}"
        found = len(inside) / len(cobb) if len(cobb) else math.nan
        rows.append(Row(group, f"{name}, share", "share", len(cobb), share, None, "choice", "choice", found, None))
        rows.append(_compare(group, name, "angle", inside, value))
    return rows


def correlation_rows(people: Sequence[MeasuredPatient]) -> list[Row]:
    """Rows of the correlations of the sagittal angles of healthy adults."""
    those = _with_condition(people, "healthy_adult")
    rows = []
    for (one, other), (published, source) in CORRELATIONS.items():
        pairs = np.array([(p.measured[one], p.measured[other]) for p in those if {one, other} <= p.measured.keys()])
        found = float(np.corrcoef(pairs.T)[0, 1]) if len(pairs) > 2 else math.nan
        name = f"r({one}, {other})"
        rows.append(
            Row("healthy_adult", name, "correlation", len(pairs), published, None, source, "published", found, None)
        )
    return rows


def length_rows(people: Sequence[MeasuredPatient]) -> list[Row]:
    """Rows of the lengths of healthy adults. A row is about one sex if the published value is about one sex."""
    rows: list[Row] = []
    for (quantity, sex), value in LENGTHS.items():
        those = [p for p in people if p.lengths and (sex is None or p.parameters.sex == sex)]
        found = np.array([_length(p, quantity) for p in those])
        name = quantity if sex is None else f"{quantity}, {_SEX_NAMES[sex]}"
        rows.append(_compare("healthy_adult", name, "length", found, value))
    return rows


_SEX_NAMES: Mapping[Sex, str] = {"F": "women", "M": "men"}


def _length(person: MeasuredPatient, quantity: str) -> float:
    if quantity == "femoral head diameter":  # the only length that is not the distance between landmarks
        return 2 * person.parameters.femoral_head_radius_mm
    return person.lengths[quantity]
