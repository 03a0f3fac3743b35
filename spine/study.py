"""Study: what is known of one examination, and how it lies on disk.

Contract: one folder per study,

    <study_id>/study.json          written last: a folder without it is unfinished
    <study_id>/frontal.npy         (H, W) uint16, bone bright, canonical orientation
    <study_id>/lateral.npy
    <study_id>/reconstruction.json (when a 3D reconstruction came along)

An absent view, landmark, age ... is an absent key or None, never zero or NaN.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry

CalibrationType = Literal["GEOMETRY", "FIDUCIAL", "ERMF", "PROJECTION", "UNKNOWN", "NONE"]
"""Where an image's spacing comes from: the outcome of the decision table in ``radiograph.spacing``."""

LENGTHS_ALLOWED: frozenset[str] = frozenset({"GEOMETRY", "FIDUCIAL", "ERMF"})
"""Calibrations under which lengths in the patient may be reported; under the others only angles may."""

Points2D = Mapping[str, NDArray[np.float64]]
"""Landmark name -> (2,) (column, row) in pixels; an absent landmark has no key."""


@dataclass(frozen=True)
class StudyView:
    """One view of a study.

    Attributes:
        view: ``frontal`` or ``lateral``.
        image: file name inside the study's folder.
        sha256: of the image's pixels (shape and uint16 bytes), independent of any UID.
        shape: (H, W).
        spacing_mm: (row, column) in mm, or None where nothing is known (angles then assume square pixels).
        calibration: source of the spacing.
        geometry: position in the scanner where the strict 3D path is open, else None (2D only).
        labels: 2D landmark labels in pixels that came with the study, for sources without a 3D reconstruction.
        facts: technique facts safe to keep (kVp, manufacturer, photometric interpretation found ...).
    """

    view: ViewName
    image: str
    sha256: str
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    calibration: CalibrationType
    geometry: ViewGeometry | None = None
    labels: Points2D = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One examination of one patient: any of two views, with a reconstruction, 2D labels or neither.

    Attributes:
        study_id: content address (16 hex digits) over images, reconstruction and labels.
        patient: pseudonymous key; all studies of one patient share it, and a split never parts them.
        source: the reader it came through.
        views: the views there are; may hold one, or none for a reconstruction without images.
        reconstruction: 3D points, where known.
        facts: age_years, sex, condition, field_of_view, simulated ... : JSON values only.
    """

    study_id: str
    patient: str
    source: str
    views: Mapping[ViewName, StudyView]
    reconstruction: Reconstruction | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_study_record(study: Study, folder: Path) -> None:
    """Write ``study.json`` (and ``reconstruction.json``) into ``folder`` atomically, the record last."""
    from spine.reconstruction.plumbline_json import write_reconstruction
    from spine.storage import write_text_atomically

    if study.reconstruction is not None:
        write_reconstruction(study.reconstruction, folder / "reconstruction.json")
    record = {
        "schema": "plumbline.study/1",
        "study_id": study.study_id,
        "patient": study.patient,
        "source": study.source,
        "facts": dict(study.facts),
        "has_reconstruction": study.reconstruction is not None,
        "views": {name: _view_to_json(view) for name, view in study.views.items()},
    }
    write_text_atomically(folder / "study.json", json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_study(folder: Path) -> Study:
    """Read one finished study folder (the images stay on disk; see ``load_image``)."""
    from spine.reconstruction.plumbline_json import read_reconstruction

    record = json.loads((folder / "study.json").read_text())
    reconstruction = read_reconstruction(folder / "reconstruction.json") if record["has_reconstruction"] else None
    return Study(
        study_id=record["study_id"],
        patient=record["patient"],
        source=record["source"],
        views={name: _view_from_json(view) for name, view in record["views"].items()},
        reconstruction=reconstruction,
        facts=record["facts"],
    )


def load_image(folder: Path, view: StudyView) -> NDArray[np.uint16]:
    """(H, W) uint16 image of a view, memory-mapped read-only."""
    image: NDArray[np.uint16] = np.load(folder / view.image, mmap_mode="r", allow_pickle=False)
    return image


def iterate_study_folders(store: Path) -> list[Path]:
    """Finished study folders of a store, sorted by id."""
    return sorted(path.parent for path in store.glob("*/study.json"))


def _view_to_json(view: StudyView) -> dict[str, Any]:
    record = asdict(view)
    record["labels"] = {name: [float(c) for c in xy] for name, xy in view.labels.items()}
    return record


def _view_from_json(record: dict[str, Any]) -> StudyView:
    geometry = record["geometry"]
    return StudyView(
        view=record["view"],
        image=record["image"],
        sha256=record["sha256"],
        shape=tuple(record["shape"]),
        spacing_mm=tuple(record["spacing_mm"]) if record["spacing_mm"] else None,
        calibration=record["calibration"],
        geometry=geometry_from_json(geometry) if geometry else None,
        labels={name: np.asarray(xy, dtype=np.float64) for name, xy in record["labels"].items()},
        facts=record["facts"],
    )


def geometry_from_json(record: Mapping[str, Any]) -> ViewGeometry:
    """A ViewGeometry from its ``dataclasses.asdict`` form after a trip through JSON."""
    return ViewGeometry(
        view=record["view"],
        shape=(int(record["shape"][0]), int(record["shape"][1])),
        spacing_mm=(float(record["spacing_mm"][0]), float(record["spacing_mm"][1])),
        source_to_isocentre_mm=float(record["source_to_isocentre_mm"]),
        u0_mm=float(record["u0_mm"]),
        z0_mm=float(record["z0_mm"]),
    )
