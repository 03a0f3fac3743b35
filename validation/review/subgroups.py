"""Which subgroups a study belongs to, in words a reviewer filters by.

What belongs here: facts of a study -> names of groups. What does not: statistics of a group (``differences``).
Contract: every study has exactly one group in each dimension; a fact that is not known is the group ``not told``, so
that nobody drops out unseen.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from validation.evaluation.outcomes import StudyOutcome

NOT_TOLD = "not told"
DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "condition": "condition",
        "severity": "curve",
        "field_of_view": "field of view",
        "age_years": "age",
        "sex": "sex",
        "appearance": "looks",
        "anatomy": "anatomy",
    }
)
"""Dimension -> its title."""

_SEVERITY = ((10.0, "below 10°"), (25.0, "10–25°"), (45.0, "25–45°"))
_AGES = ((10.0, "below 10"), (18.0, "10–17"), (40.0, "18–39"), (65.0, "40–64"))


def group_of(study: StudyOutcome, dimension: str) -> str:
    """The group of a study in one of ``DIMENSIONS``."""
    if dimension == "severity":
        return _banded(study.parameter("cobb").truth, _SEVERITY, "45° and more")
    value = study.facts.get(dimension)
    if dimension == "age_years":
        return _banded(value if isinstance(value, int | float) else None, _AGES, "65 and older")
    return NOT_TOLD if value is None else str(value).replace("_", " ")


def groups_of(study: StudyOutcome) -> dict[str, str]:
    """Dimension -> group, for every dimension."""
    return {dimension: group_of(study, dimension) for dimension in DIMENSIONS}


def in_order(groups: Iterable[str]) -> list[str]:
    """Groups without repeats, bands by size and others by name."""
    bands = [name for bands in (_SEVERITY, _AGES) for _, name in bands]
    return sorted(set(groups), key=lambda g: (bands.index(g) if g in bands else len(bands), g))


def _banded(value: float | None, bands: tuple[tuple[float, str], ...], beyond: str) -> str:
    if value is None:
        return NOT_TOLD
    return next((name for limit, name in bands if value < limit), beyond)
