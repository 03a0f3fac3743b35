"""Checks that named 3D points can be a spine in LPS millimetres: units, axes, order, sides, duplicates.

Contract: ``check_reconstruction`` raises at most one ``ReconstructionRejected``. The error has the code of the first
finding in the order of this table. Its message lists the first six findings and the number of further findings.

    NOT_FINITE              a coordinate is NaN or infinite
    POINT_UNKNOWN           a name is not in ``known_names``
    TOO_FEW_POINTS          fewer than 3 levels have points
    UNITS_SUSPECT_METRES    neighbouring levels are 0.01-0.06 apart, as in metres (likewise UNITS_SUSPECT_CENTIMETRES)
    SIZE_IMPLAUSIBLE        the median distance of neighbouring levels is outside 10-60 mm, or a coordinate beyond 10 km
    AXES_SUSPECT            the spine runs along another axis than z
    LEVELS_REVERSED         z rises from T1 to L5: the spine is upside down or numbered from below
    LEVELS_OUT_OF_ORDER     single levels lie above their upper neighbour
    POINT_OUTLIER           a level is more than 90 mm from its neighbour
    PLATES_REVERSED         an upper plate lies below the lower plate of its vertebra
    SIDES_SWAPPED           a left point lies on the right of its partner (x runs to the patient's left)
    FRONT_BACK_SWAPPED      most front points lie posterior to the matching back points
    HIPS_MISPLACED          a hip lies above the S1 plate, or the hips are not 60-350 mm apart
    POINTS_COINCIDE         two points have the same position
    HIP_RADIUS_IMPLAUSIBLE  the radius of a femoral head is outside 10-40 mm
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from spine.errors import ReconstructionRejected
from spine.landmarks import HIPS, LEVELS, level_of, mirrored_name
from spine.reconstruction.names import EXTRA_LEVELS, known_names, quoted_name
from spine.reconstruction.reconstruction import Reconstruction
from spine.types import Floats

Finding = tuple[str, str]

COLUMN: tuple[str, ...] = tuple(v for level in LEVELS for v in (level, EXTRA_LEVELS.get(level)) if v is not None)
"""T1..S1 from cranial to caudal, with the extra vertebrae that some people have: T13 above L1, L6 above S1."""

LEVEL_DISTANCE_MM = (10.0, 60.0)
MAX_NEIGHBOUR_MM = 90.0
RISE_TOLERANCE_MM = 5.0
HIP_DISTANCE_MM = (60.0, 350.0)
HIP_RADIUS_MM = (10.0, 40.0)
LARGEST_COORDINATE_MM = 1e7  # a spine in micrometres is below this
_REMEDY = "correct the reconstruction (axes LPS: x left, y back, z up; millimetres) and send it again"


def check_reconstruction(reconstruction: Reconstruction) -> None:
    """Raise ``ReconstructionRejected`` for points that cannot be a spine; the module's table lists the codes."""
    points = reconstruction.points
    findings = _names_and_numbers(points)
    if not findings:
        centres = level_centres(points)
        findings = _size(centres)
    if not findings:
        findings = _order(centres) + _pairs(points) + _hips(points) + _duplicates(points) + _radii(reconstruction)
    if findings:
        listed = "; ".join(f"{code}: {what}" for code, what in findings[:6])
        more = f"; and {len(findings) - 6} more" if len(findings) > 6 else ""
        raise ReconstructionRejected(findings[0][0], listed + more, "points of one spine in LPS mm", _REMEDY)


def level_centres(points: Mapping[str, Floats]) -> dict[str, Floats]:
    """Level -> (3,) mean of its points, LPS mm, from cranial to caudal; levels without points are absent."""
    by_level: dict[str, list[Floats]] = {}
    for name, point in points.items():
        by_level.setdefault(level_of(name), []).append(point)
    return {level: np.mean(by_level[level], axis=0) for level in COLUMN if level in by_level}


def _names_and_numbers(points: Mapping[str, Floats]) -> list[Finding]:
    findings = [
        ("NOT_FINITE", f"{quoted_name(n)} with a coordinate that is not finite")
        for n, p in points.items()
        if not np.all(np.isfinite(p))
    ]
    unknown = sum(name not in known_names() for name in points)
    if unknown:
        # The names are not quoted, because they are free text from a file.
        findings.append(("POINT_UNKNOWN", f"{unknown} of {len(points)} points with an unknown name"))
    if not findings and any(np.abs(point).max() > LARGEST_COORDINATE_MM for point in points.values()):
        findings.append(("SIZE_IMPLAUSIBLE", f"a coordinate beyond {LARGEST_COORDINATE_MM:.0e} mm"))
    levels = {level_of(name) for name in points} & set(COLUMN)
    if len(levels) < 3:
        findings.append(("TOO_FEW_POINTS", f"points of {len(levels)} level(s)"))
    return findings


