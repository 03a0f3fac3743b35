"""Drift of new studies: a comparison with the training population after each intake, as a record and a page.

The training population are the studies of the dataset's train split. New studies are those that the dataset does not
contain yet. The window therefore grows with each batch until a retraining takes the studies in.

Contract: ``state/drift/`` has ``drift.json``, ``report.html`` and the features of each study, which are computed once.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from orchestration.pipeline.params import Params
from orchestration.pipeline.second_reading import readings_of_stored
from orchestration.pipeline.step_report import Figure, Row, StepReport
from orchestration.pipeline.workspace import Workspace
from spine.dataset import read_manifest
from spine.storage import write_text_atomically
from spine.study import read_study, study_ids
from spine.types import Progress
from validation.dataset.build import read_build_record
from validation.dataset.drift import DriftLimits, DriftReport, compare_populations, read_drift, write_drift
from validation.dataset.drift_page import write_drift_page
from validation.dataset.population import StudyFeatures, features_of
from validation.dataset.second_reading import Reading

VERSION = 1
"""Increase this when the features change; all studies are then read again."""
PART = 256
"""Number of studies that are in memory at a time. The second reader starts its workers once for each part."""


def compare_with_training(workspace: Workspace, params: Params, progress: Progress | None = None) -> StepReport:
    """Compare the studies that the dataset does not contain with those that it trains on."""
    found = populations_of(workspace)
    features = _features_of(workspace, params, (*found.trained, *found.new), progress)
    limits = DriftLimits(**params.drift.model_dump())
    report = compare_populations([features[s] for s in found.trained], [features[s] for s in found.new], limits)
    write_drift_page(report, limits, workspace.drift / "report.html")
    write_drift(report, workspace.drift / "drift.json")
    return _step_report(report, workspace)


def compare_test_with_training(workspace: Workspace, params: Params) -> DriftReport | None:
    """Compare the training studies with the frozen test set on which a model is judged; None without the store."""
    entries = list(read_manifest(workspace.dataset).index())
    ids = {split: [e.study_id for e in entries if e.split == split] for split in ("test", "train")}
    if not all((workspace.studies / study / "study.json").is_file() for of_split in ids.values() for study in of_split):
        return None
    features = _features_of(workspace, params, (*ids["test"], *ids["train"]))
    limits = DriftLimits(**params.drift.model_dump())
    return compare_populations([features[s] for s in ids["test"]], [features[s] for s in ids["train"]], limits)


@dataclass(frozen=True)
class Populations:
    """The stored studies, as a dataset divides them.

    Attributes:
        digest: digest of the dataset; empty without a dataset.
        trained: ids of the studies that the dataset trains on.
        new: ids of the studies that it has neither used nor left out.
    """

    digest: str
    trained: list[str]
    new: list[str]


def populations_of(workspace: Workspace) -> Populations:
    """The populations of the present dataset, all from one reading of its manifest."""
    stored = study_ids(workspace.studies)
    if not (workspace.dataset / "manifest.json").is_file():
        return Populations("", [], stored)
    manifest = read_manifest(workspace.dataset)
    entries = list(manifest.index())
    trained = {entry.study_id for entry in entries if entry.split == "train"}
    seen = {entry.study_id for entry in entries} | set(read_build_record(workspace.dataset).left_out)
    return Populations(manifest.digest, [s for s in stored if s in trained], [s for s in stored if s not in seen])


def latest_drift(workspace: Workspace) -> DriftReport | None:
    """The last comparison of this workspace; None if there is none."""
    return read_drift(workspace.drift / "drift.json")


def _features_of(
    workspace: Workspace, params: Params, studies: Sequence[str], progress: Progress | None = None
) -> dict[str, StudyFeatures]:
    """Study id -> features, from the files of earlier calls where they exist."""
    missing = [study for study in studies if not _features_file(workspace, study).is_file()]
    for start in range(0, len(missing), PART):  # a part at a time, because the studies of a part are in memory
        _write_features(workspace, params, missing[start : start + PART])
        if progress is not None:
            progress(min(start + PART, len(missing)), len(missing))
    return {study: _kept_features(workspace, study) for study in studies}


def _features_file(workspace: Workspace, study_id: str) -> Path:
    return workspace.drift / "features" / f"{VERSION}-{study_id}.json"


def _kept_features(workspace: Workspace, study_id: str) -> StudyFeatures:
    return StudyFeatures(**json.loads(_features_file(workspace, study_id).read_text()))


def _write_features(workspace: Workspace, params: Params, study_ids: Sequence[str]) -> None:
    studies = [read_study(workspace.studies / study_id) for study_id in study_ids]
    readings: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings_of_stored(workspace, params, studies):
        readings[reading.study_id].append(reading)
    for study in studies:
        folder = workspace.studies / study.study_id
        images = {name: np.load(folder / view.image, mmap_mode="r") for name, view in study.views.items()}
        features = features_of(study, images, readings[study.study_id])
        write_text_atomically(_features_file(workspace, study.study_id), json.dumps(asdict(features)))


def _step_report(report: DriftReport, workspace: Workspace) -> StepReport:
    figures: dict[str, Figure] = {
        "outcome": report.outcome,
        "new studies": report.new_studies,
        "studies trained on": report.old_studies,
        "features compared": len(report.features),
        "features drifted": len(report.drifted),
    }
    rows: list[Row] = [
        {
            "feature": feature.name,
            "trained on": feature.old,
            "new": feature.new,
            "distance": round(feature.distance, 3),
            "adjusted p": float(f"{feature.adjusted:.2g}"),
            "drifted": feature.drifted,
        }
        for feature in report.features[:20]
    ]
    pages = {"report": str(workspace.drift / "report.html")}
    return StepReport("drift", figures, {"features by distance": rows} if rows else {}, pages=pages)
