"""The second reader of a dataset: a model reads every image again, so that wrong images and labels are found.

The bundled model is the default. It has not learnt from the workspace's studies, so it cannot have learnt their faults.
Studies that Plumbline itself has drawn (source ``virtual``) are not read: their labels are exact.

Contract: an image is read once by each model. Readings are kept in ``state/readings``, and a changed study has another
id. A killed run keeps the readings that it has made. They are the same for any number of workers.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.bundled import BUNDLED_NAME, open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import load_model
from orchestration.pipeline.params import Params
from orchestration.pipeline.predicting import BATCH, ModelOfTask
from orchestration.pipeline.work import work_of
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, load_example_image, read_manifest
from spine.landmarks import LANDMARK_SETS, LandmarkSet, ViewName
from spine.projection import locate_landmarks
from spine.storage import write_text_atomically
from spine.study import Points2D, StoredImage, Study, points_from_json, points_to_json
from spine.types import Progress
from validation.dataset.results import ValidationConfig
from validation.dataset.second_reading import Reading, compared

VERSION = 2
"""Increase this when the comparison changes; all images are then read again."""

Labelled = Mapping[ViewName, tuple[ImageInput, Points2D]]
Item = TypeVar("Item", Example, Study)


def readings_of(
    workspace: Workspace, config: ValidationConfig, progress: Progress | None = None
) -> tuple[Reading, ...]:
    """The readings of every image of the dataset that Plumbline has not drawn, without their points.

    Empty without a reader. ``points_of_reading`` reads the points of one.
    """
    manifest = read_manifest(workspace.dataset)
    count = sum(entry.source != "virtual" for entry in manifest.index())
    examples = (example for example in manifest.examples() if example.source != "virtual")
    return _readings(workspace, config, (partial(_views_of_example, workspace.dataset), examples, count), progress)


def readings_of_stored(
    workspace: Workspace, params: Params, studies: Iterable[Study], progress: Progress | None = None
) -> tuple[Reading, ...]:
    """The same for studies of the store, whether or not they are in the dataset."""
    load = partial(_views_of_study, workspace.studies, LANDMARK_SETS[params.dataset.landmark_set])
    chosen = [study for study in studies if study.source != "virtual"]
    config = ValidationConfig(**params.validation.model_dump())
    return _readings(workspace, config, (load, chosen, len(chosen)), progress)


def _readings(
    workspace: Workspace,
    config: ValidationConfig,
    given: tuple[Callable[[Item], Labelled], Iterable[Item], int],
    progress: Progress | None,
) -> tuple[Reading, ...]:
    """The readings of a number of studies, whose images and labels a function loads."""
    load, studies, count = given
    if config.second_reader == "none" or not count:
        return ()
    model = _reader(workspace, config)
    folder = _folder(workspace, model.digest)
    readings: list[Reading] = []
    with closing(
        work_of(workspace).run(partial(_readings_of_study, model, load, folder), studies, batch=BATCH)
    ) as found:
        for done, of_study in enumerate(found, start=1):
            readings += [replace(reading, points={}) for reading in of_study]  # 99 points take 16 kB
            if progress is not None:
                progress(done, count)
    return tuple(readings)


def points_of_reading(workspace: Workspace, reading: Reading) -> Points2D:
    """The landmarks that the second reader found in an image, from the file of its study."""
    records = json.loads((_folder(workspace, reading.reader) / f"{reading.study_id}.json").read_text())
    return next(points_from_json(record["points"]) for record in records if record["view"] == reading.view)


def _folder(workspace: Workspace, reader: str) -> Path:
    return workspace.state / "readings" / f"{VERSION}-{reader[:12]}"


def _reader(workspace: Workspace, config: ValidationConfig) -> ModelOfTask:
    """The local champion if it is asked for and there is one, otherwise the bundled model."""
    if config.second_reader == "champion" and workspace.champion.is_dir():
        return ModelOfTask(str(workspace.champion), load_model(workspace.champion).digest)
    return ModelOfTask(BUNDLED_NAME, open_bundled().digest)


def _readings_of_study(
    reader: ModelOfTask, load: Callable[[Item], Labelled], folder: Path, study: Item
) -> Sequence[Reading]:
    """The readings of one study, which are kept. Many processes call this, also twice for one study."""
    study_id, kept = study.study_id, folder / f"{study.study_id}.json"
    if kept.is_file():
        return [Reading(**r | {"points": points_from_json(r["points"])}) for r in json.loads(kept.read_text())]
    model = reader.open()
    views = {view: given for view, given in load(study).items() if view in model.contract.views}
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


def _views_of_study(store: Path, landmark_set: LandmarkSet, study: Study) -> Labelled:
    folder = store / study.study_id
    located = locate_landmarks(study, landmark_set)
    return {
        name: (_input(np.load(folder / view.image), view), located[name].points if name in located else {})
        for name, view in study.views.items()
    }


def _input(image: NDArray[np.uint16], view: StoredImage) -> ImageInput:
    return ImageInput(image, view.spacing_mm, view.calibration, view.geometry)
