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
from spine.reconstruction.open import points_kind, read_reconstruction_files
from spine.reconstruction.reconstruction import Reconstruction

EXTRA_VERTEBRAE = {
    "has_t13": "T13: thirteenth thoracic vertebra (transitional?)",
    "has_l6": "L6: sixth lumbar vertebra (transitional?)",
}
"""Fact of a reconstruction -> the words for the vertebra that most people lack."""


@dataclass(frozen=True)
class Survey:
    """The result of a survey.

    Attributes:
        counts: name of what was counted -> number, as text.
        parameters: (name, measured in, median, 5-95 % range, commonest reason for absence) of each parameter.
        refusals: code of a refusal -> the first message with this code. Messages have no file names.
    """

    counts: Mapping[str, str]
    parameters: Sequence[tuple[str, str, str, str, str]]
    refusals: Mapping[str, str]


def survey_reconstructions(paths: Sequence[Path], *, one_study: bool = False) -> Survey:
    """Read every file, and the files of every folder that look like points, and compute the parameters.

    The meshes of a folder are one reconstruction. With ``one_study``, all files are, as intake reads a study.
    """
    files = [file for path in paths for file in _files(path)]
    refusals: dict[str, str] = {}
    reasons: Counter[str] = Counter()
    read: list[Reconstruction] = []
    for group in [files] if one_study and files else _groups(files):
        try:
            read.append(read_reconstruction_files(group))
        except ReconstructionRejected as error:
            reasons[error.code] += 1
            refusals.setdefault(error.code, str(error))
    counts = {"files": str(len(files)), "read": str(len(read))}
    counts |= {f"refused: {code}": str(count) for code, count in reasons.items()}
    counts |= {f"format {name}": str(n) for name, n in Counter(r.source_format for r in read).items()}
    return Survey(counts | _anatomy(read), [_row(name, read) for name in PARAMETERS] if read else [], refusals)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.iterdir()) if file.is_file() and points_kind(file) is not None]


def _groups(files: Sequence[Path]) -> list[list[Path]]:
    """The files of each reconstruction: the meshes of one folder together, every other file alone."""
    meshes: dict[Path, list[Path]] = {}
    groups: list[list[Path]] = []
    for file in files:
        if points_kind(file) != "mesh":
            groups.append([file])
        elif file.parent in meshes:
            meshes[file.parent].append(file)
        else:
            meshes[file.parent] = [file]
            groups.append(meshes[file.parent])
    return groups


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
    extra = Counter(words for fact, words in EXTRA_VERTEBRAE.items() for r in read if r.facts.get(fact))
    figures |= {words: str(count) for words, count in extra.items()}
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
