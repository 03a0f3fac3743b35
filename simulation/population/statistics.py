"""How well a drawn population matches the published one: means, SDs, correlations, lengths, Cobb angles.

Contract: everything is measured on posed landmarks with ``spine.measurement``, never read back from the parameters; a
row within tolerance has its mean within 1 degree (lengths: 5 %), its SD within 15 %, its correlation or share within
0.10. A difference beyond that which chance alone explains (3 standard errors of the realised figure) is told apart
from one that it does not: a small draw is not blamed for being small. A row of fewer than ten patients decides
nothing, and is listed all the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from simulation.parameters import PatientParameters
from simulation.population.published import ALIGNMENT, COBB_BANDS, CORRELATIONS, LENGTHS, Figure, Mark
from simulation.population.sampling import sample_patient
from simulation.pose.landmarks3d import landmarks_of
from simulation.pose.spine_pose import pose_spine
from simulation.vocabulary import Condition, Sex
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.types import Floats

MEAN_DEG, MEAN_SHARE, SD_SHARE, SINGLE = 1.0, 0.05, 0.15, 0.10
CHANCE = 3.0
FEWEST = 10
"""Patients that a row needs before it says anything."""
Verdict = Literal["within", "chance", "off", "too few"]
Kind = Literal["angle", "length", "correlation", "share"]
_POSE_STREAM = 1
_COLUMN_PLATES: Mapping[str, tuple[str, str]] = {
    "T1-S1 length": ("T1_sup", "S1_sup"),
    "T1-T12 length": ("T1_sup", "T12_inf"),
    "L1-L5 length": ("L1_sup", "L5_inf"),
}


@dataclass(frozen=True)
class Person:
    """One drawn patient, measured.

    Attributes:
        parameters: as drawn.
        measured: parameter of ``spine.measurement`` -> value; absent ones have no key.
        lengths: as named in ``published.LENGTHS``, mm; empty for those who are not healthy adults.
    """

    parameters: PatientParameters
    measured: Mapping[str, float]
    lengths: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One published figure beside the realised one; an SD that was not published is None.

    Attributes:
        group, quantity: who, what.
        count: patients behind the realised figure.
        kind: ``angle`` and ``length`` compare mean and SD; ``correlation`` and ``share`` a single figure, in ``mean``.
        published_mean, published_sd, source, mark: of the literature, or of our choice.
        mean, sd: realised; NaN and None where there are too few to tell.
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
    def verdict(self) -> Verdict:
        """``within`` tolerance, outside it by ``chance`` as far as this count can tell, ``off``, or ``too few``."""
        if self.count < FEWEST:
            return "too few"
        if self._excess(0.0) <= 0:
            return "within"
        return "chance" if self._excess(CHANCE) <= 0 else "off"

    def _excess(self, standard_errors: float) -> float:
        """How far the worse of mean and SD lies beyond tolerance widened by that many standard errors."""
        allowed = {"angle": MEAN_DEG, "length": MEAN_SHARE * self.published_mean}.get(self.kind, SINGLE)
        excess = abs(self.mean - self.published_mean) - max(allowed, standard_errors * self._standard_error())
        if self.published_sd is None or self.sd is None:
            return excess
        spread = max(SD_SHARE, standard_errors / math.sqrt(2 * max(self.count - 1, 1)))
        return max(excess, abs(self.sd / self.published_sd - 1) - spread)

    def _standard_error(self) -> float:
        root = math.sqrt(max(self.count, 1))
        if self.kind == "share":
            return math.sqrt(self.published_mean * (1 - self.published_mean)) / root
        return (1 - self.published_mean**2) / root if self.kind == "correlation" else (self.sd or 0.0) / root


def survey(count: int, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> list[Person]:
    """Draw, pose and measure ``count`` patients of consecutive seeds."""
    people = []
    for i in range(count):
        people.append(measured_person(sample_patient(seed + i), seed + i))
        if progress is not None:
            progress(i + 1, count)
    return people


def measured_person(parameters: PatientParameters, seed: int) -> Person:
    """One patient posed and measured."""
    points = landmarks_of(pose_spine(parameters, np.random.default_rng([seed, _POSE_STREAM])))
    values = {name: m.value for name, m in measure(planes_from_points_3d(points)).items() if m.value is not None}
    usual = parameters.condition == "healthy_adult" and parameters.anatomy == "standard"
    return Person(parameters, values, _lengths(points) if usual else {})


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
    """Length of the line through the plate centres from one plate to another, mm."""
    names = [n for n in points if n.endswith(("_sup", "_inf"))]  # cranial to caudal
    chain = names[names.index(first) : names.index(last) + 1]
    return sum(float(np.linalg.norm(points[a] - points[b])) for a, b in pairwise(chain))


def population_rows(people: Sequence[Person]) -> list[Row]:
    """Every comparison that the drawn people allow."""
    return [*alignment_rows(people), *cobb_rows(people), *correlation_rows(people), *length_rows(people)]


def _values(people: Sequence[Person], quantity: str) -> Floats:
    return np.array([p.measured[quantity] for p in people if quantity in p.measured])


def _compared(group: str, quantity: str, kind: Literal["angle", "length"], found: Floats, figure: Figure) -> Row:
    mean = float(found.mean()) if len(found) else math.nan
    sd = float(found.std(ddof=1)) if len(found) > 1 else None
    return Row(group, quantity, kind, len(found), figure.mean, figure.sd, figure.source, figure.mark, mean, sd)


def alignment_rows(people: Sequence[Person]) -> list[Row]:
    """Sagittal angles by condition."""
    rows: list[Row] = []
    for group, figures in ALIGNMENT.items():
        those = _of(people, group)
        for quantity, figure in figures.items():
            rows.append(_compared(group, quantity, "angle", _values(those, quantity), figure))
    return rows


def _of(people: Sequence[Person], condition: Condition) -> list[Person]:
    return [p for p in people if p.parameters.condition == condition]


def cobb_rows(people: Sequence[Person]) -> list[Row]:
    """Major Cobb angles of adolescent scoliosis by band: share of patients, mean and SD within."""
    group: Condition = "adolescent_scoliosis"
    cobb = _values(_of(people, group), "cobb")
    rows: list[Row] = []
    for (low, high), (share, figure) in COBB_BANDS.items():
        inside = cobb[(cobb >= low) & (cobb < high)] if high < 90 else cobb[cobb >= low]
        name = f"cobb {low:g}-{high:g}"
        found = len(inside) / len(cobb) if len(cobb) else math.nan
        rows.append(Row(group, f"{name}, share", "share", len(cobb), share, None, "choice", "choice", found, None))
        rows.append(_compared(group, name, "angle", inside, figure))
    return rows


def correlation_rows(people: Sequence[Person]) -> list[Row]:
    """Relations of the sagittal angles of healthy adults."""
    those = _of(people, "healthy_adult")
    rows = []
    for (one, other), (published, source) in CORRELATIONS.items():
        pairs = np.array([(p.measured[one], p.measured[other]) for p in those if {one, other} <= p.measured.keys()])
        found = float(np.corrcoef(pairs.T)[0, 1]) if len(pairs) > 2 else math.nan
        name = f"r({one}, {other})"
        rows.append(
            Row("healthy_adult", name, "correlation", len(pairs), published, None, source, "published", found, None)
        )
    return rows


def length_rows(people: Sequence[Person]) -> list[Row]:
    """Lengths of healthy adults, by sex where the figure is."""
    rows: list[Row] = []
    for (quantity, sex), figure in LENGTHS.items():
        those = [p for p in people if p.lengths and (sex is None or p.parameters.sex == sex)]
        found = np.array([_length(p, quantity) for p in those])
        name = quantity if sex is None else f"{quantity}, {_WORD[sex]}"
        rows.append(_compared("healthy_adult", name, "length", found, figure))
    return rows


_WORD: Mapping[Sex, str] = {"F": "women", "M": "men"}


def _length(person: Person, quantity: str) -> float:
    if quantity == "femoral head diameter":  # a ball has no second landmark: the one figure that is not a distance
        return 2 * person.parameters.femoral_head_radius_mm
    return person.lengths[quantity]
