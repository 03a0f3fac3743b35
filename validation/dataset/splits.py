"""Splits: train, validation or test for each patient.

Contract: the functions are pure. Patients in ``frozen`` keep their split. Once the frozen set has a test patient, every
other patient goes to train or validation. This choice depends only on the patient's key and the seed, so a new patient
never changes the split of another patient. The only exception: if validation would be empty, one patient is put there.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
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
    never_test: Collection[str] = (),
) -> dict[str, Split]:
    """Assign every patient to one split.

    Args:
        patients: study id -> patient key.
        seed: another seed draws other patients; the same seed draws the same patients.
        test_patients: number (int) or share (float in [0, 1)) of patients in the test set. Used only while
            ``frozen`` has no test patient.
        validation_fraction: share in [0, 1) of the other patients, who are drawn independently. If the share is above
            zero and there are two or more other patients, at least one of them is in validation.
        frozen: patient key -> split, for patients who keep their split.
        conditions: patient key -> condition. In the test set each condition has its share of all patients.
        never_test: patient keys that are not drawn for the test set.

    Returns:
        Patient key -> split, for every patient of ``patients`` (not for frozen patients without a study).

    Raises:
        ParametersRejected: ``SPLIT_INVALID``: no patient would be left for training.
    """
    all_patients = sorted(set(patients.values()))
    fixed = {patient: frozen[patient] for patient in all_patients if patient in frozen}
    free = [patient for patient in all_patients if patient not in fixed]
    test: set[str] = set()
    if "test" not in frozen.values():
        wanted = test_set_size(test_patients, len(all_patients))
        eligible = [patient for patient in free if patient not in never_test]
        if all_patients and (wanted >= len(all_patients) or wanted > len(eligible)):
            raise ParametersRejected(
                "SPLIT_INVALID",
                found=f"{wanted} test patients wanted of {len(all_patients)}; {len(eligible)} of these have no split",
                expected="fewer test patients than patients, and a patient without a split for each of them",
                remedy="lower dataset.test_patients, or ingest more patients",
            )
        test = set(draw_test_patients(eligible, wanted, seed, conditions or {}))
    rest = [patient for patient in free if patient not in test]
    validation = _validation(rest, seed, validation_fraction, "validation" in fixed.values())
    drawn = {p: "test" if p in test else "validation" if p in validation else "train" for p in free}
    return {patient: cast(Split, (fixed | drawn)[patient]) for patient in all_patients}


def test_set_size(test_patients: int | float, patients: int) -> int:
    """Number of test patients: an int ``test_patients`` itself, or that share of all patients (at least 1 above 0)."""
    if isinstance(test_patients, int):
        return test_patients
    return max(1, round(test_patients * patients)) if test_patients > 0 else 0


def draw_test_patients(patients: Sequence[str], count: int, seed: int, conditions: Mapping[str, str]) -> list[str]:
    """``count`` patients, drawn by hash, so that each condition keeps its share (largest remainders)."""
    strata: dict[str, list[str]] = {}
    for patient in sorted(patients, key=lambda p: position(p, seed, "test")):
        strata.setdefault(conditions.get(patient, ""), []).append(patient)
    quotas = {name: count * len(members) / max(1, len(patients)) for name, members in strata.items()}
    counts = {name: int(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (counts[name] - quotas[name], name))
    for name in by_remainder[: count - sum(counts.values())]:
        counts[name] += 1
    return [patient for name, members in sorted(strata.items()) for patient in members[: counts[name]]]


def position(patient: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) from the SHA-256 of the patient's key, seed and purpose, independent of other patients."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _validation(rest: Sequence[str], seed: int, fraction: float, there_already: bool) -> set[str]:
    chosen = {patient for patient in rest if position(patient, seed, "validation") < fraction}
    if chosen or there_already or fraction == 0 or len(rest) < 2:
        return chosen
    return {min(rest, key=lambda patient: position(patient, seed, "validation"))}
