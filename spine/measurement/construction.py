"""Construction lines: the lines whose angle or distance a parameter is, as its measurement used them.

Contract: a line names landmarks and a measured tilt, and contains no coordinates. An image of the landmarks can
therefore show the lines of a parameter that was measured in 3D, and nothing is measured twice.
"""

from dataclasses import dataclass
from typing import Literal

LineKind = Literal["plate", "normal", "vertical", "horizontal", "segment", "offset"]


@dataclass(frozen=True)
class ConstructionLine:
    """One construction line. A point of it is the mean of named landmarks.

    Kinds: ``plate`` (along the tilt of an end plate), ``normal`` (perpendicular to it, to the feet), ``vertical``,
    ``horizontal``, ``segment`` (from ``start`` to ``end``), ``offset`` (horizontally from ``start`` to the vertical
    through ``end``).

    Attributes:
        start: landmarks whose mean lies on the line.
        end: landmarks whose mean is the other end of a ``segment`` or ``offset``; empty for other kinds.
        tilt_deg: tilt of the plate of a ``plate`` or ``normal``, with the sign of ``spine.measurement.tilts``.
    """

    kind: LineKind
    start: tuple[str, ...]
    end: tuple[str, ...] = ()
    tilt_deg: float = 0.0


Construction = tuple[ConstructionLine, ...]
