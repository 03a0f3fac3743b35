"""Selection of the studies of a store for a dataset.

Contract: every study of the store is either selected or left out with one of the reasons below.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spine.dataset import Split
from spine.errors import ContractViolation, ParametersRejected
from spine.intake.withdrawn import read_withdrawn
from spine.landmarks import LANDMARK_SETS, LandmarkSet
from spine.projection import digest_of_set, read_index
from spine.study import StudySummary, iterate_study_folders, read_study_summary
from validation.dataset.correction_rules import (
    CORRECTION_OF_TEST_SET,
    CORRECTION_WEAKER,
    CORRECTION_WITHDRAWN,
    held_out_of,
    replaced_by,
    unusable_corrections,
)
from validation.dataset.frozen_test_set import FrozenTest

NO_VIEW = "NO_VIEW"
"""The study has a reconstruction and no image."""
NO_LANDMARKS = "NO_LANDMARKS"
"""No landmark of the set is known in any image of the study."""
REVISED = "REVISED"
"""The store has a revision of the study, with more views or a corrected reconstruction."""
EXCLUDED = "EXCLUDED_BY_VALIDATION"
"""An earlier validation found errors in the study (``excluded.json``)."""
TEST_PATIENT_FROZEN = "TEST_PATIENT_FROZEN"
"""The study is new, but its patient is in the frozen test set. Training on it would be leakage, and adding it to the
test set would change that set."""

LEFT_OUT_BECAUSE: Mapping[str, str] = {
    CORRECTION_OF_TEST_SET: "corrections of patients or images in the frozen test set",
    CORRECTION_WITHDRAWN: "corrections that a person rejected later",
    CORRECTION_WEAKER: "accepted proposals for images with stronger labels",
    NO_VIEW: "a reconstruction without images",
    NO_LANDMARKS: "no reconstruction or labels, or none inside the images",
    REVISED: "replaced by a revision of the same study",
    EXCLUDED: "excluded by the validation",
    TEST_PATIENT_FROZEN: "new studies of patients in the frozen test set",
}
"""Reason -> the same reason in words."""


@dataclass(frozen=True)
class Selection:
    """The studies of a store, divided into usable studies and studies that are left out.

    Attributes:
        studies: usable studies, ordered by id.
        left_out: study id -> reason.
    """

    studies: tuple[StudySummary, ...]
    left_out: dict[str, str]


def select_studies(
    store: Path,
    landmarks: Path,
    landmark_set: LandmarkSet,
    excluded: set[str],
    kept_versions: Collection[str] = (),
    members: Mapping[str, str] | None = None,
) -> Selection:
    """Divide the studies of ``store`` into usable studies and studies that are left out.

    A study that a revision replaces is left out, unless its id is in ``kept_versions`` (the frozen test set).
    ``members`` (study id -> patient) is the test set that no correction enters or changes, also if a new version of it
    is requested.

    Raises:
        ContractViolation: ``LANDMARKS_MISSING``, ``LANDMARK_SET_DIFFERS``, ``LANDMARKS_STALE`` (a study was added
            after the landmark step), ``DATASET_EMPTY``.
    """
    landmarks_of = _landmark_counts(landmarks, landmark_set)
    studies: list[StudySummary] = []
    left_out: dict[str, str] = {}
    stale: list[str] = []
    every = [read_study_summary(folder) for folder in iterate_study_folders(store)]
    by_id = {study.study_id: study for study in every}
    unusable = unusable_corrections(every, held_out_of(members or {}, every), read_withdrawn(store))
    replacing = [study for study in every if study.study_id not in unusable]
    replaced = {former for study in replacing for former in replaced_by(study, by_id)} - set(kept_versions)
    for study in every:
        reason = unusable.get(study.study_id) or (REVISED if study.study_id in replaced else None)
        reason = reason or (EXCLUDED if study.study_id in excluded else None)
        reason = reason or (None if study.images else NO_VIEW)
        if reason is None and study.study_id not in landmarks_of and set(study.images) & set(landmark_set.views):
            stale.append(f"study {study.study_id} has no landmarks")
        reason = reason or (None if landmarks_of.get(study.study_id) else NO_LANDMARKS)
        if reason is None:
            studies.append(study)
        else:
            left_out[study.study_id] = reason
    _check_usable(stale, studies, left_out)
    return Selection(tuple(studies), left_out)


def new_studies_of_test_patients(
    studies: Sequence[StudySummary], splits: Mapping[str, Split], previous: FrozenTest | None
) -> dict[str, str]:
    """Study id -> ``TEST_PATIENT_FROZEN`` for new studies of patients in the frozen test set."""
    if previous is None:
        return {}
    late = [s for s in studies if splits[s.patient] == "test" and s.study_id not in previous.members]
    return {study.study_id: TEST_PATIENT_FROZEN for study in late}


def _landmark_counts(landmarks: Path, landmark_set: LandmarkSet) -> Mapping[str, int]:
    index = read_index(landmarks)
    if index.set_digest != digest_of_set(landmark_set):
        raise ContractViolation(
            "LANDMARK_SET_DIFFERS",
            found=f"landmarks of the set {index.landmark_set!r}",
            expected=f"landmarks of the set {landmark_set.name!r}, as it is registered now",
            remedy="run the landmark step again with this set",
        )
    return index.points


def _check_usable(stale: list[str], studies: list[StudySummary], left_out: Mapping[str, str]) -> None:
    if stale:
        raise ContractViolation.gathered(
            "LANDMARKS_STALE",
            stale,
            expected="landmarks of every study that has an image",
            remedy="run the landmark step again",
        )
    if not studies:
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(Counter(left_out.values()).items()))
        raise ContractViolation(
            "DATASET_EMPTY",
            found=f"no usable study ({why or 'the store is empty'})",
            expected="studies with at least one image and known landmarks",
            remedy="correct the studies that `plumbline quarantine` lists, or add others, and run again",
        )


def landmark_set_of(name: str) -> LandmarkSet:
    """The registered landmark set of this name.

    Raises:
        ParametersRejected: ``LANDMARK_SET_UNKNOWN``.
    """
    if name not in LANDMARK_SETS:
        raise ParametersRejected(
            "LANDMARK_SET_UNKNOWN",
            found=f"landmark set {name!r}",
            expected=f"one of {', '.join(LANDMARK_SETS)}",
            remedy="correct landmark_set, or add the set to spine.landmarks",
        )
    return LANDMARK_SETS[name]
