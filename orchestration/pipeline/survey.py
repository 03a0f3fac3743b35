"""A survey of 3D reconstructions without images: the files that were read, and the parameters that can be computed.

Contract: an unreadable file is counted under the code of its error and does not stop the survey.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spine.errors import ReconstructionRejected
from spine.landmarks import VERTEBRAE
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.measurement.registry import PARAMETERS, Measured
from spine.reconstruction.open import SUFFIXES, read_any_reconstruction
from spine.reconstruction.reconstruction import Reconstruction


@dataclass(frozen=True)
class Survey:
    """The result of a survey.

    Attributes:
        counts: name of what was counted -> number, as text.
        parameters: (name, measured in, median, 5-95 % range, commonest reason for absence) of each parameter.
    """

    counts: Mapping[str, str]
    parameters: Sequence[tuple[str, str, str, str, str]]


def survey_reconstructions(paths: Sequence[Path]) -> Survey:
    """Read every file, and the .json and .csv files of every folder, and compute the parameters."""
    files = [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p]) if f.suffix in SUFFIXES]
    reasons: Counter[str] = Counter()
    read: list[Reconstruction] = []
    for file in files:
        try:
            read.append(read_any_reconstruction(file))
        except ReconstructionRejected as error:
            reasons[error.code] += 1
    counts = {"files": str(len(files)), "read": str(len(read))}
    counts |= {f"refused: {code}": str(count) for code, count in reasons.items()}
    counts |= {f"format {name}": str(n) for name, n in Counter(r.source_format for r in read).items()}
    return Survey(counts | _anatomy(read), [_row(name, read) for name in PARAMETERS] if read else [])


def _row(name: str, read: Sequence[Reconstruction]) -> tuple[str, str, str, str, str]:
    measured: list[Measured] = [measure(planes_from_points_3d(r.points))[name] for r in read]
    values = [m.value for m in measured if m.value is not None]
    reasons = Counter(m.absent_reason for m in measured if m.absent_reason)
    why = reasons.most_common(1)[0][0] if reasons else ""
    if not values:
        return name, f"0 of {len(read)}", "", "", why
    low, middle, high = np.percentile(values, [5, 50, 95])
    return name, f"{len(values)} of {len(read)}", f"{middle:.1f}", f"{low:.1f} to {high:.1f}", why


def _anatomy(read: Sequence[Reconstruction]) -> dict[str, str]:
    figures = {}
    whole = [r for r in read if all(_has_level(r, v) for v in VERTEBRAE)]
    figures["with all of T1-L5"] = str(len(whole))
    lengths = [_distance(r, "T1_body", "L5_body") for r in read]
    figures |= _median("T1-L5 body distance (mm)", [d for d in lengths if d is not None])
    for level in ("T4", "L3"):
        spans = [_distance(r, f"{level}_ped_left", f"{level}_ped_right") for r in read]
        figures |= _median(f"{level} pedicle distance (mm)", [d for d in spans if d is not None])
    return figures


def _has_level(reconstruction: Reconstruction, level: str) -> bool:
    return any(name.startswith(f"{level}_") for name in reconstruction.points)


def _distance(reconstruction: Reconstruction, first: str, second: str) -> float | None:
    points = reconstruction.points
    if first not in points or second not in points:
        return None
    return float(np.linalg.norm(points[first] - points[second]))


def _median(title: str, values: list[float]) -> dict[str, str]:
    return {title: f"{np.median(values):.1f} (n {len(values)})"} if values else {}
