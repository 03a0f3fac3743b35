"""How far angles from plate centres alone differ from angles from plate margins: the error of such reference values.

The virtual patients have exact margins. The real radiographs are the labelled ones of `benchmarks.sim_to_real pack`;
without this file, or where the dataset validation finds wrong labels, they are left out.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.sim_to_real.pack import read_pack
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.intake.aasce import LABEL_NAMES
from spine.measurement.measure import measure
from spine.measurement.planes import PlanePoints, planes_from_points_3d, planes_from_view
from spine.measurement.registry import Plane
from spine.measurement.tilts import plate_centres

PATIENTS, FIRST_SEED = 600, 40_000
PACKED = Path(".carry/aasce.npz")
BANDS = ((0, 25), (25, 45), (45, 60), (60, 180))
SAGITTAL = ("thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "lumbar_lordosis_l1_s1")

Planes = Mapping[Plane, PlanePoints]


def figures() -> list[Figure]:
    """Bias and SD of (angle from centres minus angle from margins), by size of the curve, and of sagittal angles."""
    found = _figures("virtual patients", _virtual())
    return found + (_figures("real radiographs", _real()) if PACKED.is_file() else [])


def _figures(whose: str, studies: Iterator[Planes]) -> list[Figure]:
    differences: dict[str, list[float]] = defaultdict(list)
    for planes in studies:
        exact, centres = measure(planes), measure({plane: without_margins(p) for plane, p in planes.items()})
        for name in ("cobb", *SAGITTAL):
            true, found = exact[name].value, centres[name].value
            if true is not None and found is not None:
                band = (
                    next(f" {low} to {high} deg" for low, high in BANDS if low <= true < high) if name == "cobb" else ""
                )
                differences[f"{name}{band}"].append(found - true)
    return [
        Figure(f"{whose}, {name}: SD", float(np.std(d)), "deg", "", f"bias {np.mean(d):+.1f}, n = {len(d)}")
        for name, d in sorted(differences.items())
    ]


def without_margins(points: PlanePoints) -> PlanePoints:
    """The points with the centres of plates T1..L5 in place of their margins; S1 keeps its margins."""
    others = {n: p for n, p in points.points.items() if n.startswith(("S1", "HIP"))}
    return replace(points, points={**plate_centres(points), **others})


def _virtual() -> Iterator[Planes]:
    for seed in range(FIRST_SEED, FIRST_SEED + PATIENTS):
        yield planes_from_points_3d(build_patient(sample_patient(seed), seed).reconstruction.points)


def _real() -> Iterator[Planes]:
    radiographs = read_pack(PACKED)
    for corners, visible, screened in zip(
        radiographs.corners, radiographs.visible, radiographs.facts["screened_out"], strict=True
    ):
        if visible.all() and not screened:
            labels = dict(zip(LABEL_NAMES, corners.reshape(-1, 2).astype(np.float64), strict=True))
            yield planes_from_view("frontal", labels, None, "NONE")
