"""The landmarks of a study in the pixels of its images, projected from 3D points or taken from 2D labels.

Contract: a point outside its image is absent. The landmarks of a store are one folder with these files:

    <study_id>.json   the landmarks of one study that has a view; a new batch only adds files
    landmarks.json    the index, written last: a folder without it is unfinished

A study id is a digest of the study's content, so a finished file of the same landmark set is always up to date. A later
run takes its entry from the former index and does not read it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spine.errors import ContractViolation
from spine.landmarks import PLATES, S1_MARGINS, S1_PLATE, VERTEBRAE, LandmarkSet, ViewName
from spine.scanner import is_on_image
from spine.storage import remove_partials, sha256_of_bytes, write_text_atomically
from spine.study import Points2D, Study, StudyView, iterate_study_folders, points_from_json, points_to_json, read_study
from spine.types import Floats, Progress
from spine.work import IN_THIS_PROCESS, Work

SCHEMA = "plumbline.landmarks/2"
INDEX = "landmarks.json"

BATCH = 32
"""Studies that a worker gets at a time: about 0.2 s."""

AbsenceReason = Literal["OUTSIDE_IMAGE", "NOT_KNOWN", "VIEW_WITHOUT_GEOMETRY"]
"""Why a point is absent. ``OUTSIDE_IMAGE``: it lies outside the image. ``NOT_KNOWN``: there is no 3D point and no 2D
label. ``VIEW_WITHOUT_GEOMETRY``: there is a 3D point, but the view has no geometry to project it with."""


@dataclass(frozen=True)
class ViewLandmarks:
    """The points of one view, (2,) (column, row) in pixels of the image, and why the other landmarks are absent."""

    points: Points2D
    absent: Mapping[str, AbsenceReason]


@dataclass(frozen=True)
class LandmarkIndex:
    """The content of a finished landmarks folder.

    Attributes:
        landmark_set: name of the set.
        set_digest: SHA-256 of the names and views of the set; it reveals whether a set of the same name was changed.
        points: study id -> number of landmarks in its images.
        added: number of files that this run added; 0 if the index was read from disk.
        without: number of studies without an image in a view of the set; 0 if the index was read from disk.
    """

    landmark_set: str
    set_digest: str
    points: Mapping[str, int]
    added: int = 0
    without: int = 0


def locate_landmarks(study: Study, landmark_set: LandmarkSet) -> dict[ViewName, ViewLandmarks]:
    """View -> the points of a study in its image, and why the other landmarks are absent.

    3D points are projected through the geometry of each view. If a view has no geometry, or the reconstruction lacks a
    point, the 2D label of the view is used. Before that, ``derive_points`` completes the 3D points and the labels.

    Raises:
        ContractViolation: ``POINT_BEHIND_SOURCE`` if a 3D point lies behind the X-ray source.
    """
    points_3d = derive_points(study.reconstruction.points) if study.reconstruction else {}
    return {
        name: _locate_in_view(study.study_id, view, points_3d, landmark_set.names_in(name))
        for name, view in study.views.items()
        if name in landmark_set.views
    }


def derive_points(points: Mapping[str, Floats]) -> dict[str, Floats]:
    """The given ``points`` and the points that can be computed from them. Each point is (D,) with D = 2 or 3.

    The centre of a plate is the mean of its left and right margins or, if these are missing, of its front and back
    margins. The centre of S1 is the mean of its two margins. The centre of a vertebral body is the mean of its two
    plate centres. A given point is never replaced.
    """
    derived = {name: np.asarray(point, dtype=np.float64) for name, point in points.items()}
    for name, pairs in _DERIVATIONS:
        for first, second in pairs:
            if name not in derived and first in derived and second in derived:
                derived[name] = (derived[first] + derived[second]) / 2.0
    return derived


_DERIVATIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    *((plate, ((f"{plate}_left", f"{plate}_right"), (f"{plate}_ant", f"{plate}_post"))) for plate in PLATES),
    (S1_PLATE, (S1_MARGINS,)),
    *((f"{level}_body", ((f"{level}_sup", f"{level}_inf"),)) for level in VERTEBRAE),
)


def project_points(study_id: str, view: StudyView, points_3d: Mapping[str, Floats]) -> dict[str, Floats]:
    """Landmark -> (2,) pixels of its (3,) LPS mm point, inside or outside the image; empty for a view without geometry.

    Raises:
        ContractViolation: ``POINT_BEHIND_SOURCE`` if a point lies behind the X-ray source.
    """
    if view.geometry is None or not points_3d:
        return {}
    try:
        pixels = view.geometry.project(np.stack(list(points_3d.values())))
    except ValueError as error:
        expected = "3D points in mm, between source and detector, with the origin at the isocentre"
        remedy = "correct the units and the frame of the reconstruction, or leave the study out"
        raise ContractViolation("POINT_BEHIND_SOURCE", f"study {study_id}: {error}", expected, remedy) from error
    return dict(zip(points_3d, pixels, strict=True))


def _locate_in_view(
    study_id: str, view: StudyView, points_3d: Mapping[str, Floats], names: Sequence[str]
) -> ViewLandmarks:
    projected = project_points(study_id, view, {n: points_3d[n] for n in names if n in points_3d})
    labelled = derive_points(view.labels)
    points: dict[str, Floats] = {}
    absent: dict[str, AbsenceReason] = {}
    for name in names:
        point = projected.get(name, labelled.get(name))
        if point is None:
            absent[name] = "VIEW_WITHOUT_GEOMETRY" if name in points_3d else "NOT_KNOWN"
        elif not is_on_image(point, view.shape):
            absent[name] = "OUTSIDE_IMAGE"
        else:
            points[name] = point
    return ViewLandmarks(points, absent)


def write_landmarks(
    store: Path,
    out: Path,
    landmark_set: LandmarkSet,
    progress: Progress | None = None,
    work: Work = IN_THIS_PROCESS,
) -> LandmarkIndex:
    """Write the landmarks of every study in ``store`` that has a view of the landmark set into the folder ``out``.

    Raises:
        ContractViolation: ``POINT_BEHIND_SOURCE`` if a point lies behind the X-ray source. The message lists every
            study with such a point. The other studies are written; the index is not.
        PlumblineError: ``WORKER_DIED``. Written files stay.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_partials(out)
    folders = iterate_study_folders(store)
    known = _known_points(out, landmark_set)
    unknown = (folder for folder in folders if folder.name not in known)
    points: dict[str, int] = {}
    refused: list[ContractViolation] = []
    added = 0
    with closing(work.run(partial(_write_study, out, landmark_set), unknown, batch=BATCH)) as written:
        for done, folder in enumerate(folders, start=1):
            found = _Written(known[folder.name]) if folder.name in known else next(written)
            added += found.is_new
            if found.refusal is not None:
                refused.append(found.refusal)
            elif found.points is not None:
                points[folder.name] = found.points
            if progress is not None:
                progress(done, len(folders))
    if refused:
        expected = refused[0].expected
        raise ContractViolation.gathered(refused[0].code, [r.found for r in refused], expected, refused[0].remedy)
    index = LandmarkIndex(landmark_set.name, digest_of_set(landmark_set), points, added, len(folders) - len(points))
    stored = ("landmark_set", "set_digest", "points")
    record = {"schema": SCHEMA} | {key: value for key, value in vars(index).items() if key in stored}
    write_text_atomically(out / INDEX, json.dumps(record, indent=1, sort_keys=True))
    return index


