"""The construction lines of measured parameters in one view, in pixels of the image.

Contract: points and tilts are those of the measurement (``spine.measurement.construction``). Nothing is measured here.
Lines of a parameter that was measured in 3D are drawn through the landmarks of the image, so a drawn angle may differ
from the value by the magnification of the view. Points are (column, row), integers at pixel centres.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spine.landmarks import ViewName
from spine.measurement.construction import Construction, ConstructionLine
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS, Measured
from spine.outline import Anchor
from spine.study import Points2D
from spine.types import Floats

_REACH, _STUB, _BEYOND, _SHORT, _GAP, _ROOM = 0.30, 0.045, 0.012, 0.09, 0.006, 0.075
"""Fractions of the diagonal of the area of the image that is as wide as half its height: largest length of a plate's
line to the side where two lines meet, its length to the other side, the length beyond their intersection, the length of
a line that is drawn to one side only, the distance of a label from its line, and the width of a label."""

_REACH_APART = 0.18
"""Length of a plate's line if the two lines meet farther away than ``_REACH``."""

LEAST_CURVE_DEG = 1.0
_PARALLEL_DEG = 2.0
_ARC_POINTS = 24


@dataclass(frozen=True)
class DrawnConstruction:
    """The lines of one parameter.

    Attributes:
        parameter: name of the parameter.
        lines: (N, 2) polylines that are drawn solid: plates, segments, normals and arcs.
        references: (2, 2) lines that are drawn dashed: verticals and horizontals.
        label_at: (2,) point of the label.
        anchor: the side of the label that lies at ``label_at``.
    """

    parameter: str
    lines: tuple[Floats, ...]
    references: tuple[Floats, ...]
    label_at: Floats
    anchor: Anchor


def drawn_constructions(
    view: ViewName,
    points: Points2D,
    parameters: Mapping[str, Measured],
    size: tuple[int, int],
    spacing_mm: tuple[float, float] | None = None,
) -> tuple[DrawnConstruction, ...]:
    """The construction of every parameter of the view's plane that has one, in the order of ``parameters``.

    ``points`` are landmarks in an image of ``size`` (columns, rows). ``spacing_mm`` is (row, column); without it,
    pixels are assumed to be square. A construction whose landmarks are not all in ``points`` is left out, and so is a
    curve below ``LEAST_CURVE_DEG``, whose lines would be parallel.
    """
    extent = float(np.hypot(min(size[0], size[1] / 2), size[1]))
    frame = _Frame(points, size[0], extent, spacing_mm or (1.0, 1.0))
    drawn = []
    for name, measured in parameters.items():
        lines = measured.construction
        parallel = PARAMETERS[name].of_curve and (measured.value or 0.0) < LEAST_CURVE_DEG
        if PARAMETERS[name].plane == PLANE_OF_VIEW[view] and lines and frame.has(lines) and not parallel:
            drawn.append(_drawn(name, lines, frame))
    return tuple(drawn)


@dataclass(frozen=True)
class _Frame:
    """The landmarks and the columns of the image, a length that fits the image, and (row, column) spacing."""

    points: Points2D
    columns: int
    extent: float
    spacing_mm: tuple[float, float]

    def has(self, lines: Construction) -> bool:
        return all(name in self.points for line in lines for name in (*line.start, *line.end))

    def at(self, names: tuple[str, ...]) -> Floats:
        return np.asarray(np.mean([self.points[name] for name in names], axis=0), dtype=np.float64)

    def along(self, tilt_deg: float) -> Floats:
        """Unit vector of a plate, to the right. In both views, a positive tilt raises the right end."""
        row_mm, column_mm = self.spacing_mm
        angle = np.radians(tilt_deg)
        return _unit(np.array([np.cos(angle) / column_mm, -np.sin(angle) / row_mm]))

    def down_from(self, tilt_deg: float) -> Floats:
        """Unit vector perpendicular to a plate, to the feet."""
        row_mm, column_mm = self.spacing_mm
        angle = np.radians(tilt_deg)
        return _unit(np.array([np.sin(angle) / column_mm, np.cos(angle) / row_mm]))


def _drawn(name: str, lines: Construction, frame: _Frame) -> DrawnConstruction:
    first, second = lines
    if first.kind == "offset":
        return _offset(name, first, frame)
    if second.kind == "plate":
        return _two_plates(name, first, second, frame)
    return _at_vertex(name, first, second, frame)


def _offset(name: str, line: ConstructionLine, frame: _Frame) -> DrawnConstruction:
    """The vertical through ``line.end`` up to the height of ``line.start``, and the distance to it."""
    start, foot = frame.at(line.start), frame.at(line.end)
    above = np.array([foot[0], start[1]])
    top = above - np.array([0.0, _STUB * frame.extent])
    at = top + np.array([_GAP * frame.extent, 0.0])
    return DrawnConstruction(name, (np.array([start, above]),), (np.array([foot, top]),), at, "left")


