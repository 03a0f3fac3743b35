"""The titles and the order of the subgroups.

The gate defines the groups (``validation.gates.subgroups``). In each dimension every study has exactly one group. If
the fact is missing, the group is ``not known``, so that the page's filters include every patient.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from validation.evaluation.outcomes import StudyOutcome
from validation.gates import subgroups as judged

NOT_KNOWN = "not known"
_TITLES = {"severity": "curve"}
DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {name: _TITLES.get(name, name.replace("_", " ")) for name in judged.GROUPINGS}
)
"""Dimension -> its title."""


def group_of(study: StudyOutcome, dimension: str) -> str:
    """The group of a study in one of ``DIMENSIONS``."""
    return groups_of(study)[dimension]


def groups_of(study: StudyOutcome) -> dict[str, str]:
    """Dimension -> group of the study, for every dimension."""
    known = judged.groups_of(study)
    return {dimension: known.get(dimension, NOT_KNOWN) for dimension in DIMENSIONS}


def in_order(groups: Iterable[str]) -> list[str]:
    """The distinct groups. Bands of severity and age are first, sorted by value. Other groups are sorted by name."""
    bands = [name for band in (judged.SEVERITIES, judged.AGES) for _, name in band]
    return sorted(set(groups), key=lambda g: (bands.index(g) if g in bands else len(bands), g))
