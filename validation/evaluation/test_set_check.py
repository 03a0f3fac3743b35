"""The frozen test set at the door of the evaluation: is it whole, is it the one that was frozen, whose is it.

Contract: what passes here has the digest it claims, byte for byte, and is answered by at most one prediction per
study.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spine.dataset import Example, Manifest, load_example_image
from spine.errors import ContractViolation, EvidenceRejected
from spine.prediction import Prediction
from spine.storage import sha256_of_image


def require_frozen(examples: Sequence[Example], landmark_set: str, test_digest: str) -> None:
    """Demand that ``examples`` are the whole frozen test split.

    Raises:
        ContractViolation: ``NOT_THE_TEST_SET``: no example, or one of another split.
        EvidenceRejected: ``TEST_SET_ALTERED``: labels, truths or the choice of studies differ from the frozen set.
    """
    outside = [e.study_id for e in examples if e.split != "test"]
    if not examples or outside:
        found = f"studies {', '.join(outside[:5])} of another split" if outside else "no example at all"
        raise _violation("NOT_THE_TEST_SET", found, "the frozen test split, whole", "pass manifest.in_split('test')")
    actual = Manifest(landmark_set, 0, tuple(examples)).test_digest
    if actual != test_digest:
        raise _altered(f"test digest {actual[:12]} of the examples", test_digest[:12])


def verify_images(folder: Path, examples: Sequence[Example]) -> None:
    """Demand that each image in the dataset's ``folder`` still has the pixels its manifest entry names.

    Raises:
        EvidenceRejected: ``TEST_SET_ALTERED``, naming the images that are gone, unreadable or changed.
    """
    wrong = []
    for example in examples:
        for view in example.views.values():
            try:
                actual = sha256_of_image(np.asarray(load_example_image(folder, view)))
            except (OSError, ValueError):
                actual = "unreadable"
            if actual != view.sha256:
                wrong.append(f"{example.study_id}/{view.view}")
    if wrong:
        raise _altered(f"changed or unreadable images: {', '.join(wrong[:10])}", "the pixels that were frozen")


def answers_by_study(predictions: Sequence[Prediction], examples: Sequence[Example]) -> dict[str, Prediction]:
    """Predictions by study id.

    Raises:
        ContractViolation: ``PREDICTIONS_DO_NOT_FIT``: for a study outside the set, or two for one study.
    """
    answers = {p.study_id: p for p in predictions}
    strangers = sorted(answers.keys() - {e.study_id for e in examples})
    if strangers or len(answers) != len(predictions):
        found = f"predictions for {', '.join(strangers[:5])}" if strangers else "two predictions for one study"
        raise _violation("PREDICTIONS_DO_NOT_FIT", found, "one per study of the test set", "predict the test set again")
    return answers


def require_one_kind(examples: Sequence[Example]) -> bool:
    """Whether the patients are virtual (fact ``simulated``; a study that does not say so counts as real).

    Raises:
        ContractViolation: ``MIXED_PATIENTS``: a figure over both kinds would say nothing about either.
    """
    kinds = {bool(e.facts.get("simulated", False)) for e in examples}
    if len(kinds) > 1:
        found = "virtual and real patients in one test set"
        raise _violation("MIXED_PATIENTS", found, "one kind", "build two datasets and evaluate on each")
    return kinds.pop()


def _violation(code: str, found: str, expected: str, remedy: str) -> ContractViolation:
    return ContractViolation(code, found=found, expected=expected, remedy=remedy)


def _altered(found: str, expected: str) -> EvidenceRejected:
    remedy = "restore the frozen test set (`dvc checkout`); a new one needs a new version and a re-scored champion"
    return EvidenceRejected("TEST_SET_ALTERED", found=found, expected=expected, remedy=remedy)
