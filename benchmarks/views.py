"""False alarms and detections of the check for exchanged views at intake.

Every second virtual patient has images of the slot scanner, the others have any appearance family. The limits of the
check were not chosen with this seed.
"""

from benchmarks.figures import Figure
from simulation.body.patient import build_patient
from simulation.cohort.config import CohortConfig
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from spine.intake.view_evidence import views_seem_exchanged
from spine.landmarks import VIEWS
from spine.worker_pool import worker_pool

PATIENTS, SEED, WORKERS = 600, 9090, 2


def figures() -> list[Figure]:
    """Shares of correct pairs and of exchanged pairs that are reported as exchanged, percent."""
    with worker_pool(WORKERS) as pool:
        judged = list(pool.map(_judged, range(PATIENTS), chunksize=10))
    how = f"{PATIENTS} virtual patients of seed {SEED}, all conditions, fields and appearances"
    alarms, hits = (100 * sum(which) / PATIENTS for which in zip(*judged, strict=True))
    return [
        Figure("correct pairs reported as exchanged", alarms, "%", "", how),
        Figure("exchanged pairs reported as exchanged", hits, "%", "", how),
    ]


def _judged(index: int) -> tuple[bool, bool]:
    """Whether the correct pair and the exchanged pair of one patient are reported as exchanged."""
    config = CohortConfig(count=1, seed=SEED)
    seed = config.case_seed(index)
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    images = render_views(patient, geometry, seed, "scanner" if index % 2 else None)
    exchanged = dict(zip(VIEWS, (images[view] for view in VIEWS[::-1]), strict=True))
    points = patient.reconstruction
    return views_seem_exchanged(images, geometry, points), views_seem_exchanged(exchanged, geometry, points)
