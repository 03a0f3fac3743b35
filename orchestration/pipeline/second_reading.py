"""The second reader of a dataset: a model reads every image again, so that wrong images and labels are found.

The bundled model is the default. It has not learnt from the workspace's studies, so it cannot have learnt their faults.
Studies that Plumbline itself has drawn (source ``virtual``) are not read: their labels are exact.

Contract: an image is read once by each model. Readings are kept in ``state/readings``, and a changed study has another
id. A killed run keeps the readings that it has made.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model, load_model
from orchestration.pipeline.params import Params
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, load_example_image, read_manifest
from spine.landmarks import LANDMARK_SETS, ViewName
from spine.projection import locate_landmarks
from spine.storage import write_text_atomically
from spine.study import Points2D, StoredImage, Study, points_from_json, points_to_json
from spine.types import Progress
from validation.dataset.results import ValidationConfig
from validation.dataset.second_reading import Reading, compared

VERSION = 2
"""Increase this when the comparison changes; all images are then read again."""

Labelled = Mapping[ViewName, tuple[ImageInput, Points2D]]


def readings_of(
    workspace: Workspace, config: ValidationConfig, progress: Progress | None = None
) -> tuple[Reading, ...]:
    """The readings of every image of the dataset that Plumbline has not drawn; empty without a reader."""
    examples = read_manifest(workspace.dataset).examples
    todo = {e.study_id: lambda e=e: _views_of_example(workspace.dataset, e) for e in examples if e.source != "virtual"}
    return _readings(workspace, config, todo, progress)


def readings_of_stored(
    workspace: Workspace, params: Params, studies: Iterable[Study], progress: Progress | None = None
) -> tuple[Reading, ...]:
    """The same for studies of the store, whether or not they are in the dataset."""
    todo = {s.study_id: lambda s=s: _views_of_study(workspace, params, s) for s in studies if s.source != "virtual"}
    return _readings(workspace, ValidationConfig(**params.validation.model_dump()), todo, progress)


def _readings(
    workspace: Workspace,
    config: ValidationConfig,
    todo: Mapping[str, Callable[[], Labelled]],
    progress: Progress | None,
) -> tuple[Reading, ...]:
    if config.second_reader == "none" or not todo:
        return ()
    model = _reader(workspace, config)
    folder = workspace.state / "readings" / f"{VERSION}-{model.digest[:12]}"
    readings: list[Reading] = []
    for done, (study_id, load) in enumerate(todo.items(), start=1):
        readings += _readings_of_study(model, study_id, load, folder / f"{study_id}.json")
        if progress is not None:
            progress(done, len(todo))
    return tuple(readings)


def _reader(workspace: Workspace, config: ValidationConfig) -> Model:
    """The local champion if it is asked for and there is one, otherwise the bundled model."""
    if config.second_reader == "champion" and workspace.champion.is_dir():
        return load_model(workspace.champion)
    return open_bundled()


def _readings_of_study(model: Model, study_id: str, load: Callable[[], Labelled], kept: Path) -> Sequence[Reading]:
    if kept.is_file():
        return [Reading(**r | {"points": points_from_json(r["points"])}) for r in json.loads(kept.read_text())]
    views = {view: given for view, given in load().items() if view in model.contract.views}
    if not views:
        return []
    found = measure_views(model, {view: image for view, (image, _) in views.items()}, study_id)
    readings = []
    for view, (_, labels) in views.items():
        widths = list(found.spread_px.get(view, {}).values())
        width = float(np.median(widths)) / found.cell_px[view] if widths else None
        refusal = found.refused.get(view, "")
        readings.append(compared(study_id, view, model.digest, found.points.get(view, {}), labels, refusal, width))
    records = [asdict(reading) | {"points": points_to_json(reading.points)} for reading in readings]
    write_text_atomically(kept, json.dumps(records))
    return readings


def _views_of_example(dataset: Path, example: Example) -> Labelled:
    return {n: (_input(load_example_image(dataset, view), view), view.points) for n, view in example.views.items()}


def _views_of_study(workspace: Workspace, params: Params, study: Study) -> Labelled:
    folder = workspace.studies / study.study_id
    located = locate_landmarks(study, LANDMARK_SETS[params.dataset.landmark_set])
    return {
        name: (_input(np.load(folder / view.image), view), located[name].points if name in located else {})
        for name, view in study.views.items()
    }


def _input(image: NDArray[np.uint16], view: StoredImage) -> ImageInput:
    return ImageInput(image, view.spacing_mm, view.calibration, view.geometry)
