"""Finds the sphere of a femoral head on the surface of a femur or of a head alone.

Candidate spheres through four random samples are compared by the number of samples near them (RANSAC, Fischler and
Bolles 1981), and the best one is fitted to these samples by least squares. The random numbers are always the same.

Contract: LPS mm. Only the upper ``TOP_MM`` of the mesh are searched. A sphere that too few samples support gives None.
"""

import numpy as np

from spine.reconstruction.meshes import Mesh
from spine.reconstruction.vertebra_surface import surface_samples
from spine.types import Float, Floats

TOP_MM = 70.0
RADIUS_MM = (14.0, 34.0)
NEAR_MM = 1.0
_STEP_MM = 2.0
_MOST_SAMPLES, _CANDIDATES = 1500, 2000
_LEAST_SUPPORT = 0.2


def find_femoral_head(mesh: Mesh) -> tuple[Floats, float] | None:
    """Centre (3,) and radius of the femoral head, mm; None if the surface has no such sphere."""
    samples = surface_samples(mesh, _STEP_MM)
    samples = samples[samples[:, 2] >= samples[:, 2].max() - TOP_MM]
    rng = np.random.default_rng(0)
    if len(samples) > _MOST_SAMPLES:
        samples = samples[rng.choice(len(samples), _MOST_SAMPLES, replace=False)]
    origin = samples.mean(axis=0)
    local = samples - origin
    centre, radius = _best_candidate(local, rng)
    for _ in range(3):
        near = np.abs(np.linalg.norm(local - centre, axis=1) - radius) <= NEAR_MM
        if near.sum() < max(_LEAST_SUPPORT * len(local), 20):
            return None
        centre, radius = _fitted(local[near])
    if not RADIUS_MM[0] <= radius <= RADIUS_MM[1]:
        return None
    return centre + origin, radius


def _best_candidate(samples: Float[Floats, "N 3"], rng: np.random.Generator) -> tuple[Floats, float]:
    best, most = (np.zeros(3), 0.0), 0
    for four in rng.integers(0, len(samples), (_CANDIDATES, 4)):
        sides = 2 * (samples[four[1:]] - samples[four[0]])
        if abs(np.linalg.det(sides)) < 1.0:
            continue
        squares = (samples[four[1:]] ** 2).sum(axis=1) - (samples[four[0]] ** 2).sum()
        centre = np.linalg.solve(sides, squares)
        radius = float(np.linalg.norm(samples[four[0]] - centre))
        if not RADIUS_MM[0] <= radius <= RADIUS_MM[1]:
            continue
        near = int((np.abs(np.linalg.norm(samples - centre, axis=1) - radius) <= NEAR_MM).sum())
        if near > most:
            best, most = (centre, radius), near
    return best


def _fitted(samples: Float[Floats, "N 3"]) -> tuple[Floats, float]:
    """The algebraic least-squares sphere: |p|2 = 2 p.c + (r2 - |c|2)."""
    design = np.column_stack([2 * samples, np.ones(len(samples))])
    solution = np.linalg.lstsq(design, (samples**2).sum(axis=1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(max(solution[3] + centre @ centre, 0.0)))
