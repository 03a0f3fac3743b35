from collections import Counter

import pytest

from spine.errors import ParametersRejected
from validation.dataset.splits import assign_splits


def patients(count: int, start: int = 0) -> dict[str, str]:
    """Two studies of every patient."""
    return {f"{letter}{n}": f"p{n}" for n in range(start, start + count) for letter in "ab"}


def assign(who, **changes):
    return assign_splits(who, **{"seed": 7, "test_patients": 20, "validation_fraction": 0.2, "frozen": {}} | changes)


def test_every_patient_is_in_exactly_one_split_and_the_test_set_has_its_size():
    splits = assign(patients(150))
    assert set(splits) == {f"p{n}" for n in range(150)}
    counts = Counter(splits.values())
    assert counts["test"] == 20
    assert 14 <= counts["validation"] <= 40


def test_the_test_set_can_be_a_share_of_the_patients():
    assert Counter(assign(patients(150), test_patients=0.1).values())["test"] == 15


def test_order_of_the_studies_does_not_matter_and_the_seed_does():
    who = patients(60)
    assert assign(who) == assign(dict(reversed(who.items())))
    assert assign(who) != assign(who, seed=8)


def test_new_patients_never_move_old_ones_once_the_test_set_is_frozen():
    before = assign(patients(100))
    after = assign(patients(160), frozen={p: s for p, s in before.items() if s == "test"})
    assert {p: after[p] for p in before} == before
    assert Counter(after[f"p{n}"] for n in range(100, 160))["test"] == 0
    assert Counter(after[f"p{n}"] for n in range(100, 160))["validation"] > 0


def test_frozen_assignments_are_independent_of_the_seed():
    frozen = {"p0": "validation", "p1": "test", "p2": "train"}
    splits = assign(patients(10), frozen=frozen, seed=99, test_patients=5)
    assert {p: splits[p] for p in frozen} == frozen
    assert Counter(splits.values())["test"] == 1


def test_the_test_set_has_the_conditions_in_proportion():
    who = patients(120)
    conditions = {f"p{n}": "scoliotic" if n % 4 == 0 else "normal" for n in range(120)}
    splits = assign(who, conditions=conditions)
    assert Counter(conditions[p] for p, s in splits.items() if s == "test") == {"scoliotic": 5, "normal": 15}


def test_a_small_cohort_has_one_validation_patient():
    splits = assign(patients(4), test_patients=1, validation_fraction=0.01)
    assert Counter(splits.values()) == {"test": 1, "validation": 1, "train": 2}


def test_a_test_set_of_all_patients_is_refused():
    with pytest.raises(ParametersRejected, match="SPLIT_INVALID"):
        assign(patients(10), test_patients=10)
    with pytest.raises(ParametersRejected, match="5 of these have no split"):
        assign(patients(10), test_patients=6, frozen={f"p{n}": "train" for n in range(5)})


def test_no_patients_give_no_splits():
    assert assign({}) == {}
