"""Builds a dataset from studies and their landmarks: a manifest with splits, and content-addressed images.

Contract: the folder has the files of ``spine.dataset`` and ``frozen_test_set``, and

    build.json   how many studies were found, used and left out, and why (found = used + left out)

A build adds images and never rewrites an image. The frozen test set changes only if a new version is requested.
``manifest.json`` is written last. After a killed build, the folder has the previous manifest or no manifest, and the
build can be run again.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from spine.dataset import Example, ExampleView, Manifest, Split, read_manifest, write_manifest
from spine.landmarks import ViewName
from spine.projection import ViewLandmarks
from spine.storage import PARTIAL_SUFFIX, remove_partials, write_text_atomically
from spine.study import Study
from spine.types import Progress
from validation.dataset.frozen_test_set import FrozenTest, freeze, read_excluded, read_frozen, write_frozen
from validation.dataset.reference_parameters import reference_parameters
from validation.dataset.selection import landmark_set_of, new_studies_of_test_patients, select_studies
from validation.dataset.splits import assign_splits, draw_test_patients, test_set_size


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
    store: Path, landmarks: Path, out: Path, config: DatasetConfig, progress: Progress | None = None
) -> Manifest:
    """Build the dataset in ``out``, or update it.

    Args:
        store: folder of studies (``spine.study``).
        landmarks: folder of landmarks (``spine.projection``).
        progress: called with (studies done, all studies).

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
    selection = select_studies(store, landmarks, landmark_set, set(read_excluded(out)), frozen_versions)
    splits = _splits(selection.studies, config, previous, out)
    late = {} if config.new_test_version else new_studies_of_test_patients(selection.studies, splits, previous)
    left_out = selection.left_out | late
    kept = [study for study in selection.studies if study.study_id not in late]
    examples = []
    for done, study in enumerate(kept, start=1):
        for view in study.views.values():
            _link_or_copy(store / study.study_id / view.image, out / "images" / f"{view.sha256}.npy")
        examples.append(example_of(study, splits[study.patient], selection.located[study.study_id]))
        if progress is not None:
            progress(done, len(kept))
    manifest = Manifest(landmark_set.name, config.seed, tuple(sorted(examples, key=lambda e: e.study_id)))
    reason = "requested" if previous else "first"
    frozen = freeze(manifest, previous, new_version=config.new_test_version, reason=reason)
    write_frozen(frozen, out)
    write_build_record(build_record(manifest, left_out, frozen.version), out)
    write_manifest(manifest, out)
    return manifest


def build_record(manifest: Manifest, left_out: Mapping[str, str], test_version: int) -> BuildRecord:
    """The record of a build, from its manifest and the studies that it left out (study id -> reason)."""
    used = len(manifest.examples)
    per_split = dict(Counter[str](example.split for example in manifest.examples))
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
    studies: Sequence[Study], config: DatasetConfig, previous: FrozenTest | None, out: Path
) -> dict[str, Split]:
    patients = {study.study_id: study.patient for study in studies}
    conditions = {study.patient: str(study.facts.get("condition", "")) for study in studies}
    frozen: dict[str, Split] = {}
    if previous is not None:
        former = read_manifest(out).examples if (out / "manifest.json").exists() else ()
        frozen = {e.patient: e.split for e in former} | dict.fromkeys(previous.members.values(), "test")
        if config.new_test_version:
            frozen |= dict.fromkeys(_new_test_patients(patients, frozen, config, conditions), "test")
    return assign_splits(
        patients,
        seed=config.seed,
        test_patients=config.test_patients,
        validation_fraction=config.validation_fraction,
        frozen=frozen,
        conditions=conditions,
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
            partial = target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
            shutil.copyfile(source, partial)
            partial.replace(target)


def example_of(study: Study, split: Split, located: Mapping[ViewName, ViewLandmarks]) -> Example:
    """The example of a study whose landmarks in its images are ``located``."""
    views = {
        name: ExampleView(
            view=name,
            image=f"images/{view.sha256}.npy",
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
