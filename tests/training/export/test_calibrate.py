"""A fitted law finds the law that made the errors, and conformal widths have their coverage."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import Calibration, SpreadLaw
from inference.contract import read_contract, write_contract
from simulation.body.patient import build_patient
from simulation.population.sampling import sample_patient
from spine.dataset import Example, ExampleView, Truth
from spine.errors import ParametersRejected
from spine.landmarks import PLATES, VIEWS
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.measurement.registry import Measured
from spine.model_digest import model_digest
from spine.prediction import Prediction
from training.export.calibrate import (
    LEAST_TO_CHOOSE,
    calibrate,
    fitted_law,
    laws_of,
    main,
    with_widths,
)
from training.export.interval_widths import conformal_quantile, scores_of, widths_of
from training.export.onnx_export import finish_export


def test_a_fit_recovers_the_law():
    random = np.random.default_rng(0)
    spread = 1.0 + random.exponential(0.4, 5000) * (random.random(5000) < 0.7)
    floor = np.quantile(spread, 0.2)
    sigma = np.sqrt(0.08**2 + 0.3**2 * np.maximum(spread**2 - floor**2, 0))
    along = sigma[:, None] * random.standard_t(3, (5000, 2))
    law = fitted_law(spread, along, spread, np.hypot(*along.T))
    assert law.error == pytest.approx(0.08, rel=0.15)
    assert law.gain == pytest.approx(0.3, rel=0.15)
    inside = np.hypot(*along.T) <= law.radius * np.array([law.sigma(s) for s in spread])
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_a_conformal_width_covers_new_patients():
    random = np.random.default_rng(1)
    inside = [random.exponential() <= conformal_quantile(random.exponential(size=60)) for _ in range(4000)]
    assert 0.88 < np.mean(inside) < 0.93
    assert conformal_quantile([3.0, 1.0, 2.0]) == 3.0  # too few: the largest there is


def test_a_fit_calibrates_its_model_before_it_records_the_digest(drawn, taught):
    out, summary = taught
    contract = read_contract(out)
    assert contract.calibration is not None and contract.calibration.limits is not None
    assert contract.calibration.patients == 3
    assert model_digest(out) == summary.model_digest


def test_laws_and_widths_come_from_the_errors_on_patients(drawn):
    """Landmarks off by a known amount, more where the map is wider: every group has its law, angles their widths."""
    random, examples, predictions = np.random.default_rng(3), drawn[1].in_split("train"), []
    for example in examples:
        points, spread = {}, {}
        for view, given in example.views.items():
            spread[view] = {n: 4.0 * (1.0 + random.exponential(0.3)) for n in given.points}
            points[view] = {n: p + random.normal(0, 0.2 * spread[view][n], 2) for n, p in given.points.items()}
        prediction = Prediction(example.study_id, points, spread, cell_px=dict.fromkeys(points, 4.0))
        parameters = {"pelvic_tilt": Measured(11.0 + random.normal(0, 2.0), "deg", sigma=1.0)}
        predictions.append(replace(prediction, parameters=parameters))
    laws = laws_of(predictions, examples)
    assert {v: set(groups) for v, groups in laws.items()} == {v: {"centres", "sacrum", "pelvis"} for v in VIEWS}
    centres = laws["frontal"]["centres"]
    assert centres.sigma(1.0) < centres.sigma(1.6) < centres.sigma(2.5)
    assert 0.1 < centres.sigma(1.3) < 0.5
    known = [replace(e, truth={"pelvic_tilt": Truth(11.0, "deg")}) for e in examples]
    assert 2.0 < widths_of(scores_of(list(zip(predictions, known, strict=True))))["pelvic_tilt"] < 7.0


@pytest.mark.parametrize(("noise_deg", "wanted"), [(0.3, "wide"), (6.0, "narrow")])
def test_noisier_margins_give_neighbours_more_weight(noise_deg, wanted):
    """Tilts with more noise than the laws state: the width with the smallest error is chosen, given enough patients."""
    random, examples, predictions = np.random.default_rng(5), [], []
    for seed in range(LEAST_TO_CHOOSE):
        points = build_patient(sample_patient(seed), seed).reconstruction.points
        flat = {n: np.array([points[n][0], -points[n][2]]) for p in PLATES for n in (f"{p}_left", f"{p}_right")}
        truth = {n: Truth(m.value, m.unit) for n, m in measure(planes_from_view("frontal", flat, None, "NONE")).items()
                 if m.value is not None}  # fmt: skip
        view = ExampleView("frontal", "", "0" * 64, (900, 400), None, "NONE", None, flat)
        examples.append(Example(str(seed), str(seed), "train", "drawn", {"frontal": view}, truth=truth))
        moved = {}
        for plate in PLATES:
            left, right = flat[f"{plate}_left"], flat[f"{plate}_right"]
            turn = np.radians(random.normal(0, noise_deg)) * np.linalg.norm(left - right) / 2
            moved |= {f"{plate}_left": left + [0, turn], f"{plate}_right": right - [0, turn]}
        spread = {"frontal": dict.fromkeys(moved, 1.0)}
        predictions.append(Prediction(str(seed), {"frontal": moved}, spread, cell_px={"frontal": 1.0}))
    law = SpreadLaw(1.0, 0.6, 0.0, 2.0)
    start = Calibration(LEAST_TO_CHOOSE, "drawn", {"frontal": {"margins": law}})
    chosen = with_widths(start, predictions, examples)[0].neighbour_width
    assert chosen >= 4.0 if wanted == "wide" else chosen <= 2.0
    few = with_widths(start, predictions[:5], examples[:5])[0].neighbour_width
    assert few == NEIGHBOUR_WIDTH


@pytest.mark.slow
def test_an_exported_candidate_without_calibration_is_calibrated_later(drawn, taught, tmp_path):
    away = tmp_path / "away"
    shutil.copytree(taught[0], away)
    write_contract(replace(read_contract(away), calibration=None), away)
    summary = finish_export(away, drawn[0])
    assert read_contract(away).calibration is not None
    assert summary.model_digest == model_digest(away) == taught[1].model_digest


def test_the_command_reports_a_missing_data_set(tmp_path, capsys):
    assert main([str(tmp_path), "--dataset", str(tmp_path / "none")]) == 2
    assert "DATASET_MISSING" in capsys.readouterr().err


def test_the_test_split_is_refused_for_calibration(drawn, taught):
    with pytest.raises(ParametersRejected, match="CALIBRATION_PATIENTS"):
        calibrate(taught[0], drawn[0], ("test",))
