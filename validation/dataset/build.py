"""Builds a dataset from studies and their landmarks: a manifest with splits, and content-addressed images.

Contract: the folder has the files of ``spine.dataset`` and ``frozen_test_set``, and

    build.json   how many studies were found, used and left out, and why (found = used + left out)

A build reads a summary of every study, decides the splits, and then reads one study after the other. It adds images and
never rewrites an image. The frozen test set changes only if a new version is requested. ``manifest.json`` is written
last. After a killed build, the folder has the previous manifest or no manifest, and the build can be run again.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from spine.dataset import SPLITS, Example, ExampleView, Manifest, Split, image_file, read_manifest
from spine.dataset_writing import write_header, write_shards
from spine.landmarks import ViewName
from spine.projection import ViewLandmarks, read_landmarks
from spine.storage import PARTIAL_SUFFIX, remove_partials, write_text_atomically
from spine.study import Study, StudySummary, read_study
from spine.types import Progress
from spine.work import IN_THIS_PROCESS, Work
from validation.dataset.correction_rules import never_tested, only_trained
from validation.dataset.frozen_test_set import FrozenTest, freeze, read_excluded, read_frozen, write_frozen
from validation.dataset.reference_parameters import reference_parameters
from validation.dataset.selection import landmark_set_of, new_studies_of_test_patients, select_studies
from validation.dataset.splits import assign_splits, draw_test_patients, test_set_size

BATCH = 8
"""Studies that a worker gets at a time: about 0.15 s."""


class DatasetConfig(BaseModel):
    """Parameters of a build (the ``dataset`` section of params.yaml).

    Attributes:
        landmark_set: a name in ``LANDMARK_SETS``.
        seed: seed of the splits.
        test_patients: size of the first test set: a number of patients (int), or a share of all patients (float).
        validation_fraction: share of the remaining patients that goes to validation.
        new_test_version: whether this build may make a new version of the test set. The patients of the previous
            version stay in the test set. Only patients who are not in any split yet are added.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    landmark_set: str = "margins175"
    seed: int = 0
    test_patients: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1)] = 50
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.15
    new_test_version: bool = False


@dataclass(frozen=True)
class BuildRecord:
    """How many studies of the store were used, and why the other studies were left out.

    Attributes:
        studies: number of studies in the store.
        used: number of studies in the manifest; ``studies == used + len(left_out)``.
        left_out: study id -> reason.
        per_split: split -> number of studies.
        test_version: version of the frozen test set.
    """

    studies: int
    used: int
    left_out: Mapping[str, str]
    per_split: Mapping[str, int]
    test_version: int


def build_dataset(
    store: Path,
    landmarks: Path,
    out: Path,
    config: DatasetConfig,
    progress: Progress | None = None,
    work: Work = IN_THIS_PROCESS,
) -> Manifest:
    """Build the dataset in ``out``, or update it.

    Args:
        store: folder of studies (``spine.study``).
        landmarks: folder of landmarks (``spine.projection``).
        progress: called with (studies done, all studies).
        work: where the examples are made. They are written here, in the order of study ids.

    Raises:
        ContractViolation: ``LANDMARKS_MISSING``, ``LANDMARKS_STALE``, ``LANDMARK_SET_DIFFERS``,
            ``DATASET_EMPTY``, ``TEST_SET_CHANGED``, ``MANIFEST_ALTERED``.
        ParametersRejected: ``SPLIT_INVALID``, ``LANDMARK_SET_UNKNOWN``.
    """
    landmark_set = landmark_set_of(config.landmark_set)
    (out / "images").mkdir(parents=True, exist_ok=True)
    remove_partials(out)
    previous = read_frozen(out)
    frozen_versions = previous.members if previous is not None and not config.new_test_version else ()
    members = previous.members if previous is not None else {}
    selection = select_studies(store, landmarks, landmark_set, set(read_excluded(out)), frozen_versions, members)
    splits = _splits(selection.studies, config, previous, out)
    late = {} if config.new_test_version else new_studies_of_test_patients(selection.studies, splits, previous)
    left_out = selection.left_out | late
    kept = {study.study_id: splits[study.patient] for study in selection.studies if study.study_id not in late}
    with closing(work.run(partial(_example, store, landmarks, out), kept.items(), batch=BATCH)) as examples:
        manifest = write_shards(out, landmark_set.name, config.seed, _counted(examples, len(kept), progress))
    reason = "requested" if previous else "first"
    frozen = freeze(manifest, previous, new_version=config.new_test_version, reason=reason)
    write_frozen(frozen, out)
    write_build_record(build_record(manifest, left_out, frozen.version), out)
    write_header(manifest)
    return manifest


