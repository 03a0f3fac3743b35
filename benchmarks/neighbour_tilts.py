"""Departure of the tilt of an end plate from its neighbours and the line of centres: constants of ``fusion``."""

import numpy as np

from benchmarks.figures import Figure
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.landmarks import PLATES
from spine.measurement.planes import planes_from_points_3d
from spine.measurement.registry import Plane
from spine.measurement.tilts import line_tilts, plate_tilts
from spine.types import Floats

PATIENTS = 1000
FIRST_SEED = 40_000
PLANES: tuple[Plane, Plane] = ("coronal", "sagittal")


def deviations_from_neighbours(count: int, first_seed: int = FIRST_SEED) -> dict[Plane, tuple[Floats, Floats]]:
    """Plane -> (32,) means and (32,) standard deviations of the deviations of virtual patients, degrees."""
    tilts: dict[Plane, list[list[float]]] = {plane: [] for plane in PLANES}
    for seed in range(first_seed, first_seed + count):
        points = build_patient(sample_patient(seed), seed).reconstruction.points
        planes = planes_from_points_3d(points)
        for plane in PLANES:
            degrees = plate_tilts(planes[plane]).degrees
            tilts[plane].append([degrees.get(plate, np.nan) for plate in PLATES])
    found = {}
    for plane, rows in tilts.items():
        tilt = np.array(rows)
        deviation = tilt[:, 1:-1] - (tilt[:, :-2] + tilt[:, 2:]) / 2
        found[plane] = np.nanmean(deviation, axis=0), np.nanstd(deviation, axis=0)
    return found


def departure_from_line(count: int, first_seed: int = FIRST_SEED) -> float:
    """Standard deviation in degrees of (coronal tilt of a plate minus the perpendicular of the line of centres)."""
    departures: list[float] = []
    for seed in range(first_seed, first_seed + count):
        points = planes_from_points_3d(build_patient(sample_patient(seed), seed).reconstruction.points)["coronal"]
        degrees = plate_tilts(points).degrees
        departures += [degrees[plate] - tilt for plate, tilt in line_tilts(points).items() if plate in degrees]
    return float(np.std(departures))


def figures() -> list[Figure]:
    """Mean deviation and standard deviation in each plane; the notes have the values of all plates."""
    line = Figure("coronal, departure from the line of centres", departure_from_line(PATIENTS), "deg", "", "all plates")
    return [line] + [
        Figure(f"{plane}, {what}", float(np.abs(values).mean()), "deg, mean of 32", "", _listed(values))
        for plane, pair in deviations_from_neighbours(PATIENTS).items()
        for what, values in zip(("mean deviation", "standard deviation"), pair, strict=True)
    ]


def _listed(values: Floats) -> str:
    return ", ".join(f"{v:.2f}" for v in values)