def digest_of_set(landmark_set: LandmarkSet) -> str:
    """SHA-256 of a set's name, its landmark names in order, and its views."""
    content: list[Any] = [landmark_set.name, landmark_set.names, landmark_set.views]
    if landmark_set.only_in:
        content.append(dict(landmark_set.only_in))
    return sha256_of_bytes(json.dumps(content).encode())


def read_index(out: Path) -> LandmarkIndex:
    """Read ``landmarks.json``, or raise ``LANDMARKS_MISSING`` if the folder is not finished."""
    path = out / INDEX
    if not path.exists():
        found = "a folder without landmarks.json"
        remedy = "run the landmarks step again; the step continues where it stopped"
        raise ContractViolation("LANDMARKS_MISSING", found, "a finished folder of landmarks", remedy)
    record = json.loads(path.read_text())
    return LandmarkIndex(record["landmark_set"], record["set_digest"], record["points"])


def read_landmarks(out: Path, study_id: str) -> dict[ViewName, ViewLandmarks]:
    """Read the landmarks of one study."""
    record = json.loads(_file_of(out, study_id).read_text())
    return {
        view: ViewLandmarks(points_from_json(found["points"]), found["absent"])
        for view, found in record["views"].items()
    }


def _file_of(out: Path, study_id: str) -> Path:
    return out / f"{study_id}.json"


def _known_points(out: Path, landmark_set: LandmarkSet) -> dict[str, int]:
    """The entries of the former index whose files are there. The index of another landmark set is deleted."""
    if not (out / INDEX).exists():
        return {}
    index = read_index(out)
    if index.set_digest != digest_of_set(landmark_set):
        (out / INDEX).unlink()  # if this run is killed, its files must not pass for those of the former set
        return {}
    there = {entry.name for entry in os.scandir(out)}
    return {study: number for study, number in index.points.items() if _file_of(out, study).name in there}


@dataclass(frozen=True)
class _Written:
    """The number of landmarks, or None without a view of the set; whether a file was written; the refusal."""

    points: int | None = None
    is_new: bool = False
    refusal: ContractViolation | None = None


def _write_study(out: Path, landmark_set: LandmarkSet, folder: Path) -> _Written:
    """Write the landmarks of one study. Many processes call this, also twice for one study."""
    path = _file_of(out, folder.name)
    digest = digest_of_set(landmark_set)
    if path.exists() and (former := json.loads(path.read_text()))["set_digest"] == digest:
        return _Written(sum(len(view["points"]) for view in former["views"].values()))
    try:
        located = locate_landmarks(read_study(folder), landmark_set)
    except ContractViolation as violation:
        return _Written(refusal=violation)
    if not located:
        return _Written()
    record = {
        "schema": SCHEMA,
        "study_id": folder.name,
        "landmark_set": landmark_set.name,
        "set_digest": digest,
        "views": {v: {"points": points_to_json(f.points), "absent": dict(f.absent)} for v, f in located.items()},
    }
    write_text_atomically(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
    return _Written(sum(len(found.points) for found in located.values()), is_new=True)
