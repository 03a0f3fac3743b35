"""Splits: which patient is trained on, validated on, tested on.

Contract: pure and stable. Train or validation depends on the patient's key and the seed alone, so a new patient never
moves an old one (but for the one patient a small cohort needs to have any validation, which freezing keeps in place
too); what ``frozen`` holds is returned unchanged; once a test patient is frozen, every patient not yet frozen goes to
train or validation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

from spine.dataset import Split
from spine.errors import ParametersRejected


def assign_splits(
    patients: Mapping[str, str],
    *,
    seed: int,
    test_patients: int | float,
    validation_fraction: float,
    frozen: Mapping[str, Split],
    conditions: Mapping[str, str] | None = None,
) -> dict[str, Split]:
    """Assign every patient to one split.

    Args:
        patients: study id -> patient key.
        seed: changes who is drawn; the same seed draws the same.
        test_patients: how many patients (int), or which share of them (float in [0, 1)), make the test set
            when it is drawn, that is while ``frozen`` holds no test patient.
        validation_fraction: share in [0, 1) of the other patients, decided patient by patient; at least one
            patient is validated on when the share is above zero and two are there.
        frozen: patient key -> split of patients who must stay where they are.
        conditions: patient key -> condition; the test set is drawn in proportion to the conditions.

    Returns:
        Patient key -> split, for every patient of ``patients`` (frozen patients without a study are not in it).

    Raises:
        ParametersRejected: ``SPLIT_INVALID``, a share is not possible or nobody would be left to train on.
    """
    _check(test_patients, validation_fraction)
    everybody = sorted(set(patients.values()))
    fixed = {patient: frozen[patient] for patient in everybody if patient in frozen}
    free = [patient for patient in everybody if patient not in fixed]
    test: set[str] = set()
    if "test" not in frozen.values():
        wanted = size_of_test_set(test_patients, len(everybody))
        _check_leaves_training(wanted, len(everybody), len(free))
        test = set(draw(free, wanted, seed, conditions or {}))
    rest = [patient for patient in free if patient not in test]
    validation = _validation(rest, seed, validation_fraction, "validation" in fixed.values())
    drawn = {p: "test" if p in test else "validation" if p in validation else "train" for p in free}
    return {patient: cast(Split, (fixed | drawn)[patient]) for patient in everybody}


def size_of_test_set(test_patients: int | float, patients: int) -> int:
    """How many patients the test set shall hold: the number itself, or the share of all, at least one."""
    if isinstance(test_patients, int):
        return test_patients
    return max(1, round(test_patients * patients)) if test_patients > 0 else 0


def draw(patients: Sequence[str], count: int, seed: int, conditions: Mapping[str, str]) -> list[str]:
    """The ``count`` patients drawn by hash, in proportion to their conditions (largest remainders)."""
    strata: dict[str, list[str]] = {}
    for patient in sorted(patients, key=lambda p: position(p, seed, "test")):
        strata.setdefault(conditions.get(patient, ""), []).append(patient)
    quotas = {name: count * len(members) / max(1, len(patients)) for name, members in strata.items()}
    seats = {name: int(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (seats[name] - quotas[name], name))
    for name in by_remainder[: count - sum(seats.values())]:
        seats[name] += 1
    return [patient for name, members in sorted(strata.items()) for patient in members[: seats[name]]]


def position(patient: str, seed: int, purpose: str) -> float:
    """A patient's place in [0, 1): SHA-256 of key, seed and purpose, independent of all other patients."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _validation(rest: Sequence[str], seed: int, fraction: float, there_already: bool) -> set[str]:
    chosen = {patient for patient in rest if position(patient, seed, "validation") < fraction}
    if chosen or there_already or fraction == 0 or len(rest) < 2:
        return chosen
    return {min(rest, key=lambda patient: position(patient, seed, "validation"))}


def _check(test_patients: int | float, validation_fraction: float) -> None:
    shares = [("validation_fraction", validation_fraction)]
    if isinstance(test_patients, bool) or (isinstance(test_patients, int) and test_patients < 0):
        _refuse(f"test_patients {test_patients!r}")
    if isinstance(test_patients, float):
        shares.append(("test_patients", test_patients))
    for name, share in shares:
        if not 0 <= share < 1:
            _refuse(f"{name} {share!r}")


def _check_leaves_training(wanted: int, patients: int, free: int) -> None:
    if patients and (wanted >= patients or wanted > free):
        _refuse(f"{wanted} test patients of {patients} ({free} of them not yet in another split)")


def _refuse(found: str) -> None:
    raise ParametersRejected(
        "SPLIT_INVALID",
        found=found,
        expected="a number of test patients below the number of patients, or shares from 0 to below 1",
        remedy="lower test_patients or validation_fraction, or bring more patients",
    )
