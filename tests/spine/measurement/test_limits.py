"""No value beyond anatomy is reported, and the dataset validation has the same limits."""

import pytest

from spine.landmarks import MARGINS175
from spine.measurement.registry import PARAMETERS, Measured, within_anatomy
from validation.dataset.suites import Minimums, suites


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_value_beyond_anatomy_is_absent_and_not_clipped(name):
    unit, (low, high) = PARAMETERS[name].unit, PARAMETERS[name].limits
    for value in (low, high, (low + high) / 2):
        given = {name: Measured(value, unit)}
        assert within_anatomy(given) == given
    for value in (low - 1, high + 1):
        found = within_anatomy({name: Measured(value, unit)})[name]
        assert found.value is None and found.absent_code == "BEYOND_ANATOMY"
        assert f"{value:.0f} {unit}" in found.absent_reason
    absent = {name: Measured(None, unit, "why", absent_code="VIEW_MISSING")}
    assert within_anatomy(absent) == absent


def test_severe_curves_survive():
    assert within_anatomy({"cobb": Measured(120.0, "deg")})["cobb"].value == 120.0


def test_the_dataset_validation_has_the_limits_of_the_registry():
    rules = [rule for suite in suites("biplanar", MARGINS175, Minimums(1, 1, 1)) for rule in suite.rules]
    of_parameters = {rule.column: (rule.minimum, rule.maximum) for rule in rules if rule.name.endswith("_plausible")}
    assert len(of_parameters) >= 9
    assert of_parameters == {column: PARAMETERS[column].limits for column in of_parameters}
