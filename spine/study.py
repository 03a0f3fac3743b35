"""The study record: one examination of one patient, and its folder on disk.

Contract: one folder per study,

    <study_id>/study.json            written last: a folder without it is unfinished
    <study_id>/frontal.npy           (H, W) uint16, bone bright, canonical orientation
    <study_id>/lateral.npy
    <study_id>/reconstruction.json   where the study has a 3D reconstruction

An absent view, landmark, age ... is an absent key or None, never zero or NaN.
"""

import json
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

CalibrationType = Literal["GEOMETRY", "FIDUCIAL", "ERMF", "PROJECTION", "UNKNOWN", "NONE"]
"""Where the spacing of an image comes from; ``radiograph.spacing`` has the decision table."""

LENGTHS_ALLOWED: frozenset[str] = frozenset({"GEOMETRY", "FIDUCIAL", "ERMF"})
"""Calibrations with which lengths in the patient are reported. With the others, only angles are reported."""

Points2D = Mapping[str, Floats]
"""Landmark name -> (2,) (column, row) in pixels; an absent landmark has no key."""


@dataclass(frozen=True)
class StoredImage:
    """One image on disk, with its calibration.

    Attributes:
        image: path in the folder of the study or dataset.
        sha256: digest of the shape and pixels of the image; it does not depend on any UID.
        shape: (H, W).
        spacing_mm: (row, column) in mm, or None where it is unknown (angles then assume square pixels).
        calibration: where the spacing comes from.
        geometry: position in the scanner; None where the image allows 2D measurements only.
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
        study_id: content address (16 hex digits) of the images, reconstruction and labels.
        patient: pseudonym. All studies of one patient share it, and all go to the same split.
        source: kind of the source (``folder``, ``virtual`` ...).
        views: the views that exist; none for a reconstruction without images.
        reconstruction: 3D points, where known.
        facts: age_years, sex, condition, field_of_view, simulated ...; JSON values only.
    """

    study_id: str
    patient: str
    source: str
    views: Mapping[ViewName, StudyView]
    reconstruction: Reconstruction | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_study_record(study: Study, folder: Path) -> None:
    """Write ``reconstruction.json``, where there is one, and then ``study.json`` into ``folder`` atomically."""
    if study.reconstruction is not None:
        write_reconstruction(study.reconstruction, folder / "reconstruction.json")
    record = {
        "schema": "plumbline.study/1",
        "study_id": study.study_id,
        "patient": study.patient,
        "source": study.source,
        "facts": dict(study.facts),
        "has_reconstruction": study.reconstruction is not None,
        "views": {n: asdict(view) | {"labels": points_to_json(view.labels)} for n, view in study.views.items()},
    }
    write_text_atomically(folder / "study.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_study(folder: Path) -> Study:
    """Read one finished study folder. The images stay on disk."""
    record = json.loads((folder / "study.json").read_text())
    reconstruction = read_reconstruction(folder / "reconstruction.json") if record["has_reconstruction"] else None
    views: dict[ViewName, StudyView] = {
        name: StudyView(**image_fields(view) | {"labels": points_from_json(view["labels"])})
        for name, view in record["views"].items()
    }
    study_id, patient, source, facts = (record[key] for key in ("study_id", "patient", "source", "facts"))
    return Study(study_id, patient, source, views, reconstruction, facts)


def iterate_study_folders(store: Path) -> list[Path]:
    """Finished study folders of a store, sorted by study id."""
    return sorted(path.parent for path in store.glob("*/study.json"))


def image_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of an image, with shape, spacing and geometry in the types of ``StoredImage``."""
    spacing_mm = tuple(record["spacing_mm"]) if record["spacing_mm"] else None
    geometry = geometry_from_json(record["geometry"]) if record["geometry"] else None
    return {**record, "shape": tuple(record["shape"]), "spacing_mm": spacing_mm, "geometry": geometry}


def geometry_from_json(record: Mapping[str, Any]) -> ViewGeometry:
    """A ViewGeometry from the JSON of its ``dataclasses.asdict`` form."""
    return ViewGeometry(**{**record, "shape": tuple(record["shape"]), "spacing_mm": tuple(record["spacing_mm"])})


def points_to_json(points: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Name -> list of coordinates, for points in 2D or 3D."""
    return {name: [float(c) for c in point] for name, point in points.items()}


def points_from_json(record: Mapping[str, list[float]]) -> dict[str, Floats]:
    """The inverse of ``points_to_json``."""
    return {name: np.asarray(point, dtype=np.float64) for name, point in record.items()}
