"""Checks of the frozen test set before an evaluation: complete, unchanged, one prediction for each study.

Contract: examples that pass have the expected digest, and each study has at most one prediction.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spine.dataset import Example, load_example_image
from spine.dataset_writing import digest_of_test_split
from spine.errors import ContractViolation, EvidenceRejected
from spine.prediction import Prediction
from spine.storage import sha256_of_image


def require_frozen(examples: Sequence[Example], landmark_set: str, test_digest: str) -> None:
    """Require that ``examples`` are the complete frozen test split.

    Raises:
        ContractViolation: ``NOT_THE_TEST_SET``: no example, or an example of another split.
        EvidenceRejected: ``TEST_SET_ALTERED``: studies, labels or reference values differ from the frozen test set.
    """
    outside = [e.study_id for e in examples if e.split != "test"]
    if not examples or outside:
        found = f"studies {', '.join(outside[:5])} of another split" if outside else "no example"
        raise _violation("NOT_THE_TEST_SET", found, "the complete frozen test split", "pass manifest.in_split('test')")
    actual = digest_of_test_split(landmark_set, examples)
    if actual != test_digest:
        raise _altered(f"test-set digest {actual[:12]}", f"test-set digest {test_digest[:12]}, as frozen")


def verify_images(folder: Path, examples: Sequence[Example]) -> None:
    """Require that each image in the dataset's ``folder`` has the digest in the manifest.

    Raises:
        EvidenceRejected: ``TEST_SET_ALTERED`` with the images that are missing, unreadable or changed.
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
        raise _altered(f"changed or unreadable images: {', '.join(wrong[:10])}", "the images that were frozen")


def predictions_by_study(predictions: Sequence[Prediction], examples: Sequence[Example]) -> dict[str, Prediction]:
    """Predictions by study id.

    Raises:
        ContractViolation: ``PREDICTIONS_MISMATCH``: a prediction of a study outside the test set, or two predictions of
            one study.
    """
    by_study = {p.study_id: p for p in predictions}
    unknown = sorted(by_study.keys() - {e.study_id for e in examples})
    if unknown or len(by_study) != len(predictions):
        outside = f"predictions of studies {', '.join(unknown[:5])} outside the test set"
        found = outside if unknown else "two predictions of one study"
        expected = "at most one prediction of each study of the test set"
        raise _violation("PREDICTIONS_MISMATCH", found, expected, "predict the test set again")
    return by_study


def require_one_kind(examples: Sequence[Example]) -> bool:
    """Require that all patients are virtual (fact ``simulated``) or all are real; return whether they are virtual.

    Raises:
        ContractViolation: ``MIXED_PATIENTS``: a figure over both kinds would be valid for neither kind.
    """
    kinds = {bool(e.facts.get("simulated", False)) for e in examples}
    if len(kinds) > 1:
        found = "virtual and real patients in one test set"
        raise _violation("MIXED_PATIENTS", found, "only virtual or only real patients", "build a dataset for each kind")
    return kinds.pop()


def _violation(code: str, found: str, expected: str, remedy: str) -> ContractViolation:
    return ContractViolation(code, found=found, expected=expected, remedy=remedy)


def _altered(found: str, expected: str) -> EvidenceRejected:
    remedy = "restore the frozen test set (`dvc checkout`), or make a new test version and evaluate the champion on it"
    return EvidenceRejected("TEST_SET_ALTERED", found=found, expected=expected, remedy=remedy)
