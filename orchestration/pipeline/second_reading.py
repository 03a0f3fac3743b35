"""The second reader of a dataset: a model reads every image again, so that wrong images and labels are found.

The bundled model is the default. It has not learnt from the workspace's studies, so it cannot have learnt their faults.
Studies that Plumbline itself has drawn (source ``virtual``) are not read: their labels are exact.

Contract: an image is read once by each model. Readings are kept in ``state/readings``, and a changed study has another
id. A killed run keeps the readings that it has made.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inference.bundled import open_bundled
from inference.measure import predict_examples
from inference.model import Model, load_model
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, read_manifest
from spine.storage import write_text_atomically
from spine.study import points_from_json, points_to_json
from spine.types import Progress
from validation.dataset.results import ValidationConfig
from validation.dataset.second_reading import Reading, compared

VERSION = 1
"""Increase this when the comparison changes; all images are then read again."""


def readings_of(
    workspace: Workspace, config: ValidationConfig, progress: Progress | None = None
) -> tuple[Reading, ...]:
    """The readings of every image of the dataset that has not been drawn by Plumbline; empty without a reader."""
    if config.second_reader == "off":
        return ()
    examples = [e for e in read_manifest(workspace.dataset).examples if e.source != "virtual"]
    if not examples:
        return ()
    model = _reader(workspace, config)
    folder = workspace.state / "readings" / f"{VERSION}-{model.digest[:12]}"
    readings: list[Reading] = []
    for done, example in enumerate(examples, start=1):
        readings += _readings_of_study(workspace, model, example, folder / f"{example.study_id}.json")
        if progress is not None:
            progress(done, len(examples))
    return tuple(readings)


def _reader(workspace: Workspace, config: ValidationConfig) -> Model:
    """The local champion if it is asked for and there is one, otherwise the bundled model."""
    if config.second_reader == "champion" and workspace.champion.is_dir():
        return load_model(workspace.champion)
    return open_bundled()


def _readings_of_study(workspace: Workspace, model: Model, example: Example, kept: Path) -> Sequence[Reading]:
    if kept.is_file():
        return [Reading(**r | {"points": points_from_json(r["points"])}) for r in json.loads(kept.read_text())]
    views = [view for view in example.views if view in model.contract.views]
    if not views:
        return []
    (prediction,) = predict_examples(model, workspace.dataset, [example])
    readings = [
        compared(
            example.study_id,
            view,
            model.digest,
            prediction.points.get(view, {}),
            example.views[view].points,
            prediction.refused.get(view, ""),
        )
        for view in views
    ]
    records = [asdict(reading) | {"points": points_to_json(reading.points)} for reading in readings]
    write_text_atomically(kept, json.dumps(records))
    return readings
