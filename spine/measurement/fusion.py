"""Combines the tilt of each end plate with its neighbours and the line of centres, with the uncertainty of the result.

The two margins of a plate give its tilt. One misplaced margin turns the plate by tens of degrees. A Cobb angle is a
maximum over pairs of plates and therefore selects exactly this plate. However, the true tilt of a plate departs from
the mean tilt of its two neighbours by only a degree or two (``NEIGHBOUR_DEPARTURE``). In the coronal plane it is also
nearly perpendicular to the line of plate centres (``LINE_DEPARTURE``). ``fuse_tilts`` finds the most probable tilts,
given the margins of each plate, the tilts of its neighbours and the line of centres, all weighted by their uncertainty.
The error of a margin has a Student distribution. Because of its long tail, neighbours and line can overrule a single
plate that contradicts them (iteratively reweighted least squares; Lange, Little and Taylor 1989, J Am Stat Assoc
84:881). The departure from the line is anatomical and has no outliers, so its distribution is normal.

Contract: tilts of plates without a known uncertainty are neither used nor changed. A plate without margins gets the
tilt that its neighbours and the line of centres give. S1 is left out, because its own tilt defines the pelvic angles.
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import PLATES
from spine.measurement.registry import Plane
from spine.types import Floats

_CORONAL_SD = (
    *(0.41, 0.47, 0.39, 0.48, 0.47, 0.41, 0.45, 0.39, 0.39, 0.45, 0.45, 0.59, 0.52, 0.67, 0.66, 0.59),
    *(0.63, 0.44, 0.56, 0.42, 0.60, 0.44, 0.94, 0.69, 0.84, 0.80, 0.56, 0.91, 0.63, 0.62, 1.00, 0.56),
)
_SAGITTAL_MEAN = (
    *(0.03, -0.03, 0.01, 0.00, 0.00, 0.68, -0.78, 0.94, -0.91, 1.18, -1.09, 1.28, -1.24, 1.18, -1.18, 1.06),
    *(-1.12, 0.85, -0.90, 0.78, -0.86, 0.72, -2.15, 2.71, -4.37, 3.38, -5.02, 4.17, -5.02, 3.99, -4.67, 2.69),
)
_SAGITTAL_SD = (
    *(0.58, 0.58, 0.57, 0.57, 0.54, 1.57, 1.15, 1.02, 1.06, 1.11, 1.13, 1.15, 1.17, 1.13, 1.12, 1.11),
    *(1.05, 0.89, 0.84, 1.15, 1.14, 1.35, 1.80, 3.01, 1.51, 1.31, 1.35, 1.30, 1.52, 1.25, 1.80, 1.33),
)
NEIGHBOUR_DEPARTURE: Mapping[Plane, tuple[Floats, Floats]] = {
    "coronal": (np.zeros(len(_CORONAL_SD)), np.array(_CORONAL_SD)),  # no side is preferred
    "sagittal": (np.array(_SAGITTAL_MEAN), np.array(_SAGITTAL_SD)),
}
"""Plane -> (mean, standard deviation) in degrees of (tilt of a plate minus the mean tilt of its two neighbours), for
the 32 plates T1_inf to L5_sup of the virtual population; `python -m benchmarks neighbour-tilts` computes them."""

NEIGHBOUR_WIDTH = 2.0
"""Factor on the standard deviations, because virtual plates lie on smoother lines than real ones. On virtual patients,
factors from 1 to 3 differ by less than 0.1 degrees. The calibration of a model may set another factor."""

LINE_DEPARTURE: Mapping[Plane, float] = {"coronal": 1.77}
"""Plane -> standard deviation in degrees of (tilt of a plate minus the tilt perpendicular to the line of centres), in
the virtual population; `python -m benchmarks neighbour-tilts` computes it. The sagittal plane has no key: there the
anatomy of each level turns its plates against the line by up to five degrees, and on virtual patients the line brings
nothing. On the 425 labelled AASCE radiographs that pass the validation, the standard deviation is 3.0 degrees."""

ERROR_INFLATION: Mapping[Plane, float] = {"coronal": 2.5, "sagittal": 1.0}
"""Plane -> factor on the standard deviations of tilts from margins. A network errs alike on neighbouring plates, so
their tilts are not independent evidence. In a series with the correlation r between neighbours, n values count as
n (1 - r) / (1 + r) independent ones. In the coronal plane r was 0.72 with the model for which the factor was chosen. It
is 0.68 now (virtual patients, `python -m benchmarks.ablation`). In the sagittal plane r is 0.5, but the factor 1.7
makes no angle of virtual patients better."""

DEGREES_OF_FREEDOM = 3.0
"""Degrees of freedom of the Student distribution of a margin's error."""

