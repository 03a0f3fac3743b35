"""From spread to sigma to intervals, and the calibration in the contract."""

import json
import math
from dataclasses import replace

import pytest

from inference.calibration import Calibration, ShiftGroup, SpreadLaw, group_of
from inference.contract import read_contract, write_contract
from inference.input_check import InputLimits
from spine.errors import ContractViolation
from spine.landmarks import ViewName
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
    assert CALIBRATION.radius_cells("frontal", {}, sigma) == {"T4_sup": pytest.approx(2 * LAW.sigma(2.0))}
    assert CALIBRATION.sigma_cells("lateral", {"T4_sup": 2.0}) == {}


def test_intervals_have_the_calibrated_width_and_unsigned_ones_start_at_zero():
    given = {
        "cobb": Measured(3.0, "deg", sigma=2.0),
        "sacral_slope": Measured(3.0, "deg", sigma=2.0),
        "pelvic_tilt": Measured(3.0, "deg", sigma=2.0),
        "pelvic_incidence": Measured(None, "deg", "not seen", absent_code="LANDMARKS_NOT_SEEN"),
    }
    found = CALIBRATION.with_intervals(given, {"frontal": 0.0, "lateral": 9.0})
    assert found["cobb"].interval == (0.0, 7.0)
    assert found["sacral_slope"].interval == (-1.0, 7.0)
    assert found["pelvic_tilt"].interval is None
    assert found["pelvic_incidence"] == given["pelvic_incidence"]


CLEAR: dict[ViewName, float] = {"frontal": 0.1, "lateral": 0.3}
SHIFTED = replace(
    CALIBRATION,
    clear=CLEAR,
    shifted=(
        ShiftGroup("changed images", 7, {"frontal": 0.5, "lateral": 0.6}, {"cobb": 6.0}, 1.5),
        ShiftGroup("changed images", 5, {"frontal": 0.9, "lateral": 0.9}, {"cobb": 9.0}, 2.0),
    ),
)


@pytest.mark.parametrize(("shift", "half"), [(0.1, 4.0), (0.11, 12.0), (0.5, 12.0), (0.7, 18.0), (0.91, None)])
def test_the_shift_of_the_view_decides_the_width_of_an_interval(shift, half):
    given = {"cobb": Measured(40.0, "deg", sigma=2.0), "sacral_slope": Measured(40.0, "deg", sigma=2.0)}
    found = SHIFTED.with_intervals(given, {"frontal": shift, "lateral": 0.0})
    assert found["cobb"].interval == (None if half is None else (40.0 - half, 40.0 + half))
    assert found["sacral_slope"].interval == (36.0, 44.0)  # from the lateral image, which is like the calibration's


def test_an_image_states_what_its_intervals_rest_on():
    bases = [SHIFTED.basis("frontal", {"T4_sup": math.exp(shift)}) for shift in (0.0, 0.4, 1.0)]
    assert [basis.calibration for basis in bases] == ["nine, images like these", "nine, changed images", "nine"]
    assert [(basis.patients, basis.unlike) for basis in bases] == [(9, False), (7, True), (9, True)]
    assert [basis.withheld is None for basis in bases] == [True, True, False]
    assert "shift 1.00, at most 0.90" in str(bases[2].withheld)
    unlimited = CALIBRATION.basis("frontal", {"T4_sup": math.exp(3.0)})
    assert (unlimited.calibration, unlimited.unlike, unlimited.withheld) == ("nine", False, None)


def test_the_region_of_a_landmark_grows_with_the_group():
    sigma = {"T4_sup": 0.1}
    radii = [SHIFTED.radius_cells("frontal", {"T4_sup": math.exp(shift)}, sigma) for shift in (0.0, 0.4, 0.8, 1.0)]
    assert radii[:3] == [{"T4_sup": pytest.approx(r)} for r in (0.2, 0.3, 0.4)]
    assert radii[3] == {}


def test_a_contract_without_a_neighbour_width_has_the_default_one(tmp_path):
    write_contract(replace(CONTRACT, calibration=CALIBRATION), tmp_path)
    path = tmp_path / "contract.json"
    record = json.loads(path.read_text())
    del record["calibration"]["neighbour_width"]
    path.write_text(json.dumps(record))
    assert read_contract(tmp_path).calibration == CALIBRATION


@pytest.mark.parametrize("calibration", [CALIBRATION, SHIFTED])
def test_the_contract_stores_the_calibration(tmp_path, calibration):
    contract = replace(CONTRACT, calibration=calibration)
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
        replace(SHIFTED, shifted=SHIFTED.shifted[::-1]),
        replace(SHIFTED, shifted=(replace(SHIFTED.shifted[0], widths={"no_such_angle": 1.0}),)),
    ],
)
def test_an_invalid_calibration_is_refused(tmp_path, broken):
    write_contract(replace(CONTRACT, calibration=broken), tmp_path)
    with pytest.raises(ContractViolation, match="CONTRACT_BROKEN"):
        read_contract(tmp_path)