def _neighbours(centres: Mapping[str, Floats]) -> list[tuple[str, str]]:
    """Pairs of adjacent levels that both have points; a missing T13 or L6 does not separate its neighbours."""
    column = [level for level in COLUMN if level in LEVELS or level in centres]
    return [(a, b) for a, b in pairwise(column) if a in centres and b in centres]


def _size(centres: Mapping[str, Floats]) -> list[Finding]:
    distances = [float(np.linalg.norm(centres[a] - centres[b])) for a, b in _neighbours(centres)]
    if not distances:
        return []
    median = float(np.median(distances))
    low, high = LEVEL_DISTANCE_MM
    if low <= median <= high:
        return []
    for unit, factor in (("METRES", 1000.0), ("CENTIMETRES", 10.0)):
        if low <= median * factor <= high:
            return [(f"UNITS_SUSPECT_{unit}", f"neighbouring levels {median:.4g} mm apart, if the numbers are mm")]
    return [("SIZE_IMPLAUSIBLE", f"neighbouring levels {median:.4g} mm apart")]


def _order(centres: Mapping[str, Floats]) -> list[Finding]:
    """The order of the levels: downwards, along z, without jumps."""
    extent = np.ptp(np.array(list(centres.values())), axis=0)
    if extent[2] < max(extent[0], extent[1]):
        return [("AXES_SUSPECT", f"extent x {extent[0]:.0f}, y {extent[1]:.0f}, z {extent[2]:.0f} mm")]
    pairs = _neighbours(centres)
    rising = [(a, b) for a, b in pairs if centres[b][2] - centres[a][2] > RISE_TOLERANCE_MM]
    if pairs and len(rising) > len(pairs) / 2:
        return [("LEVELS_REVERSED", f"{len(rising)} of {len(pairs)} levels above their upper neighbour")]
    findings = [("LEVELS_OUT_OF_ORDER", f"{b} above {a}") for a, b in rising]
    for a, b in pairs:
        distance = float(np.linalg.norm(centres[a] - centres[b]))
        if distance > MAX_NEIGHBOUR_MM:
            findings.append(("POINT_OUTLIER", f"{a} and {b} {distance:.0f} mm apart"))
    return findings


def _pairs(points: Mapping[str, Floats]) -> list[Finding]:
    """Findings about upper and lower plates, left and right points, front and back points."""
    findings: list[Finding] = []
    for level in COLUMN:
        upper, lower = points.get(f"{level}_sup"), points.get(f"{level}_inf")
        if upper is not None and lower is not None and upper[2] <= lower[2]:
            findings.append(("PLATES_REVERSED", f"upper end plate of {level} below its lower end plate"))
    for name, point in points.items():
        partner = points.get(mirrored_name(name))
        is_left = name.endswith("_left") or name == "HIP_L"
        if is_left and partner is not None and point[0] <= partner[0]:
            findings.append(("SIDES_SWAPPED", f"{name} {partner[0] - point[0]:.1f} mm to the right of its partner"))
    fronts = [(p, points.get(n.removesuffix("_ant") + "_post")) for n, p in points.items() if n.endswith("_ant")]
    behind = [bool(front[1] > back[1]) for front, back in fronts if back is not None]
    if behind and sum(behind) > len(behind) / 2:
        findings.append(("FRONT_BACK_SWAPPED", f"{sum(behind)} of {len(behind)} front points posterior to back points"))
    return findings


def _hips(points: Mapping[str, Floats]) -> list[Finding]:
    hips = [points[name] for name in HIPS if name in points]
    plate = points.get("S1_sup")
    findings: list[Finding] = []
    if plate is not None and any(hip[2] > plate[2] for hip in hips):
        findings.append(("HIPS_MISPLACED", "a hip above the S1 plate"))
    if len(hips) == 2:
        distance = float(np.linalg.norm(hips[0] - hips[1]))
        if not HIP_DISTANCE_MM[0] <= distance <= HIP_DISTANCE_MM[1]:
            findings.append(("HIPS_MISPLACED", f"hips {distance:.0f} mm apart"))
    return findings


def _duplicates(points: Mapping[str, Floats]) -> list[Finding]:
    seen: dict[tuple[float, ...], str] = {}
    findings: list[Finding] = []
    for name, point in points.items():
        place = tuple(round(float(c), 3) for c in point)
        if place in seen:
            findings.append(("POINTS_COINCIDE", f"{seen[place]} and {name} at the same position"))
        seen[place] = name
    return findings


def _radii(reconstruction: Reconstruction) -> list[Finding]:
    low, high = HIP_RADIUS_MM
    radii = reconstruction.hip_radius_mm
    wrong = [(n, r) for n, r in radii.items() if n not in HIPS or not low <= r <= high]
    return [("HIP_RADIUS_IMPLAUSIBLE", f"a femoral head of radius {r:.4g} mm") for n, r in wrong]
