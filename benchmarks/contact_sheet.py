"""Contact sheets of virtual patients for the documentation.

    python -m benchmarks.contact_sheet          writes docs/virtual-pairs.png and docs/virtual-radiographs.png

Contract: patients 0..23 of seed 2026, not selected.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from simulation.body.patient import build_patient
from simulation.cohort.config import CohortConfig
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from simulation.stream.radiographs import frontal_radiographs

SEED, COUNT = 2026, 24
PAIRS, RADIOGRAPHS = Path("docs/virtual-pairs.png"), Path("docs/virtual-radiographs.png")
_CAPTION = 12


def main() -> None:
    """Draw both sheets."""
    _sheet([_pair(index) for index in range(COUNT)], 6).save(PAIRS, optimize=True)
    radiographs = frontal_radiographs(COUNT, SEED, (448, 192), batch_size=4).images.numpy()
    _sheet([(radiograph, f"radiograph {i}") for i, radiograph in enumerate(radiographs)], 12).save(
        RADIOGRAPHS, optimize=True
    )


def _pair(index: int) -> tuple[NDArray[np.uint8], str]:
    config = CohortConfig(count=COUNT, seed=SEED, shape=(512, 256))
    seed = config.case_seed(index)
    parameters = sample_patient(seed)
    patient = build_patient(parameters, seed)
    views = render_views(patient, scan_geometry(patient, config.shape, config.spacing_mm), seed)
    rows = []
    for image in (views["frontal"], views["lateral"]):
        whole = np.zeros(config.shape, np.uint8)
        whole[: image.shape[0]] = image >> 4
        rows.append(np.asarray(Image.fromarray(whole).resize((160, 320), Image.Resampling.LANCZOS)))
    largest = max((curve.cobb_deg for curve in parameters.curves), default=0.0)
    anatomy = "" if parameters.anatomy == "standard" else f", {parameters.anatomy}"
    caption = f"{parameters.condition}{anatomy}, {parameters.sex} {parameters.age_years:.0f}, {largest:.0f} deg"
    return np.concatenate(rows, axis=1), caption


def _sheet(tiles: list[tuple[NDArray[np.uint8], str]], columns: int) -> Image.Image:
    height, width = tiles[0][0].shape
    cell_high, cell_wide = height + _CAPTION + 4, width + 4
    sheet = Image.new("L", (columns * cell_wide, -(-len(tiles) // columns) * cell_high), 24)
    draw = ImageDraw.Draw(sheet)
    for i, (tile, caption) in enumerate(tiles):
        x, y = (i % columns) * cell_wide, (i // columns) * cell_high
        sheet.paste(Image.fromarray(tile), (x + 2, y + _CAPTION + 2))
        draw.text((x + 3, y), caption.replace("_", " "), fill=210, font_size=10)
    return sheet


if __name__ == "__main__":
    main()