_ROUNDS = 8
_MIN_SIGMA_DEG = 0.05


def fuse_tilts(
    degrees: Mapping[str, float],
    sigma: Mapping[str, float],
    plane: Plane,
    width: float = NEIGHBOUR_WIDTH,
    line: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """(plate -> most probable tilt, plate -> its standard deviation), degrees.

    Args:
        degrees: plate -> tilt from its own margins.
        sigma: plate -> standard deviation of this tilt. Plates without a key keep their tilt and are not in the result.
        width: factor on the standard deviations of ``NEIGHBOUR_DEPARTURE`` and ``LINE_DEPARTURE``.
        line: plate -> tilt perpendicular to the line of centres. If margins of other plates are known, a plate that
            has only this tilt is also in the result.
    """
    own = {plate: tilt for plate, tilt in degrees.items() if plate in sigma and plate in PLATES}
    line = {p: t for p, t in (line or {}).items() if p in own or p not in degrees} if plane in LINE_DEPARTURE else {}
    place = [i for i, plate in enumerate(PLATES) if plate in own or plate in line]
    if not own:
        return {}, {}
    names = [PLATES[i] for i in place]
    tilt = np.array([own.get(name, 0.0) for name in names])
    inflation = ERROR_INFLATION[plane]
    spread = np.array([max(sigma[n], _MIN_SIGMA_DEG) * inflation if n in own else np.inf for n in names])
    precision, information = _neighbour_prior(place, plane, width)
    on_line = np.array([1 / (width * LINE_DEPARTURE[plane]) ** 2 if n in line else 0.0 for n in names])
    precision += np.diag(on_line)
    information += on_line * np.array([line.get(n, 0.0) for n in names])
    weight = np.ones(len(place))
    found = tilt
    for _ in range(_ROUNDS):
        certain = weight / spread**2
        found = np.linalg.solve(precision + np.diag(certain), information + certain * tilt)
        weight = (DEGREES_OF_FREEDOM + 1) / (DEGREES_OF_FREEDOM + ((tilt - found) / spread) ** 2)
    variance = np.diag(np.linalg.inv(precision + np.diag(weight / spread**2)))
    return dict(zip(names, found.tolist(), strict=True)), dict(zip(names, np.sqrt(variance).tolist(), strict=True))


def _neighbour_prior(place: list[int], plane: Plane, width: float) -> tuple[Floats, Floats]:
    """Prior of the tilts of n plates, given their neighbours: (n, n) precision, and (n,) precision times mean."""
    mean, deviation = NEIGHBOUR_DEPARTURE[plane]
    at = {i: row for row, i in enumerate(place)}
    precision, information = np.zeros((len(place), len(place))), np.zeros(len(place))
    for i in place:
        if i - 1 not in at or i + 1 not in at:
            continue
        departure = np.zeros(len(place))
        departure[at[i]], departure[at[i - 1]], departure[at[i + 1]] = 1.0, -0.5, -0.5
        certain = 1 / (width * deviation[i - 1]) ** 2
        precision += certain * np.outer(departure, departure)
        information += certain * mean[i - 1] * departure
    return precision, information
