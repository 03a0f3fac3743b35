"""What neighbouring end plates say about each other's tilt, and how sure a tilt is.

The two margins of a plate give its tilt, but one astray corner turns it by tens of degrees, and a Cobb angle, being a
maximum over pairs, picks exactly that plate. Neighbouring plates cannot differ by anything: a plate's tilt departs from
the mean of its two neighbours' by a degree or two (``EXPECTED``). The most probable tilts, given both, weigh each
plate's own margins against its neighbours by how sure they are; a margin's error has Student's distribution, whose long
tail lets a single plate that contradicts everything around it be overruled (iteratively reweighted least squares).

Contract: plates without margins or without a known uncertainty are neither used nor changed; S1 is not part of the
chain, its tilt is what the pelvic angles are defined by.
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import PLATES
from spine.measurement.registry import Plane
from spine.scanner import Floats

# fmt: off
_CORONAL_SD = (
    0.41, 0.47, 0.39, 0.48, 0.47, 0.41, 0.45, 0.39, 0.39, 0.45, 0.45, 0.59, 0.52, 0.67, 0.66, 0.59,
    0.63, 0.44, 0.56, 0.42, 0.60, 0.44, 0.94, 0.69, 0.84, 0.80, 0.56, 0.91, 0.63, 0.62, 1.00, 0.56,
)
_SAGITTAL_MEAN = (
    0.03, -0.03, 0.01, 0.00, 0.00, 0.68, -0.78, 0.94, -0.91, 1.18, -1.09, 1.28, -1.24, 1.18, -1.18, 1.06,
    -1.12, 0.85, -0.90, 0.78, -0.86, 0.72, -2.15, 2.71, -4.37, 3.38, -5.02, 4.17, -5.02, 3.99, -4.67, 2.69,
)
_SAGITTAL_SD = (
    0.58, 0.58, 0.57, 0.57, 0.54, 1.57, 1.15, 1.02, 1.06, 1.11, 1.13, 1.15, 1.17, 1.13, 1.12, 1.11,
    1.05, 0.89, 0.84, 1.15, 1.14, 1.35, 1.80, 3.01, 1.51, 1.31, 1.35, 1.30, 1.52, 1.25, 1.80, 1.33,
)
# fmt: on
EXPECTED: Mapping[Plane, tuple[Floats, Floats]] = {
    "coronal": (np.zeros(len(_CORONAL_SD)), np.array(_CORONAL_SD)),  # no side is preferred
    "sagittal": (np.array(_SAGITTAL_MEAN), np.array(_SAGITTAL_SD)),
}
"""Plane -> (mean, standard deviation) in degrees of (tilt of plate i less the mean of its neighbours' tilts) for the 32
plates that have two neighbours, T1_inf to L5_sup, in the virtual population: `python -m benchmarks neighbour-tilts`."""

NEIGHBOUR_WIDTH = 2.0
"""The standard deviations are taken so many times as wide: virtual plates lie on smoother lines than real ones. On
virtual patients one to three make no difference beyond a tenth of a degree; a model's calibration may know better."""

FREEDOM = 3.0
"""Degrees of freedom of Student's distribution."""

_ROUNDS = 6
_LEAST_SIGMA_DEG = 0.05


def fused(
    degrees: Mapping[str, float], sigma: Mapping[str, float], plane: Plane, width: float = NEIGHBOUR_WIDTH
) -> tuple[dict[str, float], dict[str, float]]:
    """Most probable tilts of the plates and their standard deviations.

    Args:
        degrees: plate -> tilt of its own margins.
        sigma: plate -> standard deviation of that; plates without are left as they are.
        plane: of the tilts.
        width: the standard deviations of what is expected are taken so many times as wide.
    """
    place = [i for i, plate in enumerate(PLATES) if plate in degrees and plate in sigma]
    if not place:
        return {}, {}
    own = np.array([degrees[PLATES[i]] for i in place])
    spread = np.maximum([sigma[PLATES[i]] for i in place], _LEAST_SIGMA_DEG)
    precision, pull = _expectation(place, plane, width)
    weight = np.ones(len(place))
    found = own
    for _ in range(_ROUNDS):
        certain = weight / spread**2
        found = np.linalg.solve(precision + np.diag(certain), pull + certain * own)
        weight = (FREEDOM + 1) / (FREEDOM + ((own - found) / spread) ** 2)
    variance = np.diag(np.linalg.inv(precision + np.diag(weight / spread**2)))
    names = [PLATES[i] for i in place]
    return dict(zip(names, found.tolist(), strict=True)), dict(zip(names, np.sqrt(variance).tolist(), strict=True))


def _expectation(place: list[int], plane: Plane, width: float) -> tuple[Floats, Floats]:
    """(n, n) precision and (n,) pull of what is expected of the plates at ``place``."""
    mean, deviation = EXPECTED[plane]
    at = {i: row for row, i in enumerate(place)}
    precision, pull = np.zeros((len(place), len(place))), np.zeros(len(place))
    for i in place:
        if i - 1 not in at or i + 1 not in at:
            continue
        departure = np.zeros(len(place))
        departure[at[i]], departure[at[i - 1]], departure[at[i + 1]] = 1.0, -0.5, -0.5
        certain = 1 / (width * deviation[i - 1]) ** 2
        precision += certain * np.outer(departure, departure)
        pull += certain * mean[i - 1] * departure
    return precision, pull
