"""Asking a model about the bundled virtual patient, for the gate: the room that judges cannot run models itself.

Contract: the folder is loaded as ``plumbline measure`` loads it, with onnxruntime and nothing else; every asking opens
the files anew.
"""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spine.landmarks import VIEWS, ViewName
from spine.measurement.registry import PARAMETERS
from spine.study import geometry_from_json

if TYPE_CHECKING:
    from inference.inputs import ImageInput
    from validation.promotion.smoke_test import VirtualStudyResult

ASKINGS = 3
"""Timed askings after one to warm up; the shortest counts, because a busy machine only ever adds."""


def measure_virtual_study(folder: Path) -> "VirtualStudyResult":
    """Load the model in ``folder`` and ask it about the bundled study; raises what loading and asking raise."""
    from inference.measure import measure_views
    from inference.model import load_model
    from validation.promotion.smoke_test import VirtualStudyResult

    model = load_model(folder)
    views = {view: image for view, image in virtual_study_views().items() if view in model.contract.views}
    answers = [measure_views(model, views, "bundled phantom") for _ in range(1 + ASKINGS)]
    found = answers[-1].parameters
    return VirtualStudyResult(
        model_digest=model.digest,
        values={name: found[name].value for name in PARAMETERS if name in found},
        units={name: measured.unit for name, measured in found.items()},
        views=tuple(model.contract.views),
        seconds=min(answer.seconds for answer in answers[1:]),
    )


@cache
def virtual_study_views() -> dict[ViewName, "ImageInput"]:
    """The bundled study's two radiographs."""
    from PIL import Image

    from inference.inputs import ImageInput
    from validation.promotion.smoke_test import STUDY

    record = json.loads((STUDY / "study.json").read_text(encoding="utf-8"))
    views: dict[ViewName, ImageInput] = {}
    for view in VIEWS:
        geometry = geometry_from_json(record["geometry"][view])
        with Image.open(STUDY / f"{view}.png") as stored:
            image = np.asarray(stored).astype(np.uint16) * 257  # 8 of 16 bits are kept on disk
        views[view] = ImageInput(image, geometry.spacing_mm, "GEOMETRY", geometry)
    return views
