"""Measures the bundled virtual study with a model, for the smoke test: ``validation`` cannot run models itself.

Contract: the model folder is loaded as ``plumbline measure`` loads it, by onnxruntime alone, and again for each call.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import load_model
from spine.landmarks import VIEWS, ViewName
from spine.measurement.registry import PARAMETERS
from spine.study import geometry_from_json
from validation.promotion.smoke_test import STUDY, VirtualStudyResult

TIMED_RUNS = 3
"""Number of timed runs, after one run to warm up. The shortest run counts, because other work only slows a run."""


def measure_virtual_study(folder: Path) -> VirtualStudyResult:
    """Load the model in ``folder`` and measure the bundled study; raises the errors of loading and measuring."""
    model = load_model(folder)
    views = {view: image for view, image in virtual_study_views().items() if view in model.contract.views}
    runs = [measure_views(model, views, "bundled virtual study") for _ in range(1 + TIMED_RUNS)]
    found = runs[-1].parameters
    return VirtualStudyResult(
        model_digest=model.digest,
        values={name: found[name].value for name in PARAMETERS if name in found},
        units={name: measured.unit for name, measured in found.items()},
        views=tuple(model.contract.views),
        seconds=min(run.seconds for run in runs[1:]),
    )


@cache
def virtual_study_views() -> dict[ViewName, ImageInput]:
    """The bundled study's two radiographs."""
    record = json.loads((STUDY / "study.json").read_text(encoding="utf-8"))
    views: dict[ViewName, ImageInput] = {}
    for view in VIEWS:
        geometry = geometry_from_json(record["geometry"][view])
        with Image.open(STUDY / f"{view}.png") as stored:
            image = np.asarray(stored).astype(np.uint16) * 257  # the file has 8 of the 16 bits
        views[view] = ImageInput(image, geometry.spacing_mm, "GEOMETRY", geometry)
    return views
