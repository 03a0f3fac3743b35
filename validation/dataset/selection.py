"""Selection of the studies of a store for a dataset.

Contract: every study of the store is either selected or left out with one of the reasons below.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spine.dataset import Split
from spine.errors import ContractViolation, ParametersRejected
from spine.landmarks import LANDMARK_SETS, LandmarkSet, ViewName
from spine.projection import ViewLandmarks, digest_of_set, read_index, read_landmarks
from spine.study import Study, iterate_study_folders, read_study
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
        located: study id -> view -> landmarks of the view.
        left_out: study id -> reason.
    """

    studies: tuple[Study, ...]
    located: Mapping[str, Mapping[ViewName, ViewLandmarks]]
    left_out: dict[str, str] = field(default_factory=dict)


def select_studies(
    store: Path,
    landmarks: Path,
    landmark_set: LandmarkSet,
    excluded: set[str],
    kept_versions: Collection[str] = (),
) -> Selection:
    """Divide the studies of ``store`` into usable studies and studies that are left out.

    A study that a revision replaces is left out, unless its id is in ``kept_versions`` (the frozen test set).

    Raises:
        ContractViolation: ``LANDMARKS_MISSING``, ``LANDMARK_SET_DIFFERS``, ``LANDMARKS_STALE`` (a study was added
            after the landmark step), ``DATASET_EMPTY``.
    """
    indexed = _indexed_studies(landmarks, landmark_set)
    studies: list[Study] = []
    located: dict[str, Mapping[ViewName, ViewLandmarks]] = {}
    left_out: dict[str, str] = {}
    stale: list[str] = []
    every = [read_study(folder) for folder in iterate_study_folders(store)]
    replaced = {former for study in every for former in study.revises} - set(kept_versions)
    for study in every:
        reason = REVISED if study.study_id in replaced else EXCLUDED if study.study_id in excluded else None
        reason = reason or (None if study.views else NO_VIEW)
        if reason is None and study.study_id not in indexed:
            reason = NO_LANDMARKS
            if set(study.views) & set(landmark_set.views):
                stale.append(f"study {study.study_id} has no landmarks")
        if reason is None:
            found = read_landmarks(landmarks, study.study_id)
            reason = None if any(view.points for view in found.values()) else NO_LANDMARKS
        if reason is None:
            studies.append(study)
            located[study.study_id] = found
        else:
            left_out[study.study_id] = reason
    _check_usable(stale, studies, left_out)
    return Selection(tuple(studies), located, left_out)


def new_studies_of_test_patients(
    studies: Sequence[Study], splits: Mapping[str, Split], previous: FrozenTest | None
) -> dict[str, str]:
    """Study id -> ``TEST_PATIENT_FROZEN`` for new studies of patients in the frozen test set."""
    if previous is None:
        return {}
    late = [s for s in studies if splits[s.patient] == "test" and s.study_id not in previous.members]
    return {study.study_id: TEST_PATIENT_FROZEN for study in late}


def _indexed_studies(landmarks: Path, landmark_set: LandmarkSet) -> set[str]:
    index = read_index(landmarks)
    if index.set_digest != digest_of_set(landmark_set):
        raise ContractViolation(
            "LANDMARK_SET_DIFFERS",
            found=f"landmarks of the set {index.landmark_set!r}",
            expected=f"landmarks of the set {landmark_set.name!r}, as it is registered now",
            remedy="run the landmark step again with this set",
        )
    return set(index.files)


def _check_usable(stale: list[str], studies: list[Study], left_out: Mapping[str, str]) -> None:
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
