"""The study record: one examination of one patient, and its folder on disk.

Contract: a study is one folder with these files:

    <study_id>/study.json            written last: a folder without it is unfinished
    <study_id>/frontal.npy           (H, W) uint16, bone bright, canonical orientation
    <study_id>/lateral.npy           the lateral image, in the same form
    <study_id>/reconstruction.json   the 3D reconstruction, if the study has one

An absent value (a view, a landmark, the age ...) is an absent key or None, never zero or NaN.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spine.landmarks import ViewName
from spine.reconstruction.plumbline_json import read_reconstruction, write_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.storage import write_text_atomically
from spine.types import Floats

CalibrationType = Literal["GEOMETRY", "FIDUCIAL", "ERMF", "STATED", "PROJECTION", "UNKNOWN", "NONE"]
"""The source of an image's pixel spacing. ``spine.radiograph.spacing`` contains the decision table. A person gave
``STATED``, for a picture without tags."""

LENGTHS_ALLOWED: frozenset[str] = frozenset({"GEOMETRY", "FIDUCIAL", "ERMF", "STATED"})
"""Calibrations with which lengths in the patient are reported. With any other calibration, only angles are reported."""

Points2D = Mapping[str, Floats]
"""Landmark name -> (2,) (column, row) in pixels; an absent landmark has no key."""


@dataclass(frozen=True)
class StoredImage:
    """One image on disk, with its calibration.

    Attributes:
        image: path of the file, relative to the folder of the study or dataset.
        sha256: digest of the shape and pixels of the image; it does not depend on any UID.
        shape: (H, W).
        spacing_mm: (row, column) in mm, or None if unknown. Angles are then measured as if pixels were square.
        calibration: source of the spacing.
        geometry: position in the scanner; None if the image allows only 2D measurements.
    """

    view: ViewName
    image: str
    sha256: str
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None = None


@dataclass(frozen=True)
class StudyView(StoredImage):
    """One view of a study, with 2D labels (for sources without 3D points) and technical facts without identifiers."""

    labels: Points2D = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One examination of one patient: up to two views, with a 3D reconstruction, 2D labels or neither.

    Attributes:
        study_id: digest (16 hex digits) of the images, reconstruction and labels.
        patient: pseudonym of the patient. All studies of one patient have the same pseudonym and the same split.
        source: kind of the source (``folder``, ``virtual`` ...).
        views: view -> image; empty for a reconstruction without images.
        reconstruction: 3D points, or None.
        facts: age_years, sex, condition, field_of_view, simulated ...; JSON values only.
        revises: ids of the studies that this study replaces, because it has more views or a corrected reconstruction.
            The replaced studies stay in the store.
    """

    study_id: str
    patient: str
    source: str
    views: Mapping[ViewName, StudyView]
    reconstruction: Reconstruction | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    revises: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudySummary:
    """What selection and splits need of a study: small, because all summaries of a store are in memory at once.

    Attributes:
        study_id, patient, source, revises: as in ``Study``.
        images: view -> SHA-256 of the image.
        labelled: whether the study has a reconstruction or 2D labels.
        facts: the facts in ``SUMMARY_FACTS``.
    """

    study_id: str
    patient: str
    source: str
    revises: tuple[str, ...]
    images: Mapping[ViewName, str]
    labelled: bool
    facts: Mapping[str, Any]


SUMMARY_FACTS = ("condition", "correction", "label_weight")
"""The facts of a study that a ``StudySummary`` keeps."""


def write_study_record(study: Study, folder: Path) -> None:
    """Write ``study.json``, after ``reconstruction.json`` if the study has one. Each file is written atomically."""
    if study.reconstruction is not None:
        write_reconstruction(study.reconstruction, folder / "reconstruction.json")
    record = {
        "schema": "plumbline.study/1",
        "study_id": study.study_id,
        "patient": study.patient,
        "source": study.source,
        "facts": dict(study.facts),
        "has_reconstruction": study.reconstruction is not None,
        "revises": list(study.revises),
        "views": {n: asdict(view) | {"labels": points_to_json(view.labels)} for n, view in study.views.items()},
    }
    write_text_atomically(folder / "study.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_study(folder: Path) -> Study:
    """Read the record of a finished study folder. The images are not loaded."""
    record = json.loads((folder / "study.json").read_text())
    reconstruction = read_reconstruction(folder / "reconstruction.json") if record["has_reconstruction"] else None
    views: dict[ViewName, StudyView] = {
        name: StudyView(**image_fields(view) | {"labels": points_from_json(view["labels"])})
        for name, view in record["views"].items()
    }
    study_id, patient, source, facts = (record[key] for key in ("study_id", "patient", "source", "facts"))
    return Study(study_id, patient, source, views, reconstruction, facts, tuple(record.get("revises", ())))


def read_study_summary(folder: Path) -> StudySummary:
    """Read the summary of a finished study folder from ``study.json`` alone."""
    record = json.loads((folder / "study.json").read_text())
    views = record["views"]
    return StudySummary(
        study_id=record["study_id"],
        patient=record["patient"],
        source=record["source"],
        revises=tuple(record.get("revises", ())),
        images={name: view["sha256"] for name, view in views.items()},
        labelled=record["has_reconstruction"] or any(view["labels"] for view in views.values()),
        facts={name: record["facts"][name] for name in SUMMARY_FACTS if name in record["facts"]},
    )


def iterate_study_folders(store: Path) -> list[Path]:
    """The finished study folders of a store, sorted by study id. No study is opened."""
    return [store / study_id for study_id in study_ids(store)]


def study_ids(store: Path) -> list[str]:
    """The ids of the finished studies of a store, sorted; empty if there is no store."""
    if not store.is_dir():
        return []
    with os.scandir(store) as entries:
        return sorted(entry.name for entry in entries if os.path.exists(f"{entry.path}/study.json"))  # noqa: PTH110


def image_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``StoredImage`` from its JSON, with the proper types of shape, spacing and geometry."""
    spacing_mm = tuple(record["spacing_mm"]) if record["spacing_mm"] else None
    geometry = geometry_from_json(record["geometry"]) if record["geometry"] else None
    return {**record, "shape": tuple(record["shape"]), "spacing_mm": spacing_mm, "geometry": geometry}


def geometry_from_json(record: Mapping[str, Any]) -> ViewGeometry:
    """The ``ViewGeometry`` whose ``dataclasses.asdict`` form was stored as JSON."""
    return ViewGeometry(**{**record, "shape": tuple(record["shape"]), "spacing_mm": tuple(record["spacing_mm"])})


def points_to_json(points: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Name -> list of coordinates, for points in 2D or 3D."""
    return {name: [float(c) for c in point] for name, point in points.items()}


def points_from_json(record: Mapping[str, list[float]]) -> dict[str, Floats]:
    """Name -> point, from the lists of coordinates that ``points_to_json`` returns."""
    # Studies repeat the same names, which take more memory than their coordinates.
    return {sys.intern(name): np.asarray(point, dtype=np.float64) for name, point in record.items()}
