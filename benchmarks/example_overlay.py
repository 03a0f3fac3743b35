"""The overlay of the documentation: one virtual patient, measured by the bundled model.

    python -m benchmarks.example_overlay [PATIENT]     writes docs/overlay.png

The patient is one of seed 2026, as on the contact sheets.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.overlay import draw_overlay, interval_lines, warnings_of
from simulation.body.patient import build_patient
from simulation.cohort.config import CohortConfig
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from spine.scanner import NATIVE_SPACING_MM

OVERLAY, PATIENT = Path("docs/overlay.png"), 8
_COLOURS, _COLOURED = 128, 24
_CONFIG = CohortConfig(count=1, seed=2026, shape=(1024, 512), spacing_mm=4 * NATIVE_SPACING_MM)


def main(arguments: Sequence[str]) -> None:
    """Render and measure the patient, and write the overlay as a small file."""
    seed = _CONFIG.case_seed(int(arguments[0]) if arguments else PATIENT)
    patient = build_patient(sample_patient(seed), seed)
    geometry = scan_geometry(patient, _CONFIG.shape, _CONFIG.spacing_mm)
    inputs = {
        view: ImageInput(image, geometry[view].spacing_mm, "GEOMETRY", geometry[view])
        for view, image in render_views(patient, geometry, seed, "scanner").items()
    }
    model = open_bundled()
    found = measure_views(model, inputs)
    overlay = draw_overlay(
        inputs,
        found.points,
        found.parameters,
        title="Plumbline measurement",
        footer=f"bundled model ({model.digest[:12]})",
        provenance="virtual patient, model trained on simulated data",
        intervals=interval_lines(found),
        warnings=warnings_of(found),
        classes=found.classes,
    )
    _with_few_colours(overlay).save(OVERLAY, optimize=True)


def _with_few_colours(image: Image.Image) -> Image.Image:
    """The image with 128 greys for the radiographs and 128 colours for what is drawn on them."""
    pixels = np.asarray(image)
    coloured = pixels[np.ptp(pixels.astype(int), axis=2) > _COLOURED]
    drawn = Image.fromarray(coloured[None]).quantize(_COLOURS, Image.Quantize.MEDIANCUT).getpalette() or []
    greys = [level for grey in np.linspace(0, 255, _COLOURS).astype(int).tolist() for level in (grey,) * 3]
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + drawn)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main(sys.argv[1:])