def _two_plates(name: str, first: ConstructionLine, second: ConstructionLine, frame: _Frame) -> DrawnConstruction:
    """Two plates, extended to the side where their lines meet; an arc at their intersection if it is near."""
    centres = [frame.at(line.start) for line in (first, second)]
    along = [frame.along(line.tilt_deg) for line in (first, second)]
    meet = _distances_to_intersection(centres, along)
    right = meet is None or meet[0] + meet[1] > 0
    if not right:
        along = [-a for a in along]
        meet = meet and (-meet[0], -meet[1])
    near = meet is not None and 0 < min(meet) and max(meet) < _REACH * frame.extent
    reach = _REACH_APART * frame.extent
    lengths = [m + _BEYOND * frame.extent for m in meet] if meet is not None and near else [reach, reach]
    ends = [c + length * a for c, length, a in zip(centres, lengths, along, strict=True)]
    lines = [np.array([c - _STUB * frame.extent * a, e]) for c, e, a in zip(centres, ends, along, strict=True)]
    if meet is not None and near:
        vertex = centres[0] + meet[0] * along[0]
        lines.append(_arc(vertex, -along[0], -along[1], 0.35 * min(meet)))
    outer = max(e[0] for e in ends) if right else min(e[0] for e in ends)
    at, side = np.array([outer, np.mean([e[1] for e in ends])]), -1 if right else 1
    if near and (frame.columns - outer if right else outer) < _ROOM * frame.extent:
        at, side = lines[-1][_ARC_POINTS // 2], -side  # no room beyond the intersection
    anchor: Anchor = "left" if side < 0 else "right"
    return DrawnConstruction(name, tuple(lines), (), at - np.array([side * _GAP * frame.extent, 0.0]), anchor)


def _at_vertex(name: str, first: ConstructionLine, second: ConstructionLine, frame: _Frame) -> DrawnConstruction:
    """Two lines from one point, with an arc between them. The label is at the first line."""
    vertex = frame.at(first.start)
    rays = [_ray(line, other, frame) for line, other in ((first, second), (second, first))]
    lines = [np.array([vertex, vertex + ray]) for ray in rays]
    across = name == "t1_pelvic_angle"  # its lines cross the whole spine
    dashed = [across or line.kind in ("vertical", "horizontal") for line in (first, second)]
    radius = {"pelvic_incidence": 0.35, "pelvic_tilt": 0.75}.get(name, 0.6) * min(np.linalg.norm(ray) for ray in rays)
    arc = _arc(vertex, _unit(rays[0]), _unit(rays[1]), float(radius))
    side: Anchor = "right" if rays[0][0] < 0 or (first.kind == "vertical" and rays[1][0] >= 0) else "left"
    share, above = (0.55, 0.0) if first.kind == "vertical" else (1.0, 0.0 if first.kind == "normal" else 0.02)
    gap = np.array([-_GAP if side == "right" else _GAP, -above if rays[0][1] < 0 else above])
    end = vertex + share * rays[0] + frame.extent * gap
    solid = [line for line, is_dashed in zip(lines, dashed, strict=True) if not is_dashed]
    references = [line for line, is_dashed in zip(lines, dashed, strict=True) if is_dashed]
    return DrawnConstruction(name, (*solid, arc), tuple(references), end, side)


def _ray(line: ConstructionLine, other: ConstructionLine, frame: _Frame) -> Floats:
    """Vector from the vertex to the end of a line. A plate and its horizontal are drawn to the front (left)."""
    if line.kind == "segment":
        return frame.at(line.end) - frame.at(line.start)
    short = _SHORT * frame.extent
    if line.kind == "plate":
        return -short * frame.along(line.tilt_deg)
    if line.kind == "horizontal":
        return np.array([-short, 0.0])
    reach = float(np.linalg.norm(frame.at(other.end) - frame.at(other.start)))
    return reach * (frame.down_from(line.tilt_deg) if line.kind == "normal" else np.array([0.0, 1.0]))


def _distances_to_intersection(centres: list[Floats], along: list[Floats]) -> tuple[float, float] | None:
    """Signed distances from both centres to the intersection of their lines; None if they are nearly parallel."""
    cross = float(along[0][0] * along[1][1] - along[0][1] * along[1][0])
    if abs(cross) < np.sin(np.radians(_PARALLEL_DEG)):
        return None
    between = centres[1] - centres[0]
    return (
        float(between[0] * along[1][1] - between[1] * along[1][0]) / cross,
        float(between[0] * along[0][1] - between[1] * along[0][0]) / cross,
    )


def _arc(centre: Floats, start: Floats, end: Floats, radius: float) -> Floats:
    """(N, 2) arc around ``centre`` from unit vector ``start`` to unit vector ``end``, the shorter way."""
    first = np.arctan2(start[1], start[0])
    turn = (np.arctan2(end[1], end[0]) - first + np.pi) % (2 * np.pi) - np.pi
    angles = first + turn * np.linspace(0.0, 1.0, _ARC_POINTS)
    return np.asarray(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), dtype=np.float64)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float64)
