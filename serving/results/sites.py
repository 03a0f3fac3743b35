"""The levels at which a parameter is measured: its finding sites in a report."""

from spine.landmarks import LEVELS, level_of
from spine.measurement.registry import Measured

_DEFINED = {"pi_minus_ll": ("L1", "S1", "HIP")}
"""Parameter without lines of its own -> the levels of its definition."""

_ENDS = ("upper_end_vertebra", "lower_end_vertebra")


def finding_levels(name: str, measured: Measured) -> tuple[str, ...]:
    """The end vertebrae of a curve, else the levels whose landmarks the lines run through, from cranial to caudal."""
    detail = measured.detail or {}
    if all(end in detail for end in _ENDS):
        return tuple(detail[end] for end in _ENDS)
    lines = measured.construction
    used = {level_of(landmark) for line in lines for landmark in (*line.start, *line.end)}
    return tuple(level for level in (*LEVELS, "HIP") if level in used) or _DEFINED.get(name, ())