def _example(store: Path, landmarks: Path, out: Path, item: tuple[str, Split]) -> Example:
    """The example of a study, given its id and its split, after its images are in ``out``."""
    study_id, split = item
    study = read_study(store / study_id)
    for view in study.views.values():
        _link_or_copy(store / study_id / view.image, out / "images" / f"{view.sha256}.npy")
    return example_of(study, split, read_landmarks(landmarks, study_id))


def _counted(examples: Iterable[Example], total: int, progress: Progress | None) -> Iterator[Example]:
    for done, example in enumerate(examples, start=1):
        yield example
        if progress is not None:
            progress(done, total)


def build_record(manifest: Manifest, left_out: Mapping[str, str], test_version: int) -> BuildRecord:
    """The record of a build, from its manifest and the studies that it left out (study id -> reason)."""
    used = manifest.count()
    per_split: dict[str, int] = {split: manifest.count(split) for split in SPLITS if manifest.count(split)}
    return BuildRecord(used + len(left_out), used, left_out, per_split, test_version)


def read_build_record(out: Path) -> BuildRecord:
    """Read ``build.json``."""
    record = json.loads((out / "build.json").read_text())
    record.pop("schema")
    return BuildRecord(**record)


def write_build_record(record: BuildRecord, out: Path) -> None:
    """Write ``build.json`` atomically."""
    payload = {"schema": "plumbline.build/1", **asdict(record)}
    write_text_atomically(out / "build.json", json.dumps(payload, indent=1, sort_keys=True))


def _splits(
    studies: Sequence[StudySummary], config: DatasetConfig, previous: FrozenTest | None, out: Path
) -> dict[str, Split]:
    patients = {study.study_id: study.patient for study in studies}
    conditions = {study.patient: str(study.facts.get("condition", "")) for study in studies}
    corrected = never_tested(studies)
    frozen: dict[str, Split] = {}
    if previous is not None:
        former = read_manifest(out).index() if (out / "manifest.json").exists() else ()
        frozen = {e.patient: e.split for e in former} | dict.fromkeys(previous.members.values(), "test")
        if config.new_test_version:
            fresh = {study: p for study, p in patients.items() if p in frozen or p not in corrected}
            frozen |= dict.fromkeys(_new_test_patients(fresh, frozen, config, conditions), "test")
    frozen = {**only_trained(studies), **frozen}
    return assign_splits(
        patients,
        seed=config.seed,
        test_patients=config.test_patients,
        validation_fraction=config.validation_fraction,
        frozen=frozen,
        conditions=conditions,
        never_test=corrected,
    )


def _new_test_patients(
    patients: Mapping[str, str], frozen: Mapping[str, Split], config: DatasetConfig, conditions: Mapping[str, str]
) -> list[str]:
    """Patients to add to a new version of the test set; they are chosen from the patients who are not in any split."""
    all_patients = set(patients.values())
    unused = sorted(all_patients - set(frozen))
    members = sum(frozen.get(patient) == "test" for patient in all_patients)
    wanted = test_set_size(config.test_patients, len(all_patients)) - members
    return draw_test_patients(unused, min(max(wanted, 0), len(unused)), config.seed, conditions)


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, which needs no space, or an atomic copy if the link fails. An existing target is kept."""
    try:
        os.link(source, target)
    except OSError:
        if not target.exists():
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL_SUFFIX)
            with os.fdopen(handle, "wb") as copy, source.open("rb") as original:  # two attempts may copy one image
                shutil.copyfileobj(original, copy)
            Path(name).chmod(0o644)
            Path(name).replace(target)


def example_of(study: Study, split: Split, located: Mapping[ViewName, ViewLandmarks]) -> Example:
    """The example of a study whose landmarks in its images are ``located``."""
    views = {
        name: ExampleView(
            view=name,
            image=image_file(view.sha256),
            sha256=view.sha256,
            shape=view.shape,
            spacing_mm=view.spacing_mm,
            calibration=view.calibration,
            geometry=view.geometry,
            points=located[name].points if name in located else {},
        )
        for name, view in study.views.items()
    }
    return Example(
        study_id=study.study_id,
        patient=study.patient,
        split=split,
        source=study.source,
        views=views,
        points_3d=dict(study.reconstruction.points) if study.reconstruction else {},
        truth=reference_parameters(study),
        facts=study.facts,
    )
