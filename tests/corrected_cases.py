"""Cases of corrections made from virtual patients, whose true points are known."""

from pathlib import Path

import numpy as np

from spine.intake.correction import Correction, Decision, corrected_view
from spine.intake.correction_record import write_correction
from spine.landmarks import MARGINS175, VIEWS
from spine.radiograph.read import read_radiograph
from spine.reconstruction.plumbline_json import read_reconstruction
from spine.scanner import is_on_image
from spine.storage import sha256_of_bytes, sha256_of_image

PROPOSER = "c0ffee" + "0" * 58


def write_case(
    patient: Path, corrections: Path, case: str, decision: Decision = "corrected", chosen=VIEWS, **changes
) -> int:
    """Write the correction of a virtual patient's two radiographs, and return the number of the record.

    ``chosen`` are the views of the record. The person leaves the true points; the model proposed them 2 pixels lower,
    unless its proposal was accepted.
    """
    proposed_lower = {"accepted": 0.0}.get(decision, 2.0)
    files = {view: (patient / f"{view}.dcm").read_bytes() for view in VIEWS}
    views = {view: _view(view, files[view], patient, proposed_lower, decision) for view in chosen}
    fields = {"who": "reviewer", "when": "2026-12-01T10:00:00+00:00", "reason": "", "model_digest": PROPOSER}
    fields |= {"model_digest": None} if decision == "annotated" else {}
    record = Correction(case, views, decision, **(fields | changes))
    return write_correction(corrections / case, record, files)


def _view(view, payload, patient, lower, decision):
    image = read_radiograph(payload)
    points = read_reconstruction(patient / "reconstruction.json").points
    names = [n for n in MARGINS175.names_in(view) if n in points]
    at = dict(zip(names, image.geometry.project(np.stack([points[n] for n in names])), strict=True))
    true = {
        n: xy
        for n, xy in at.items()
        if is_on_image(xy, image.image.shape) and is_on_image(xy + [0, lower], image.image.shape)
    }
    proposed = {} if decision == "annotated" else {n: xy + [0.0, lower] for n, xy in true.items()}
    pixels = sha256_of_image(image.image)
    return corrected_view(f"{view}.dcm", sha256_of_bytes(payload), pixels, image.image.shape, proposed, true)
