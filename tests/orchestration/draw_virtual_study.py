"""Draw the bundled virtual patient of the smoke test: ``python -m tests.orchestration.draw_virtual_study [FOLDER]``."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from simulation.body.patient import build_patient
from simulation.cohort.config import CohortConfig
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from spine.landmarks import VIEWS
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.projection import derive_points
from validation.promotion.smoke_test import STUDY

COHORT, INDEX = CohortConfig(count=1, seed=20260), 2


def draw(folder: Path) -> None:
    """Two 8-bit images of 512 x 256 pixels, and their geometry and truths."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = COHORT.case_seed(INDEX)
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, COHORT.shape, COHORT.spacing_mm)
    images = render_views(patient, geometry, seed, "scanner")
    for view in VIEWS:
        kept = (np.asarray(images[view]).astype(np.uint32) + 128) // 257
        Image.fromarray(kept.astype(np.uint8)).save(folder / f"{view}.png", optimize=True)
    measured = measure(planes_from_points_3d(derive_points(patient.reconstruction.points)))
    record = {
        "simulated": True,
        "cohort_seed": COHORT.seed,
        "case": INDEX,
        "condition": str(patient.reconstruction.facts.get("condition")),
        "geometry": {view: asdict(geometry[view]) for view in VIEWS},
        "truths": {n: [round(m.value, 4), m.unit] for n, m in measured.items() if m.value is not None},
    }
    (folder / "study.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else STUDY)
