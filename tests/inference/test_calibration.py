"""From spread to sigma to intervals, and the calibration in the contract."""

import json
from dataclasses import replace

import pytest

from inference.calibration import Calibration, SpreadLaw, group_of
from inference.contract import read_contract, write_contract
from inference.input_check import InputLimits
from spine.errors import ContractViolation
from spine.measurement.registry import Measured
from tests.inference.fake_model import CONTRACT

LAW = SpreadLaw(floor=1.0, error=0.1, gain=0.5, radius=2.0)
CALIBRATION = Calibration(9, "nine", {"frontal": {"centres": LAW}}, {"cobb": 2.0, "sacral_slope": 2.0}, InputLimits())


def test_the_groups():
    names = ("T4_sup", "T4_sup_ant", "L1_inf_left", "S1_ant", "S1_sup", "HIP_L")
    assert [group_of(n) for n in names] == ["centres", "margins", "margins", "sacrum", "pelvis", "pelvis"]


def test_sigma_grows_with_the_spread_from_the_floor_on():
    assert LAW.sigma(0.3) == LAW.sigma(1.0) == pytest.approx(0.1)
    assert LAW.sigma(2.0) == pytest.approx((0.01 + 0.25 * 3) ** 0.5)
    sigma = CALIBRATION.sigma_cells("frontal", {"T4_sup": 2.0, "HIP_L": 1.0})
    assert sigma == {"T4_sup": LAW.sigma(2.0)}  # no law, no uncertainty
    assert CALIBRATION.radius_cells("frontal", sigma) == {"T4_sup": pytest.approx(2 * LAW.sigma(2.0))}
    assert CALIBRATION.sigma_cells("lateral", {"T4_sup": 2.0}) == {}


def test_intervals_have_the_calibrated_width_and_unsigned_ones_start_at_zero():
    given = {
        "cobb": Measured(3.0, "deg", sigma=2.0),
        "sacral_slope": Measured(3.0, "deg", sigma=2.0),
        "pelvic_tilt": Measured(3.0, "deg", sigma=2.0),
        "pelvic_incidence": Measured(None, "deg", "not seen", absent_code="LANDMARKS_NOT_SEEN"),
    }
    found = CALIBRATION.with_intervals(given)
    assert found["cobb"].interval == (0.0, 7.0)
    assert found["sacral_slope"].interval == (-1.0, 7.0)
    assert found["pelvic_tilt"].interval is None
    assert found["pelvic_incidence"] == given["pelvic_incidence"]


def test_a_contract_without_a_neighbour_width_has_the_default_one(tmp_path):
    write_contract(replace(CONTRACT, calibration=CALIBRATION), tmp_path)
    path = tmp_path / "contract.json"
    record = json.loads(path.read_text())
    del record["calibration"]["neighbour_width"]
    path.write_text(json.dumps(record))
    assert read_contract(tmp_path).calibration == CALIBRATION


def test_the_contract_stores_the_calibration(tmp_path):
    contract = replace(CONTRACT, calibration=CALIBRATION)
    write_contract(contract, tmp_path)
    assert read_contract(tmp_path) == contract
    write_contract(CONTRACT, tmp_path)
    assert read_contract(tmp_path).calibration is None


@pytest.mark.parametrize(
    "broken",
    [
        replace(CALIBRATION, widths={"cobb": -1.0}),
        replace(CALIBRATION, widths={"no_such_angle": 1.0}),
        replace(CALIBRATION, laws={"axial": {"centres": LAW}}),
        replace(CALIBRATION, laws={"frontal": {"centres": replace(LAW, gain=-0.1)}}),
    ],
)
def test_an_invalid_calibration_is_refused(tmp_path, broken):
    write_contract(replace(CONTRACT, calibration=broken), tmp_path)
    with pytest.raises(ContractViolation, match="CONTRACT_BROKEN"):
        read_contract(tmp_path)
