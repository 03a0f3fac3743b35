"""Exactness and speed of projection, triangulation and measurement."""

import numpy as np

from benchmarks.figures import Figure, median_seconds
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry, triangulate
from tests.spine.measurement.constructed import constructed


def figures() -> list[Figure]:
    """Largest round-trip error, largest parameter error on constructed spines, time for one study."""
    return [_round_trip(), _worst_parameter_error(), _measuring_time()]


def _round_trip() -> Figure:
    points = np.random.default_rng(0).uniform([-170, -150, -450], [170, 150, 450], size=(100_000, 3))
    views = [
        ViewGeometry(v, (5000, 1896), (0.179363, 0.179363), SOURCE_TO_ISOCENTRE_MM[v]) for v in ("frontal", "lateral")
    ]
    found = triangulate(views[0].project(points), views[1].project(points), *views)
    worst = float(np.abs(found.xyz_mm - points).max())
    return Figure("projection and triangulation, worst round trip", worst, "mm", "< 1e-6", "100,000 points")


def _worst_parameter_error() -> Figure:
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(200):
        t4, t12, l1, l5, slope, tilt = rng.uniform([-10, -40, -40, -10, 5, -15], [50, 20, 10, 50, 70, 40])
        sagittal = {"T4_sup": t4, "T12_inf": t12, "L1_sup": l1, "L5_inf": l5}
        found = measure(planes_from_points_3d(constructed(sagittal, {}, s1_deg=slope, pt_deg=tilt)))
        expected = {
            "thoracic_kyphosis_t4_t12": t4 - t12,
            "lumbar_lordosis_l1_l5": l5 - l1,
            "lumbar_lordosis_l1_s1": slope - l1,
            "sacral_slope": slope,
            "pelvic_tilt": tilt,
            "pelvic_incidence": slope + tilt,
            "pi_minus_ll": tilt + l1,
        }
        worst = max(worst, *(abs((found[n].value or np.inf) - v) for n, v in expected.items()))
    return Figure("sagittal parameters, worst error on constructed spines", worst, "deg", "< 1e-6", "200 spines")


def _measuring_time() -> Figure:
    centres_only = {n: p for n, p in constructed({}, {}).items() if n.count("_") == 1}
    planes = planes_from_points_3d(centres_only)
    seconds = median_seconds(lambda: measure(planes))
    return Figure("all parameters of one study from plate centres", 1000 * seconds, "ms", "", "median of 5")
