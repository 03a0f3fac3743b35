"""The table of values: one row for each parameter, and one line for all that need the same missing view."""

import pytest

from inference.value_table import NOT_MEASURED, grouped_absences, value_rows
from spine.measurement.registry import PARAMETERS, Measured

CURVE = {"upper_end_vertebra": "T6", "lower_end_vertebra": "L1", "apex": "T9/T10", "side": "right"}


def _measured(**values: Measured) -> dict[str, Measured]:
    needs = {"sagittal": "needs a lateral view", "coronal": "needs a frontal view"}
    absent = {n: Measured(None, p.unit, needs[p.plane], absent_code="VIEW_MISSING") for n, p in PARAMETERS.items()}
    return absent | values


@pytest.mark.parametrize(("plane", "view"), [("sagittal", "lateral"), ("coronal", "frontal")])
def test_parameters_that_need_a_missing_view_share_one_line(plane: str, view: str) -> None:
    given = {n: Measured(1.0, p.unit) for n, p in PARAMETERS.items() if p.plane != plane}
    (line,) = grouped_absences(_measured(**given))
    labels = [p.label for p in PARAMETERS.values() if p.plane == plane]
    assert line == f"need a {view} view: {', '.join(labels)}"
    assert [row.parameter for row in value_rows(_measured(**given))] == list(given)


def test_a_refused_view_is_named_once_with_its_reason() -> None:
    refused = Measured(None, "deg", "not accepted (lateral): head down", absent_code="VIEW_REFUSED")
    parameters = {"sacral_slope": refused, "pelvic_tilt": refused, "cobb": Measured(12.0, "deg")}
    assert grouped_absences(parameters) == ["not accepted (lateral): head down: Sacral slope, Pelvic tilt"]
    assert [row.parameter for row in value_rows(parameters)] == ["cobb"]


def test_a_row_has_value_interval_and_remark() -> None:
    unseen = Measured(None, "deg", "not visible: HIP_L", absent_code="LANDMARKS_NOT_SEEN")
    cobb = Measured(33.42, "deg", interval=(30.04, 36.96), detail=CURVE)
    balance = Measured(-7.04, "mm")
    rows = {r.parameter: r for r in value_rows(_measured(pelvic_tilt=unseen, cobb=cobb, coronal_balance_t1=balance))}
    assert (rows["cobb"].value, rows["cobb"].interval) == ("33.4°", "[30.0, 37.0]")
    assert rows["cobb"].remark == "from T6 to L1, apex T9/T10, convex to the right"
    assert (rows["coronal_balance_t1"].value, rows["coronal_balance_t1"].interval) == ("-7.0 mm", "")
    assert (rows["pelvic_tilt"].value, rows["pelvic_tilt"].remark) == (NOT_MEASURED, "not visible: HIP_L")
    assert value_rows({"cobb": cobb}, rough=True)[0].interval == "~[30.0, 37.0]"
