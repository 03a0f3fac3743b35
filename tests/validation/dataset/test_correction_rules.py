"""Which corrections count as labels, and that none of them enters or changes a test set."""

import pytest

from spine.errors import ParametersRejected
from spine.study import StudySummary
from validation.dataset.correction_rules import (
    CORRECTION_OF_TEST_SET,
    CORRECTION_WEAKER,
    CORRECTION_WITHDRAWN,
    HeldOut,
    held_out_of,
    never_tested,
    only_trained,
    replaced_by,
    unusable_corrections,
)
from validation.dataset.splits import assign_splits

NOTHING = HeldOut()
BOTH_WEAKER = {"c": CORRECTION_WEAKER, "d": CORRECTION_WEAKER}


def study(name, revises=(), *, source="corrections", weight=1.0, patient="p", labelled=True):
    facts = {"label_weight": weight, "correction": f"record of {name}"} if source == "corrections" else {}
    return StudySummary(name, patient, source, tuple(revises), {"frontal": f"image of {patient}"}, labelled, facts)


ORIGINAL = study("o", source="folder")


def test_a_correction_of_a_test_patient_or_image_is_unusable():
    studies = [ORIGINAL, study("c", ["o"]), study("d", patient="other")]
    by_patient = unusable_corrections(studies, HeldOut(patients=frozenset({"p"})), ())
    by_image = unusable_corrections(studies, HeldOut(images=frozenset({"image of p"})), ())
    assert by_patient == by_image == {"c": CORRECTION_OF_TEST_SET}
    assert held_out_of({"o": "p"}, studies) == HeldOut(frozenset({"p"}), frozenset({"image of p"}))


def test_studies_of_other_sources_are_never_unusable():
    assert unusable_corrections([ORIGINAL], HeldOut(patients=frozenset({"p"})), {"record of o"}) == {}


def test_a_withdrawn_correction_is_unusable_and_its_successor_is_not():
    studies = [ORIGINAL, study("c", ["o"]), study("d", ["c"])]
    assert unusable_corrections(studies, NOTHING, {"record of c"}) == {"c": CORRECTION_WITHDRAWN}


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([ORIGINAL, study("c", ["o"], weight=0.25)], {"c": CORRECTION_WEAKER}),
        ([ORIGINAL, study("c", ["o"])], {}),
        ([study("o", source="folder", labelled=False), study("c", ["o"], weight=0.25)], {}),
        ([ORIGINAL, study("c", ["o"], weight=0.25), study("d", ["c"], weight=0.25)], BOTH_WEAKER),
        ([ORIGINAL, study("c", ["o"]), study("d", ["c"], weight=0.25)], {"d": CORRECTION_WEAKER}),
        ([ORIGINAL, study("c", ["o"], weight=0.25), study("d", ["c"])], {"c": CORRECTION_WEAKER}),
    ],
)  # fmt: skip
def test_weak_labels_replace_only_labels_that_are_not_stronger(studies, expected):
    assert unusable_corrections(studies, NOTHING, ()) == expected


def test_what_is_replaced_through_others_is_found_once():
    by_id = {s.study_id: s for s in (ORIGINAL, study("c", ["o"]), study("d", ["c", "gone"]), study("e", ["e"]))}
    assert replaced_by(by_id["d"], by_id) == {"c", "o"}
    assert replaced_by(by_id["e"], by_id) == {"e"}


def test_patients_with_corrections_are_not_drawn_for_a_test_set():
    studies = [study(f"s{i}", patient=f"p{i}", weight=0.25 if i == 3 else 1.0) for i in range(5)]
    assert never_tested(studies) == {f"p{i}" for i in range(5)} and only_trained(studies) == {"p3": "train"}
    patients = {f"s{i}": f"p{i}" for i in range(20)}
    options = {"test_patients": 8, "validation_fraction": 0.2, "frozen": {}, "never_test": never_tested(studies)}
    for seed in range(20):
        splits = assign_splits(patients, seed=seed, **options)
        assert sum(split == "test" for split in splits.values()) == 8
        assert all(splits[f"p{i}"] != "test" for i in range(5))
    with pytest.raises(ParametersRejected, match="15 of these have no split"):
        assign_splits(patients, seed=0, **(options | {"test_patients": 16}))
