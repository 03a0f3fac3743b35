"""Drift: whether new studies differ from the training population, feature by feature.

Each feature is compared by a test and by a distance, because a large sample makes any difference significant, and a
small one makes none.

    numbers      two-sample Kolmogorov-Smirnov test; the distance is its statistic
    categories   permutation test of the total variation distance, which is the largest difference in the share of any
                 set of categories (Levin, Peres 2017, Markov Chains and Mixing Times, section 4.1)

Both distances are from 0 (equal) to 1 (disjoint). The p-values of all features are adjusted together so that the
expected share of false alarms among the alarms is limited (Benjamini and Hochberg 1995). A feature has drifted if its
adjusted p-value is at most ``false_discovery_rate`` and its distance at least ``distance``.

Contract: fewer than ``minimum_studies`` new or old studies give the outcome ``too few studies``, never ``stable``.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from spine.storage import write_text_atomically
from validation.dataset.population import StudyFeatures

PERMUTATIONS = 19_999
Outcome = Literal["stable", "drifted", "too few studies"]


class DriftLimits(BaseModel):
    """When new studies count as different (the ``drift`` section of params.yaml).

    Attributes:
        minimum_studies: number of new studies, and of old ones, that a comparison needs.
        false_discovery_rate: limit of the adjusted p-value.
        distance: limit of the distance, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_studies: Annotated[int, Field(ge=2)] = 10
    false_discovery_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    distance: Annotated[float, Field(ge=0, le=1)] = 0.3


@dataclass(frozen=True)
class FeatureDrift:
    """The comparison of one feature.

    Attributes:
        old_studies, new_studies: number of studies in which the feature is known.
        old, new: the values in words: 10 %, 50 % and 90 % quantiles, or the most common categories with their shares.
        distance: 0 (equal) to 1 (disjoint).
        p_value, adjusted: of the test, and adjusted for the number of features.
        drifted: whether both limits are exceeded.
    """

    name: str
    old_studies: int
    new_studies: int
    old: str
    new: str
    distance: float
    p_value: float
    adjusted: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """The comparison of new studies with the training population; ``features`` in the order of their distances."""

    outcome: Outcome
    old_studies: int
    new_studies: int
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of the features that have drifted."""
        return tuple(feature.name for feature in self.features if feature.drifted)


def compare_populations(old: Sequence[StudyFeatures], new: Sequence[StudyFeatures], limits: DriftLimits) -> DriftReport:
    """Compare new studies with old ones in every feature that enough studies of both have."""
    from scipy.stats import false_discovery_control  # half a second, which no other command should wait for

    compared = _numbers(old, new, limits.minimum_studies) + _categories(old, new, limits.minimum_studies)
    adjusted = false_discovery_control([c.p_value for c in compared]) if compared else []
    features = []
    for feature, q in zip(compared, adjusted, strict=True):
        drifted = q <= limits.false_discovery_rate and feature.distance >= limits.distance
        features.append(replace(feature, adjusted=float(q), drifted=bool(drifted)))
    enough = min(len(old), len(new)) >= limits.minimum_studies and bool(features)
    outcome: Outcome = "too few studies" if not enough else "drifted" if any(f.drifted for f in features) else "stable"
    ordered = tuple(sorted(features, key=lambda f: (not f.drifted, -f.distance, f.name)))
    return DriftReport(outcome, len(old), len(new), ordered)


def _numbers(old: Sequence[StudyFeatures], new: Sequence[StudyFeatures], minimum: int) -> list[FeatureDrift]:
    from scipy.stats import ks_2samp

    found = []
    for name in sorted({name for study in (*old, *new) for name in study.numbers}):
        ours, theirs = ([s.numbers[name] for s in group if name in s.numbers] for group in (old, new))
        if min(len(ours), len(theirs)) >= minimum:
            test = ks_2samp(ours, theirs)
            words = _quantiles(ours), _quantiles(theirs)
            found.append(_unadjusted(name, len(ours), len(theirs), words, float(test.statistic), float(test.pvalue)))
    return found


def _categories(old: Sequence[StudyFeatures], new: Sequence[StudyFeatures], minimum: int) -> list[FeatureDrift]:
    found = []
    for name in sorted({name for study in (*old, *new) for name in study.categories}):
        ours, theirs = (Counter(s.categories[name] for s in group if name in s.categories) for group in (old, new))
        if min(ours.total(), theirs.total()) >= minimum:
            distance, p_value = _total_variation(ours, theirs)
            words = _shares(ours), _shares(theirs)
            found.append(_unadjusted(name, ours.total(), theirs.total(), words, distance, p_value))
    return found


def _unadjusted(name: str, old: int, new: int, words: tuple[str, str], distance: float, p_value: float) -> FeatureDrift:
    return FeatureDrift(name, old, new, *words, distance, p_value, p_value, drifted=False)


def _total_variation(old: Counter[str], new: Counter[str]) -> tuple[float, float]:
    """(distance, p-value): half the sum of the differences of the shares, and its permutation test."""
    names = sorted(old | new)
    all_counts = np.array([old[name] + new[name] for name in names])
    drawn = np.random.default_rng(0).multivariate_hypergeometric(all_counts, new.total(), size=PERMUTATIONS)
    every = np.concatenate([np.array([[new[name] for name in names]]), drawn])
    distances = np.abs((all_counts - every) / old.total() - every / new.total()).sum(axis=1) / 2
    return float(distances[0]), float((distances >= distances[0] - 1e-12).mean())


def _quantiles(values: Sequence[float]) -> str:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{low:.3g} / {middle:.3g} / {high:.3g}"


def _shares(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count / counts.total():.0%}" for name, count in counts.most_common(3))


def write_drift(report: DriftReport, path: Path) -> None:
    """Write the comparison as JSON, atomically."""
    write_text_atomically(path, json.dumps({"schema": "plumbline.drift/1", **asdict(report)}, indent=1))


def read_drift(path: Path) -> DriftReport | None:
    """The last comparison; None if there is none."""
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    features = tuple(FeatureDrift(**feature) for feature in record["features"])
    return DriftReport(record["outcome"], record["old_studies"], record["new_studies"], features)
