"""Errors by subgroup: each patient is in one row, intervals are over patients, and small groups have no figures."""

import pytest

from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from validation.evaluation.outcomes import ParameterOutcome, StudyOutcome
from validation.review.group_errors import COVERAGE, Table, _by, _overall


def study(i: int, error: float | None, *, holds: bool = True, **facts: str) -> StudyOutcome:
    """A study in which only the Cobb angle has a true value, 10 degrees."""
    found = None if error is None else 10.0 + error
    interval = None if found is None else (min(found, 10.0) - 1, max(found, 10.0) + 1) if holds else (90.0, 91.0)
    outcomes = tuple(
        ParameterOutcome("cobb", "deg", 10.0, found, interval=interval) if name == "cobb"
        else ParameterOutcome(name, parameter.unit, None, None)
        for name, parameter in PARAMETERS.items()
    )  # fmt: skip
    return StudyOutcome(f"s{i}", f"p{i}", "drawn", {"condition": "healthy", **facts}, outcomes, (), {}, 0.1)


def cells(table: Table, group: str) -> dict[str, str]:
    return dict(zip(table.heads, next(row for row in table.rows if row[0] == group), strict=True))


def test_intervals_are_over_the_patients_of_a_group() -> None:
    table = _by("condition", "condition", [study(i, float(i % 5), holds=i % 10 != 0) for i in range(200)])
    row = cells(table, "healthy")
    assert row["patients"] == "200"
    assert row[PARAMETERS["cobb"].label] == "2.0 [1.8, 2.2]", "mean 2, SD 1.414, over the root of 200: 0.1"
    assert row[COVERAGE] == "90% [86%, 94%] of 200"
    assert row[PARAMETERS["pelvic_tilt"].label] == "0 of 0 predicted"


def test_every_patient_is_in_one_row_and_a_small_group_has_no_figures() -> None:
    studies = [study(i, 2.0, field_of_view="full") for i in range(6)] + [study(6, 1.0, field_of_view="without_t1")]
    studies += [study(7, None), study(8, 1.0)]
    table = _by("field_of_view", "field of view", studies)
    assert [row[:2] for row in table.rows] == [("full", "6"), ("not known", "2"), ("without t1", "1")]
    assert table.rows[2][2:] == ("too few",) * (len(PAPER_PARAMETERS) + 1)


def test_unanswered_parameters_are_counted() -> None:
    table = _by("condition", "condition", [study(i, None if i < 3 else 2.0) for i in range(9)])
    assert cells(table, "healthy")[PARAMETERS["cobb"].label] == "2.0 [2.0, 2.0] (6 of 9)"


@pytest.mark.parametrize(("holds", "share"), [(True, "100.0%"), (False, "0.0%")])
def test_the_first_table_is_over_all_patients(holds: bool, share: str) -> None:
    table = _overall([study(i, 2.0, holds=holds) for i in range(5)])
    assert (PARAMETERS["cobb"].label, share, "5") in table.rows
    assert (PARAMETERS["pelvic_tilt"].label, "no intervals", "0") in table.rows
