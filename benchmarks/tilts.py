"""Errors of angles from plate centres alone, for three kinds of curves through the centres.

The true angles come from the end plates of virtual patients. The measured angles come from their 39 landmarks with
noise. The figure is the standard error of the estimate. The curves are our penalised spline, a spline whose stiffness
is chosen by cross-validation, and the global polynomial of the paper.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from scipy.interpolate import make_smoothing_spline

from benchmarks.figures import Figure
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.landmarks import GALBUSERA39
from spine.measurement import tilts as ours
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.types import Floats
from validation.evaluation.agreement import agree

SPINES = 80
SHOWN = ("thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "cobb")
Tangents = Callable[[Floats, float | None], Floats]


def figures() -> list[Figure]:
    """Standard errors of the estimate for each curve, noise and parameter."""
    skeletons = [build_patient(sample_patient(5000 + i), 5000 + i).reconstruction.points for i in range(SPINES)]
    kept = ours._tangents
    methods: Mapping[str, Tangents] = {
        "penalised spline": kept,
        "cross-validated spline": _cross_validated,
        "polynomial of degree 7": _polynomial,
    }
    rows = []
    for name, tangents in methods.items():
        ours._tangents = tangents
        try:
            rows += [row for noise in (0.0, 2.0) for row in _figures(name, noise, skeletons)]
        finally:
            ours._tangents = kept
    return rows


def _figures(method: str, noise_mm: float, skeletons: list[Mapping[str, Floats]]) -> list[Figure]:
    rng = np.random.default_rng(0)
    noisy = [{n: p[n] + rng.normal(0, noise_mm, 3) for n in GALBUSERA39.names} for p in skeletons]
    truth = [measure(planes_from_points_3d(p)) for p in skeletons]
    found = [measure(planes_from_points_3d(p)) for p in noisy]
    rows = []
    for name in SHOWN:
        pairs = np.array([(t[name].value, f[name].value) for t, f in zip(truth, found, strict=True)])
        people = [str(i) for i in range(SPINES)]
        agreement = agree(name, "deg", pairs[:, 0], pairs[:, 1], people, n_truth=SPINES, resamples=0)
        see = agreement.figures["standard_error_of_estimate"].value or float("nan")
        bias = agreement.figures["bias"].value or 0.0
        rows.append(
            Figure(f"{method}, {noise_mm:g} mm, {name}", see, "deg SEE", "", f"bias {bias:+.1f}, {SPINES} spines")
        )
    return rows


def _arc_length(centres: Floats) -> Floats:
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-3))])


def _cross_validated(centres: Floats, s1_tilt_deg: float | None) -> Floats:
    parameter = _arc_length(centres)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = [make_smoothing_spline(parameter, c).derivative()(parameter) for c in centres.T]
    return np.stack(columns, axis=1)


def _polynomial(centres: Floats, s1_tilt_deg: float | None) -> Floats:
    parameter = _arc_length(centres)
    columns = [np.polynomial.Polynomial.fit(parameter, c, 7).deriv()(parameter) for c in centres.T]
    return np.stack(columns, axis=1)
