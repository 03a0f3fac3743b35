"""The 481 real radiographs, where they are available: the suite must find the labels that are wrong by eye."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spine.dataset import Example, ExampleView
from spine.landmarks import CORNERS68, VERTEBRAE
from validation.dataset.checking import check_labels
from validation.dataset.suites import Minimums, Suite, suites
from validation.dataset.validate import findings_of

SHARED = Path(os.environ.get("PLUMBLINE_SHARED", Path(__file__).resolve().parents[4] / "shared"))
RADIOGRAPHS = SHARED / "data" / "aasce_training"

SCRAMBLED = {10, 77, 103, 105, 107, 110, 122, 124, 144, 179, 180, 181, 182, 185, 193, 221, 342, 368}
"""Rows whose seventeenth vertebra is labelled above the first (checked by eye)."""
DOUBLED = {376, 380, 397, 398, 420, 445}
"""Rows where two levels are labelled on one vertebra."""
BANDS = {2, 14, 31, 33, 40, 84, 208, 476}
"""Rows with labels that are narrow bands, of discs or of the middles of vertebrae."""
RIGHT = {267, 326, 277, 300, 340, 115, 112, 464, 302, 282, 363, 355, 459, 113, 57, 263, 183, 83, 55, 315, 467, 404}
"""A random sample of rows with right labels (checked by eye)."""


def radiograph_examples():
    names = (RADIOGRAPHS / "filenames.csv").read_text().splitlines()
    rows = (RADIOGRAPHS / "landmarks.csv").read_text().splitlines()
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        cells = row.split(",")
        with Image.open(RADIOGRAPHS / "images" / name) as image:
            width, height = image.size
        at = np.stack([np.array(cells[:68], float) * width, np.array(cells[68:], float) * height], axis=1)
        corners = ("sup_right", "sup_left", "inf_right", "inf_left")
        labels = {f"{level}_{c}": at[4 * i + j] for i, level in enumerate(VERTEBRAE) for j, c in enumerate(corners)}
        view = ExampleView("frontal", "", f"{number:064x}", (height, width), None, "NONE", None, labels)
        patient = re.search(r"(?:-|coronal)(\d+)(?: [^-]*)?$", name.removesuffix(".jpg"))[1]
        yield Example(f"{number:03d}", patient, "train", "aasce", {"frontal": view})


@pytest.mark.skipif(not RADIOGRAPHS.is_dir(), reason="the real radiographs are not at hand (PLUMBLINE_SHARED)")
def test_wrong_labels_are_found_and_right_labels_pass():
    rules = {suite.table: suite.rules for suite in suites("frontal_radiographs", CORNERS68, Minimums(1, 1, 1))}
    whole = tuple(r for r in rules["studies"] if r.name in ("vertebrae_not_discs", "side_of_the_curve"))
    chosen = (Suite("levels", rules["levels"]), Suite("studies", whole))
    outcomes = check_labels(radiograph_examples(), chosen)
    assert all(o.is_evidence for o in outcomes)
    found = findings_of(outcomes)
    bad = {int(f.study_id) for f in found if f.severity == "error"}
    assert bad >= SCRAMBLED | DOUBLED | BANDS
    assert not bad & RIGHT
    assert 45 <= len(bad) <= 70
    assert {"475", "476"} <= {f.study_id for f in found if f.rule == "side_of_the_curve"}
