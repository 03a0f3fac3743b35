"""The features of a study by which two populations of studies are compared: scanner, image, patient and spine.

Contract: features follow from the study record, the pixels and the readings of a second reader. They contain no
identifier. A feature that is not known for a study has no key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.study import Study
from validation.dataset.reference_parameters import reference_parameters
from validation.dataset.second_reading import Reading

SAMPLED_ROWS = 256
"""Grey values are sampled on about this number of rows and columns, which is enough for shares and deviations."""

_CATEGORIES = ("manufacturer", "photometric", "intensity", "spacing_rule", "transfer_syntax", "body_part")
_PARAMETERS = ("cobb", "thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "pelvic_incidence", "pelvic_tilt")


@dataclass(frozen=True)
class StudyFeatures:
    """The features of one study: name -> category, and name -> number."""

    study_id: str
    categories: Mapping[str, str]
    numbers: Mapping[str, float]


def features_of(
    study: Study, images: Mapping[ViewName, NDArray[np.uint16]], readings: Sequence[Reading] = ()
) -> StudyFeatures:
    """The features of a study with its (H, W) images, 0..4095, and what a second reader found in them."""
    categories = {"views": " and ".join(sorted(study.views)) or "none", "source": study.source}
    categories |= {name: str(study.facts[name]) for name in ("sex", "condition") if name in study.facts}
    numbers: dict[str, float] = {}
    if isinstance(age := study.facts.get("age_years"), int | float):
        numbers["age (years)"] = float(age)
    for name, view in study.views.items():
        categories |= {f"{name} {fact}": str(view.facts[fact]) for fact in _CATEGORIES if fact in view.facts}
        categories[f"{name} calibration"] = view.calibration
        numbers |= {f"{name} {key}": value for key, value in image_numbers(images[name]).items()}
        if view.spacing_mm is not None:
            numbers[f"{name} spacing (mm)"] = view.spacing_mm[0]
            numbers[f"{name} height (mm)"] = view.spacing_mm[0] * view.shape[0]
        if isinstance(kilovolts := view.facts.get("kvp"), int | float):
            numbers[f"{name} tube voltage (kV)"] = float(kilovolts)
    truth = {name: known.value for name, known in reference_parameters(study).items()}
    numbers |= {f"{name} (deg)": float(v) for name in _PARAMETERS if (v := truth.get(name)) is not None}
    for reading in readings:
        numbers |= _numbers_of_reading(reading)
    return StudyFeatures(study.study_id, categories, numbers)


def image_numbers(image: NDArray[np.uint16]) -> dict[str, float]:
    """Statistics of an (H, W) image: shape, grey values as shares of the range, and sharpness."""
    steps = [max(1, size // SAMPLED_ROWS) for size in image.shape]
    grey = image[:: steps[0], :: steps[1]].astype(np.float32) / 4095
    low, middle, high = (float(p) for p in np.percentile(grey, [5, 50, 95]))
    detail = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return {
        "width to height": image.shape[1] / image.shape[0],
        "dark grey (5 %)": low,
        "median grey": middle,
        "bright grey (95 %)": high,
        "black share": float((grey < 0.01).mean()),
        "white share": float((grey > 0.99).mean()),
        "detail": float(detail / max(float(grey.std()), 1e-6)),
    }


def _numbers_of_reading(reading: Reading) -> dict[str, float]:
    named = {
        "reader refuses (1: yes)": float(bool(reading.refusal)),
        "reader off the labels (steps)": reading.off_line,
        "reader level shift (levels)": reading.shift,
        "reader map width (cells)": reading.width_cells,
        "levels found": float(reading.levels) if not reading.refusal else None,
    }
    return {f"{reading.view} {name}": value for name, value in named.items() if value is not None}
