"""The rules for studies whose labels are corrections of a model's proposals (``spine.intake.corrections``).

Contract: the functions are pure. The labels that a person gave after seeing a model's points replace labels that are
not stronger, and never judge a model: they stay out of every test set, and take no study out of one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from spine.dataset import Split, label_weight_of
from spine.intake.correction import CORRECTIONS
from spine.study import StudySummary

CORRECTION_OF_TEST_SET = "CORRECTION_OF_TEST_SET"
"""The patient or an image of the correction is in the frozen test set, whose labels never change."""
CORRECTION_WITHDRAWN = "CORRECTION_WITHDRAWN"
"""The person rejected the measurement after it was accepted or corrected."""
CORRECTION_WEAKER = "CORRECTION_WEAKER"
"""A proposal was accepted unchanged, and its images have labels with a larger weight."""


@dataclass(frozen=True)
class HeldOut:
    """The patients and the images (SHA-256 of their pixels) of the frozen test set."""

    patients: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()


def is_correction(study: StudySummary) -> bool:
    """Whether the labels of the study are a correction."""
    return study.source == CORRECTIONS


def held_out_of(members: Mapping[str, str], studies: Sequence[StudySummary]) -> HeldOut:
    """The test set with these members (study id -> patient)."""
    images = {image for s in studies if s.study_id in members for image in s.images.values()}
    return HeldOut(frozenset(members.values()), frozenset(images))


def unusable_corrections(
    studies: Sequence[StudySummary], test_set: HeldOut, withdrawn: Collection[str]
) -> dict[str, str]:
    """Study id -> reason, for the corrections that neither count as labels nor replace any.

    ``withdrawn`` are the digests of the records that a person took back.
    """
    by_id = {study.study_id: study for study in studies}
    reasons: dict[str, str] = {}
    for study in filter(is_correction, studies):
        images = set(study.images.values())
        if study.patient in test_set.patients or images & test_set.images:
            reasons[study.study_id] = CORRECTION_OF_TEST_SET
        elif study.facts.get("correction") in withdrawn:
            reasons[study.study_id] = CORRECTION_WITHDRAWN
    for study in filter(is_correction, studies):
        former = [by_id[i] for i in replaced_by(study, by_id) if i not in reasons]
        if study.study_id not in reasons and any(_outweighs(other, study) for other in former):
            reasons[study.study_id] = CORRECTION_WEAKER
    return reasons


def replaced_by(study: StudySummary, by_id: Mapping[str, StudySummary]) -> set[str]:
    """The ids of the stored studies that the study replaces, directly or through others."""
    found: set[str] = set()
    pending = list(study.revises)
    while pending:
        other = pending.pop()
        if other not in found and other in by_id:
            found.add(other)
            pending.extend(by_id[other].revises)
    return found


def never_tested(studies: Sequence[StudySummary]) -> frozenset[str]:
    """The patients with a correction, who are never drawn for a test set."""
    return frozenset(study.patient for study in studies if is_correction(study))


def only_trained(studies: Sequence[StudySummary]) -> dict[str, Split]:
    """Patient -> ``train``, for patients with labels of less than the full weight.

    Checkpoints are chosen and intervals are calibrated on the validation split. An accepted proposal there would praise
    the models that resemble its proposer.
    """
    return {study.patient: "train" for study in studies if label_weight_of(study.facts) < 1.0}


def _outweighs(other: StudySummary, study: StudySummary) -> bool:
    return other.labelled and label_weight_of(other.facts) > label_weight_of(study.facts)
